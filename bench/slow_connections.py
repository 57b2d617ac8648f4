"""Many connections that are slow on purpose, and come again when they are cut. A process of its own.

A third each: the head of a request, the body of one, and the taking of an answer, in pieces that would last for ever.
"""

import asyncio
import os
import random
import resource
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from time import perf_counter

import msgspec
import uvloop

HEAD, BODY, READ = "slow head", "slow body", "slow read"
KINDS = (HEAD, BODY, READ)
_PAUSE = 5.0  # seconds between two pieces
_SMALL_WINDOW = 4096
_PIECE = 64  # bytes taken of an answer
_RETRY = 0.5
_SPARE = 100  # descriptors for everything else

_LOGIN = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"X-Forwarded-For: 10.%d.%d.%d\r\n"
)
_DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Plan(msgspec.Struct, frozen=True):
    """`ramp`: seconds until all have come; they stay for `seconds` after that."""

    port: int
    connections: int
    ramp: float
    seconds: float
    seed: int


class Shown(msgspec.Struct):
    """`standing` is the fewest that stood at once after the ramp. Of each kind: how often one was cut, and the longest
    that one lasted. `answers` by status; `failed`: connections that could not be made."""

    standing: int = 0
    cut: dict[str, int] = {}
    longest: dict[str, float] = {}
    answers: dict[str, int] = {}
    failed: int = 0


class Crowd:
    """A crowd under way."""

    def __init__(self, plan: Plan) -> None:
        command = (sys.executable, "-m", __spec__.name)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(msgspec.json.encode(plan))

    def shown(self) -> Shown:
        """Returns when it is over."""
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            said = stdout.read()
        if self._process.wait() != 0:
            raise RuntimeError("the slow connections did not end well: see above")
        return msgspec.json.decode(said, type=Shown)


def most_connections() -> int:
    """That one process may have here: the hard limit on descriptors, which it takes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - _SPARE


class _Slow:
    """All of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._dice = random.Random(plan.seed)
        self._shown = Shown()
        self._cut: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._now_standing = 0
        self._ends = perf_counter() + plan.ramp + plan.seconds

    async def run(self) -> Shown:
        plan = self._plan
        tasks = [
            asyncio.ensure_future(
                self._come_again(KINDS[number % len(KINDS)], plan.ramp * number / plan.connections)
            )
            for number in range(plan.connections)
        ]
        watch = asyncio.ensure_future(self._watch())
        await asyncio.gather(*tasks)
        watch.cancel()
        self._shown.cut, self._shown.answers = dict(self._cut), dict(self._answers)
        return self._shown

    async def _watch(self) -> None:
        await asyncio.sleep(self._plan.ramp + _RETRY)
        self._shown.standing = self._now_standing
        while self._ends - perf_counter() > 2 * _RETRY:
            await asyncio.sleep(_RETRY)
            self._shown.standing = min(self._shown.standing, self._now_standing)

    async def _come_again(self, kind: str, after: float) -> None:
        await asyncio.sleep(after)
        while (left := self._ends - perf_counter()) > 0:
            try:
                ours = await self._connect()
            except OSError:
                self._shown.failed += 1
                await asyncio.sleep(_RETRY)
                continue
            self._now_standing += 1
            begun = perf_counter()
            with ours, suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._be_slow(kind, ours)
                    self._cut[kind] += 1
            self._now_standing -= 1
            self._shown.longest[kind] = max(self._shown.longest.get(kind, 0.0), perf_counter() - begun)

    async def _connect(self) -> socket.socket:
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW)
        ours.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(ours, ("127.0.0.1", self._plan.port))
        except BaseException:
            ours.close()
            raise
        return ours

    async def _be_slow(self, kind: str, ours: socket.socket) -> None:
        """Returns when the other side has ended it."""
        bytes_of = partial(self._dice.randrange, 256)
        login = _LOGIN % (bytes_of(), bytes_of(), bytes_of())
        send = {
            HEAD: (login, b"X-More: and more\r\n"),
            BODY: (login + b"Content-Length: 10000\r\n\r\n{", b" "),
            READ: (_DOCUMENT, b""),
        }[kind]
        said = b""
        with suppress(OSError):
            ours.send(send[0])
            while (heard := await self._listen(kind, ours)) is None or (kind == READ and heard):
                said = said or heard or b""
                if send[1]:
                    ours.send(send[1])
            said = said or heard
        if said:
            self._answers[said[9:12].decode("ascii", "replace")] += 1

    async def _listen(self, kind: str, ours: socket.socket) -> bytes | None:
        """What is said until the next piece is due; None if nothing is."""
        pause = _PAUSE * (0.5 + self._dice.random())
        try:
            if kind == READ:
                await asyncio.sleep(pause)
                # What has come can be taken for long after the other side has ended it.
                is_over = ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
                return b"" if is_over else ours.recv(_PIECE)
            async with asyncio.timeout(pause):
                return await asyncio.get_running_loop().sock_recv(ours, 65536)
        except (TimeoutError, BlockingIOError):
            return None


def main() -> None:
    most_connections()
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    os.nice(5)  # it is many machines: their work is not to take ours
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_Slow(plan).run())))


if __name__ == "__main__":
    main()
