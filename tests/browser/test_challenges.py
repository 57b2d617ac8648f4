"""The solver for pages, in a browser and without one: what it sends is what Keystead takes."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest

from keystead.api.rest.problems import problem_of
from keystead.kernel.ids import new_uuid
from keystead.limits.challenge.types import ChallengeFailed
from tests.support.challenges import ADDRESS, NETWORK, challenges_of, is_solved

pytestmark = pytest.mark.anyio

SOLVER = Path(__file__).parents[2] / "examples" / "challenge.js"
PAGE = b"<!doctype html><title>A page</title><link rel=icon href='data:,'>"
# Nothing from elsewhere, and no script from a string: as strict as a page can be that runs the solver.
POLICY = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; img-src data:"


@pytest.fixture
def challenges(db, vault):
    return challenges_of(db, vault)


@pytest.fixture
def product(challenges):
    """Somebody's page, and a route that demands a challenge of whoever brings no answer, and of one answer again."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            is_script = self.path == "/challenge.js"
            media_type = "text/javascript" if is_script else "text/html"
            self.answer(200, media_type, SOLVER.read_bytes() if is_script else PAGE)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            server.told.append((body.decode(), self.headers["x-challenge-response"]))
            if len(server.told) <= server.demands:
                demanded = challenges.demand("login", NETWORK, 10)
                refusal = demanded if len(server.told) == 1 else ChallengeFailed(demanded.challenge)
                problem = problem_of(refusal, str(new_uuid()))
                self.answer(403, "application/problem+json", json.dumps(problem, default=str).encode())
            else:
                self.answer(200, "application/json", b'{"is": "done"}')

        def answer(self, status, media_type, body):
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(body)))
            self.send_header("content-security-policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nobody reads it."""

    class Product(ThreadingHTTPServer):
        daemon_threads = True
        demands = 1
        told: list[tuple[str, str | None]]

    server = Product(("127.0.0.1", 0), Handler)
    server.told = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
async def page(browser, product):
    context = await browser.new_context()
    made = await context.new_page()
    failed = []
    made.on("console", lambda message: failed.append(message.text) if "Policy" in message.text else None)
    await made.goto(f"http://127.0.0.1:{product.server_address[1]}/")
    yield made
    assert failed == []
    await context.close()


SEND = """async () => {
    const { fetchAnswering } = await import("/challenge.js");
    const answer = await fetchAnswering("/act", { method: "POST", body: "the body" });
    return [answer.status, await answer.json()];
}"""


async def test_what_is_doubted_comes_again_with_its_proof(page, product, challenges):
    assert await page.evaluate(SEND) == [200, {"is": "done"}]
    (first, second) = product.told
    assert first == ("the body", None)
    assert second[0] == "the body"
    await challenges.check(second[1], purpose="login", network=NETWORK, address=ADDRESS)


async def test_an_answer_that_does_not_count_is_followed_by_another_and_not_for_ever(page, product):
    product.demands = 3
    assert (await page.evaluate(SEND))[0] == 200
    answers = [answer for _, answer in product.told[1:]]
    assert len(set(answers)) == 3
    product.told.clear()
    product.demands = 100
    status, problem = await page.evaluate(SEND)
    assert (status, problem["code"], len(product.told)) == (403, "challenge_failed", 4)


async def test_who_gives_up_is_left_with_no_work_that_goes_on(page, challenges):
    script = """async (challenge) => {
        const { solve } = await import("/challenge.js");
        const stop = new AbortController();
        const solving = solve(challenge, { signal: stop.signal }).catch((error) => error.name);
        setTimeout(() => stop.abort(), 50);
        const name = await solving;
        const late = await solve(challenge, { signal: stop.signal }).catch((error) => error.name);
        return [name, late];
    }"""
    hard = challenges.demand("login", NETWORK, 24).challenge | {"expires_at": None, "difficulty": 32}
    assert await page.evaluate(script, hard) == ["AbortError", "AbortError"]
    with anyio.fail_after(20):
        while page.workers:
            await anyio.sleep(0.02)


async def test_without_workers_it_finds_the_same(challenges, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("No Node.js: install it, and the solver runs without a browser.")
    (tmp_path / "challenge.mjs").write_text(SOLVER.read_text("utf-8"))
    asked = [challenges.demand("login", NETWORK, bits).challenge for bits in (8, 9, 12, 14)]
    # Of other lengths, too: the hash's padding begins anywhere in a block.
    lengths = [{"challenge": "x" * length, "difficulty": 8} for length in range(0, 130, 3)]
    wanted = [{"challenge": each["challenge"], "difficulty": each["difficulty"]} for each in asked + lengths]
    script = f"""import {{ solve }} from "./challenge.mjs";
        const answers = [];
        for (const challenge of {json.dumps(wanted)}) answers.push(await solve(challenge));
        console.log(JSON.stringify(answers));"""
    done = await anyio.run_process([node, "--input-type=module", "-e", script], cwd=tmp_path)
    answers = json.loads(done.stdout)
    for challenge, answer in zip(wanted, answers, strict=True):
        assert is_solved(answer, challenge["difficulty"]), answer
    for answer in answers[: len(asked)]:
        await challenges.check(answer, purpose="login", network=NETWORK, address=ADDRESS)
