"""The load: connections that each send their next request when the last one is answered. A process of its own."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from math import inf
from time import perf_counter, process_time

import msgspec
import uvloop

# All at once, the workers' connections would be a race that the first to wake up wins.
_BETWEEN_CONNECTIONS = 0.003
_LENGTH = b"content-length: "
_BEARER = b"Bearer "
_SUCCESSOR = b'"refresh_token":"'


class Plan(msgspec.Struct, frozen=True):
    """One request for each connection, sent for so many seconds. With `rotates`, its bearer token is replaced by the
    refresh token of each answer, so that every connection walks a chain of its own. With `may_refuse`, a 503 is none of
    the figures and not the end of them."""

    port: int
    seconds: float
    requests: tuple[bytes, ...]
    rotates: bool = False
    may_refuse: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """`requests` are those to go on with; `cpu_seconds` is what the load itself has cost."""

    answered: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    requests: tuple[bytes, ...]


def apply(plan: Plan) -> Outcome:
    """Raises CalledProcessError when an answer is not a 200: figures of failures are none."""
    command = (sys.executable, "-m", __spec__.name)
    done = subprocess.run(command, input=msgspec.json.encode(plan), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Outcome)


class _Load:
    """What the connections have in common. What is answered before they all stand, or too late, counts as cost only."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.latencies: list[float] = []
        self.uncounted = 0
        self.begin = self.end = inf

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        clients = []
        cpu = process_time()
        for request in self.plan.requests:
            client = partial(_Client, self, request)
            clients.append((await loop.create_connection(client, "127.0.0.1", self.plan.port))[1])
            await asyncio.sleep(_BETWEEN_CONNECTIONS)
        self.begin = perf_counter()
        self.end = self.begin + self.plan.seconds
        await asyncio.gather(*(client.done for client in clients))
        return self._outcome(process_time() - cpu, [client.request for client in clients])

    def note(self, sent_at: float, now: float, *, counts: bool) -> bool:
        """Whether there is time for one more."""
        if counts and self.begin <= now <= self.end:
            self.latencies.append(now - sent_at)
        else:
            self.uncounted += 1
        return now <= self.end

    def _outcome(self, cpu_seconds: float, requests: Sequence[bytes]) -> Outcome:
        ordered = sorted(self.latencies) or [self.plan.seconds]
        return Outcome(
            answered=len(self.latencies) + self.uncounted,
            per_second=len(self.latencies) / self.plan.seconds,
            p50_ms=ordered[len(ordered) // 2] * 1000,
            p99_ms=ordered[len(ordered) * 99 // 100] * 1000,
            cpu_seconds=cpu_seconds,
            requests=tuple(requests),
        )


class _Client(asyncio.Protocol):
    """One connection. Reads just enough of HTTP/1.1 to know where an answer ends."""

    def __init__(self, load: _Load, request: bytes) -> None:
        self.request = request
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self.send()

    def send(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        answer = self._received + data if self._received else data
        if not is_whole(answer):
            self._received = answer
            return
        self._received = b""
        now = perf_counter()
        is_refused = self._load.plan.may_refuse and answer[9:12] == b"503"
        if answer[9:12] != b"200" and not is_refused:
            self._fail(f"not a 200: {answer.decode(errors='replace')}")
            return
        if self._load.plan.rotates:
            self.request = successor(self.request, answer)
        if self._load.note(self._sent_at, now, counts=not is_refused):
            self.send()
        else:
            self._transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}")

    def _fail(self, how: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(how))


def is_whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = answer.index(_LENGTH, 0, end) + len(_LENGTH)
    return len(answer) >= end + 4 + int(answer[at : answer.index(b"\r", at)])


def successor(request: bytes, answer: bytes) -> bytes:
    at = answer.index(_SUCCESSOR) + len(_SUCCESSOR)
    token = answer[at : answer.index(b'"', at)]
    head, bearer, rest = request.partition(_BEARER)
    return head + bearer + token + rest[rest.index(b"\r\n") :]


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_Load(plan).run())))


if __name__ == "__main__":
    main()
