"""The receiver of the page on hooks, as it stands there, run and called by a real hook."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from keystead.hooks.signature import signature_headers
from keystead.hooks.types import HookPoint, HookRefused
from keystead.kernel.secrets import Secret
from tests.support.receiver import KEY, hook, hooks_of

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
STRANGER = "YW5vdGhlciBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXQ="
TELLING = "server = HTTPServer(('127.0.0.1', 0), Receiver)\nprint(server.server_port, flush=True)\n"


@pytest.fixture
def url():
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    start = 'HTTPServer(("127.0.0.1", 8099), Receiver).serve_forever()\n'
    assert start in program
    program = program.replace(start, f"{TELLING}server.serve_forever()\n")  # at a port that is free
    environ = {**os.environ, "HOOK_SECRET": f"whsec_{KEY}"}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


async def test_it_admits_its_own_domain_and_refuses_strangers_and_forgers(url):
    hooks = hooks_of(hook(url, point=HookPoint.BEFORE_REGISTRATION))
    await hooks(HookPoint.BEFORE_REGISTRATION, {"user": {"email": "jane@example.com"}})
    with pytest.raises(HookRefused) as refusal:
        await hooks(HookPoint.BEFORE_REGISTRATION, {"user": {"email": "jane@example.org"}})
    assert refusal.value.detail == {"reason": "other_domain"}
    await hooks.close()

    body = b'{"user": {"email": "jane@example.com"}}'
    answers = []
    for secret, timestamp in ((STRANGER, time.time()), (KEY, time.time() - 400), (KEY, time.time())):
        headers = signature_headers(
            [Secret(f"whsec_{secret}")], message_id="msg_1", timestamp=int(timestamp), body=body
        )
        async with httpx2.AsyncClient() as client:
            answers.append((await client.post(url, content=body, headers=headers)).status_code)
    assert answers == [401, 401, 200]
