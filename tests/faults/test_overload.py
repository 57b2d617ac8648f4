"""Small samples of `make prove-overload`: more logins than can be hashed, and more slow connections than descriptors
that a shell gives. What is refused, what is bounded, and who is answered meanwhile; how fast, the proof measures.
"""

import asyncio
import resource
import socket
import sys
from collections import Counter
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support import throwaway
from tests.support.people import PASSWORD, new_email, register
from tests.support.server import serving

pytestmark = pytest.mark.anyio

LOGIN = "/api/v1/auth/login"
SHELLS_LIMIT = 256
SLOW = 100  # of each kind
DEADLINE = 5  # seconds
PATIENCE = 60
MOST_GROWTH_MIB = 20
SPACING = 0.005  # seconds between two of a herd
BODY = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)
HEAD = BODY[:50]
READ = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def valkey():
    with throwaway.valkey() as server:
        yield server


@contextmanager
def few_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SHELLS_LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident_mib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.timeout(180)
async def test_slow_connections_are_cut_and_everybody_else_is_answered(urls):
    async with AsyncExitStack() as stack:
        with few_descriptors():
            server = await stack.enter_async_context(
                serving(urls, SERVER__REQUEST_TIMEOUT_SECS=str(DEADLINE))
            )
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=server.base_url, timeout=30))
        person = await register(client)
        before = resident_mib(server.workers[0].pid)
        opened = [
            await _open(server.ports[0], begun, stack) for begun in (READ, HEAD, BODY) for _ in range(SLOW)
        ]
        answers = [await client.get("/api/v1/users/me", headers=person.bearer) for _ in range(20)]
        # What is the same for everybody is there once, however many do not take it.
        assert resident_mib(server.workers[0].pid) - before < MOST_GROWTH_MIB
        async with asyncio.timeout(PATIENCE):
            # Those who take their answers slowly came first, and are cut before the last of the others are.
            outcomes = Counter([await _outcome(reader) for reader, _ in reversed(opened)])
        assert {answer.status_code for answer in answers} == {200}
        assert outcomes == {"408": 2 * SLOW, "cut off": SLOW}
        assert (await client.get("/health/live")).status_code == 200
        assert "request.failed" not in server.logs()


async def _open(port, begun, stack):
    """Begins, and does no more; takes answers as slowly as it can."""
    ours = socket.socket()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ours.setblocking(False)
    await asyncio.get_running_loop().sock_connect(ours, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=ours, limit=1024)
    stack.callback(writer.transport.abort)
    writer.write(begun)
    return reader, writer


async def _outcome(reader):
    said = await reader.read(12)
    if said != b"HTTP/1.1 200":
        return said.decode().partition(" ")[2]
    try:
        while await reader.read(1024):
            pass
    except ConnectionResetError:
        return "cut off"
    return "200"


@pytest.mark.timeout(180)
async def test_of_a_herd_what_cannot_be_hashed_in_time_is_refused_and_nobody_else_waits(urls, valkey):
    slow_hashes = {
        "REDIS__URL": valkey.url,
        "LIMITS__MODE": "enforce",
        "SERVER__TRUSTED_PROXIES": "127.0.0.1/32",
        "AUTH__HASH_THREADS": "1",
        "AUTH__ARGON2__MEMORY_KIB": "65536",
        "AUTH__LONGEST_HASH_WAIT_MS": "200",
    }
    async with (
        serving(urls, **slow_hashes) as server,
        httpx2.AsyncClient(base_url=server.base_url, timeout=60) as client,
    ):
        person = await register(client)

        async def login(number):
            await asyncio.sleep(number * SPACING)
            return await client.post(
                LOGIN,
                json={"email": new_email(), "password": PASSWORD},
                headers={"X-Forwarded-For": f"10.0.{number}.1"},
            )

        herd = [asyncio.ensure_future(login(number)) for number in range(100)]
        answers = []
        while not all(each.done() for each in herd):
            answers.append(await client.get("/api/v1/users/me", headers=person.bearer))
            answers.append(await client.get("/health/live"))
        outcomes = Counter([(await each).status_code for each in herd])
        assert {answer.status_code for answer in answers} == {200}
        assert outcomes.keys() == {401, 503}
        refused = [answer for each in herd if (answer := await each).status_code == 503]
        assert {answer.json()["code"] for answer in refused} == {"overloaded"}
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        # Before anything was asked of Valkey, or a flood of refusals would leave no time to hash.
        assert any("ratelimit" not in answer.headers for answer in refused)
