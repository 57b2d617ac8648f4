"""An open loop: requests at fixed times, whatever becomes of those before them. A process of its own.

Who waits for an answer before asking again asks a slow server for less, and never sees how slow it is. Here the latency
of each request counts from when it was due, also when it was sent later than that.
"""

import asyncio
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator
from heapq import merge
from tempfile import TemporaryFile
from time import perf_counter, process_time

import msgspec
import uvloop

from bench.load import is_whole, successor

GRACE = 15.0  # seconds for the last answers
MOST_CONNECTIONS = 4000  # of one stream; a request that finds none free counts as unanswered
_TICK = 0.001


class Stream(msgspec.Struct, frozen=True):
    """`requests` in turn, over and over, so many a second. With `rotates`, each has a connection of its own, waits for
    the answer before, and its bearer token is replaced by the refresh token in that."""

    name: str
    per_second: float
    requests: tuple[bytes, ...]
    rotates: bool = False


class Plan(msgspec.Struct, frozen=True):
    port: int
    seconds: float
    streams: tuple[Stream, ...]


class Answers(msgspec.Struct, frozen=True):
    """Of one stream: seconds by status, and how many requests had no answer."""

    seconds: dict[str, list[float]]
    unanswered: int

    def latencies(self, status: str | None = None) -> list[float]:
        chosen = self.seconds.values() if status is None else [self.seconds.get(status, [])]
        return sorted(each for seconds in chosen for each in seconds)

    def statuses(self) -> dict[str, int]:
        return {status: len(seconds) for status, seconds in sorted(self.seconds.items())}


class Outcome(msgspec.Struct, frozen=True):
    """`late`: seconds between when each request was due and when it was sent; the rest is what the load itself cost."""

    answers: dict[str, Answers]
    late: list[float]
    cpu_seconds: float
    connections: int


class Load:
    """A plan under way."""

    def __init__(self, plan: Plan) -> None:
        self._outcome = TemporaryFile()  # noqa: SIM115 - it goes when this does
        command = (sys.executable, "-m", __spec__.name)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._outcome)
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(msgspec.json.encode(plan))

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def outcome(self) -> Outcome:
        """Returns when it is over."""
        if self._process.wait() != 0:
            raise RuntimeError("the load did not end well: its last words are above")
        self._outcome.seek(0)
        return msgspec.json.decode(self._outcome.read(), type=Outcome)


class _Lane:
    """One stream as it goes."""

    def __init__(self, stream: Stream, port: int) -> None:
        self.stream = stream
        self.port = port
        self.seconds: dict[str, list[float]] = {}
        self.unanswered: Counter[str] = Counter()
        self.under_way = 0
        self.connections = 0
        self.idle: list[_Client] = []
        self.own: list[_Client] = []
        self._opening: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        if self.stream.rotates:
            self.own = [await self._connect() for _ in self.stream.requests]
            for client, request in zip(self.own, self.stream.requests, strict=True):
                client.request = request

    def send(self, number: int, due: float) -> None:
        self.under_way += 1
        requests = self.stream.requests
        if self.own:
            self.own[number % len(self.own)].send(None, due)
        elif self.idle:
            self.idle.pop().send(requests[number % len(requests)], due)
        elif self.connections < MOST_CONNECTIONS:
            task = asyncio.ensure_future(self._send_anew(requests[number % len(requests)], due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self.lose("no connection was free")

    def note(self, status: str, seconds: float) -> None:
        self.under_way -= 1
        self.seconds.setdefault(status, []).append(seconds)

    def lose(self, why: str) -> None:
        self.under_way -= 1
        self.unanswered[why] += 1

    def answers(self) -> Answers:
        return Answers(self.seconds, self.unanswered.total() + self.under_way)

    async def _send_anew(self, request: bytes, due: float) -> None:
        try:
            client = await self._connect()
        except OSError:
            self.lose("no connection")
        else:
            client.send(request, due)

    async def _connect(self) -> "_Client":
        self.connections += 1
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: _Client(self), "127.0.0.1", self.port))[1]


class _Client(asyncio.Protocol):
    """One connection. Reads just enough of HTTP/1.1 to know where an answer ends."""

    def __init__(self, lane: _Lane) -> None:
        self.request = b""
        self._lane = lane
        self._received = b""
        self._due: deque[float] = deque()  # the first is under way

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def send(self, request: bytes | None, due: float) -> None:
        """None: what stands in `request`, after the answer before."""
        if request is not None:
            self.request = request
        self._due.append(due)
        if len(self._due) == 1:
            self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        answer = self._received + data if self._received else data
        if not is_whole(answer):
            self._received = answer
            return
        self._received = b""
        status = answer[9:12].decode("ascii", "replace")
        self._lane.note(status, perf_counter() - self._due.popleft())
        if self._lane.stream.rotates and status == "200":
            self.request = successor(self.request, answer)
        if self._due:
            self._transport.write(self.request)
        elif not self._lane.own:
            self._lane.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lane.connections -= 1
        if self in self._lane.idle:
            self._lane.idle.remove(self)
        for _ in self._due:
            self._lane.lose("the connection was lost")
        self._due.clear()


async def _run(plan: Plan) -> Outcome:
    lanes = {stream.name: _Lane(stream, plan.port) for stream in plan.streams}
    for lane in lanes.values():
        await lane.prepare()
    cpu, late = process_time(), []
    begun = perf_counter()
    for offset, name, number in merge(*(_times(stream, plan.seconds) for stream in plan.streams)):
        due = begun + offset
        while (ahead := due - perf_counter()) > 0:
            await asyncio.sleep(max(_TICK, ahead))
        late.append(-ahead)
        lanes[name].send(number, due)
    until = perf_counter() + GRACE
    while any(lane.under_way for lane in lanes.values()) and perf_counter() < until:
        await asyncio.sleep(0.01)
    return Outcome(
        {name: lane.answers() for name, lane in lanes.items()},
        sorted(late),
        process_time() - cpu,
        sum(lane.connections for lane in lanes.values()),
    )


def _times(stream: Stream, seconds: float) -> Iterator[tuple[float, str, int]]:
    for number in range(int(stream.per_second * seconds)):
        yield number / stream.per_second, stream.name, number


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(plan))))


if __name__ == "__main__":
    main()
