"""Contenders that take turns, so that a machine which slows down slows all of them down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender; the costs are microseconds of processor time for each request, by part."""

    per_second: float
    p50_ms: float = 0
    p99_ms: float = 0
    cpu_us: Mapping[str, float] = field(default_factory=dict)

    @property
    def server_us(self) -> float:
        """What a request costs without the load that asks for it."""
        return sum(cost for part, cost in self.cpu_us.items() if part != "load")


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    measure: Callable[[float], Sample]


@dataclass(frozen=True, slots=True)
class Target:
    """What share of a floor a contender should reach."""

    contender: str
    floor: str
    share: float


class Samples:
    """Of every contender, one for each round."""

    def __init__(self, rounds: Sequence[Mapping[str, Sample]]) -> None:
        self._rounds = rounds

    def of(self, name: str, figure: Callable[[Sample], float]) -> list[float]:
        return [figure(each[name]) for each in self._rounds]

    def costs(self, name: str) -> list[Mapping[str, float]]:
        return [each[name].cpu_us for each in self._rounds]

    def shares(self, target: Target) -> list[float]:
        """By requests per second, round by round."""
        return [each[target.contender].per_second / each[target.floor].per_second for each in self._rounds]

    def cost_share(self, target: Target) -> float:
        """By processor time, the load's own left out: what remains true on a busy machine."""
        floor, contender = target.floor, target.contender
        return median(each[floor].server_us / each[contender].server_us for each in self._rounds)


def compete(
    contenders: Sequence[Contender], *, rounds: int, seconds: float, advance: Callable[[str], None]
) -> Samples:
    """One round to warm up, which counts for nothing, then `rounds`; `advance` is told who is next."""
    done = []
    for _ in range(rounds + 1):
        this_round = {}
        for contender in contenders:
            advance(contender.name)
            this_round[contender.name] = contender.measure(seconds)
        done.append(this_round)
    return Samples(done[1:])
