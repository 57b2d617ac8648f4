"""A herd: everybody signs in at once, for longer than a moment, while others go on with what they do."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

from bench import crowd, procfs, traffic
from bench.floors import Floor, hashing
from bench.open_loop import Load, Outcome, Plan, Stream
from bench.servers import Keystead

LOGIN, REFRESH, LIVE, ME = "login", "refresh", "health/live", "users/me"
_BESIDE = 20.0  # requests per second of each other kind
_CHAINS = 20
_CONNECTIONS = 8  # of logins that are not refused: few enough even for one worker alone
_SERVERS_NICENESS = 10  # of its threads that hash
_POLL = 0.25  # seconds
_LEAD = 1.5  # seconds in which a load reads its plan

LEAST_GOODPUT = 0.9
LONGEST = 0.1  # seconds, at the 99th percentile
MOST_GROWTH_MIB = 64.0  # of one worker, beyond what it held before


@dataclass(frozen=True, slots=True)
class Effort:
    """`measuring`: seconds of each of the rates that the herd is compared with."""

    per_second: float
    seconds: float
    measuring: float
    people: int
    seed: int

    @property
    def total_seconds(self) -> float:
        return self.seconds + 5 * self.measuring


@dataclass(frozen=True, slots=True)
class Shown:
    """Rates are per second. Hashes: of the idle machine before and after, and of loops that step back as the server's
    threads do beside as many refused requests. Logins, when there are no more than can be hashed: of the machine alone,
    and beside as many refused requests."""

    idle_before: float
    idle_after: float
    beside_refusals: float
    capacity: float
    capacity_beside: float
    herd: Outcome
    memory: Sequence[tuple[float, float]]
    spent: dict[str, float]

    def goodput(self, effort: Effort) -> float:
        return len(self.herd.answers[LOGIN].latencies("200")) / effort.seconds

    def bars(self, effort: Effort) -> list[tuple[str, bool]]:
        goodput, logins = self.goodput(effort), self.herd.answers[LOGIN]
        growth = max(most - before for before, most in self.memory)
        ceilings = {
            "hashes beside as many refusals": self.beside_refusals,
            "logins that fit, beside as many refusals": self.capacity_beside,
        }
        others = {name: each for name, each in self.herd.answers.items() if name != LOGIN}
        return [
            *(
                (
                    f"goodput ≥ {LEAST_GOODPUT:g} of {name}: {goodput / rate:.2f}",
                    goodput >= LEAST_GOODPUT * rate,
                )
                for name, rate in ceilings.items()
            ),
            _quick("refused logins", logins.latencies("503")),
            *(_quick(name, each.latencies()) for name, each in others.items()),
            (
                f"every login is let in or refused as overloaded: {logins.statuses()}, {logins.unanswered} unanswered",
                set(logins.statuses()) <= {"200", "503"} and not logins.unanswered,
            ),
            (
                "everything else is answered with 200",
                all(set(each.statuses()) == {"200"} and not each.unanswered for each in others.values()),
            ),
            (
                f"no worker grows by more than {MOST_GROWTH_MIB:.0f} MiB: {growth:.0f}",
                growth <= MOST_GROWTH_MIB,
            ),
        ]


def _quick(name: str, latencies: Sequence[float]) -> tuple[str, bool]:
    p99 = percentile(latencies, 0.99)
    return f"{name}: p99 < {LONGEST * 1000:.0f} ms: {p99 * 1000:.1f}", p99 < LONGEST


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def run(server: Keystead, effort: Effort, advance: Callable[[float], None]) -> Shown:
    """`advance` is told of every second that is over."""
    dice = random.Random(effort.seed)
    emails = _settle_people(server, effort.people)
    others = traffic.register(server, _CHAINS)
    # Others than those: who signs in too often loses the oldest session.
    few = traffic.login(server, traffic.register(server, _CONNECTIONS), may_refuse=True)

    def measured(floor: Floor) -> float:
        per_second = floor.measure(effort.measuring).per_second
        advance(effort.measuring)
        return per_second

    with closing(Floor(hashing)) as floor, closing(Floor(_stepped_back)) as stepped_back:
        for each in (floor, stepped_back):
            each.measure(0.1)  # they start
        idle_before = measured(floor)
        with _refusals(server, emails, effort, dice):
            beside_refusals = measured(stepped_back)
        capacity = few.measure(effort.measuring).per_second
        advance(effort.measuring)
        with _refusals(server, emails, effort, dice):
            capacity_beside = few.measure(effort.measuring).per_second
        advance(effort.measuring)
        resident = [procfs.status_mib(pid, "VmRSS") for pid in server.worker_pids()]
        before = procfs.cpu_seconds(server.pid)
        outcome = watched(Load(_herd(server, emails, others, effort, dice)), advance)
        after = procfs.cpu_seconds(server.pid)
        most = [procfs.status_mib(pid, "VmHWM") for pid in server.worker_pids()]
        return Shown(
            idle_before=idle_before,
            idle_after=measured(floor),
            beside_refusals=beside_refusals,
            capacity=capacity,
            capacity_beside=capacity_beside,
            herd=outcome,
            memory=list(zip(resident, most, strict=True)),
            spent={part: seconds - before.get(part, 0) for part, seconds in after.items()},
        )


def watched(load: Load, advance: Callable[[float], None]) -> Outcome:
    """Of a load, once it is over."""
    while not load.is_over():
        before = monotonic()
        sleep(_POLL)
        advance(monotonic() - before)
    return load.outcome()


def _settle_people(server: Keystead, count: int) -> list[str]:
    """Addresses of people who may sign in with `crowd.PASSWORD`."""
    made = crowd.Crowd(count)
    for _ in crowd.add(made, server, crowd.missing_batches(made, server), processes=1):
        pass
    crowd.analyse(server)
    return [made.address(number) for number in range(count) if not made.person(number).is_disabled]


def _herd(
    server: Keystead, emails: list[str], others: list[traffic.Person], effort: Effort, dice: random.Random
) -> Plan:
    logins = _logins(emails, int(effort.per_second * effort.seconds), dice)
    refreshes = (
        traffic.request("POST", "/api/v1/auth/refresh", bearer=each.refresh_token) for each in others
    )
    mine = (traffic.request("GET", "/api/v1/users/me", bearer=each.access_token) for each in others)
    return Plan(
        server.port,
        effort.seconds,
        (
            Stream(LOGIN, effort.per_second, tuple(logins)),
            Stream(REFRESH, _BESIDE, tuple(refreshes), rotates=True),
            Stream(ME, _BESIDE, tuple(mine)),
            Stream(LIVE, _BESIDE, (traffic.request("GET", "/health/live"),)),
        ),
    )


@contextmanager
def _refusals(server: Keystead, emails: list[str], effort: Effort, dice: random.Random) -> Iterator[None]:
    """As many requests that cost what a login costs that is refused at the door: of a method that is not there."""
    seconds = effort.measuring + 2 * _LEAD
    logins = _logins(emails, int(effort.per_second * seconds), dice)
    refused = tuple(login.replace(b"POST", b"PUT", 1) for login in logins)
    load = Load(Plan(server.port, seconds, (Stream(LOGIN, effort.per_second, refused),)))
    sleep(_LEAD)
    yield
    load.outcome()


def _logins(emails: list[str], count: int, dice: random.Random) -> Iterator[bytes]:
    """Each from an address, and a network, of its own."""
    for number in range(count):
        address = f"10.{number >> 8 & 255}.{number & 255}.{1 + (number >> 16)}"
        body = {"email": dice.choice(emails), "password": crowd.PASSWORD}
        yield traffic.request("POST", "/api/v1/auth/login", body=body, address=address)


def _stepped_back() -> Callable[[], object]:
    os.nice(_SERVERS_NICENESS)
    return hashing()
