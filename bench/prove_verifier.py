"""`make prove-verifier`: fifty threads, and fifty tasks, verify while their issuer is down, slow, rotating or wrong.

Whatever it does, no wrong token is let in, no good one is refused while anything is known to verify it with, nobody
waits beyond the deadline, and the keys are not fetched more often than they should be. Exit status 1 if a rule breaks.
"""

import argparse
import asyncio
import logging
import os
import platform
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).parents[1]
for package in ("keystead-verify", "pytest-keystead"):
    sys.path.insert(0, str(ROOT / "packages" / package / "src"))

from bench import procfs  # noqa: E402 - from a checkout
from keystead_verify import InvalidToken, IssuerUnavailable, Verifier  # noqa: E402
from keystead_verify.key_set import AHEAD, SHORTEST, UNKNOWN_KEY_PAUSE  # noqa: E402
from pytest_keystead.forgery import FORGERIES  # noqa: E402
from pytest_keystead.issuer import LocalIssuer  # noqa: E402
from pytest_keystead.signing import SigningKey  # noqa: E402

DEADLINE = 2.0  # seconds: the package's own
SLACK = 1.0  # that a busy machine may add
ROTATION = 5.0
# A key that was taken out: until the next fetch is due, the look of a known token, and what a busy machine adds.
AFTERLIFE = SHORTEST + 1.0 + SLACK
WRONG_SETS = (
    (b"<html>not here</html>", 200),
    (b"", 200),
    (b"{}", 200),
    (b'{"keys": []}', 200),
    (b'{"keys": [{"kid": "12345678", "kty": "oct", "alg": "HS256", "k": "AAAA"}]}', 200),
    (b'{"keys": [{"kid": "12345678", "kty": "RSA", "alg": "RS256", "n": "AQAB", "e": "AQAB"}]}', 200),
    (b'{"keys": ' + b"[" * 5000, 200),
    (b'{"keys": [], "a": "' + b"x" * 300_000 + b'"}', 200),
    (b'{"keys": []}', 302),
    (b"busy", 503),
)


class Issuer(LocalIssuer):
    """As Keystead rotates: the next key is published before it signs. Remembers tokens of keys that were taken out."""

    def __init__(self) -> None:
        self._next = SigningKey("ES256")
        self.taken_out: list[tuple[str, float]] = []
        super().__init__(max_age=1, algorithm="ES256")  # which the package raises to its shortest

    def jwks(self) -> bytes:
        with self._lock:
            keys = ", ".join(str(key.jwk()).replace("'", '"') for key in (self._next, *self._keys))
        return f'{{"keys": [{keys}]}}'.encode()

    def rotate(self, *, keep: int = 1) -> None:
        """Its oldest key is published no more."""
        new = SigningKey("ES256")
        with self._lock:
            oldest = self._keys[-1] if len(self._keys) > keep else None
            self._keys = [self._next, *self._keys[:keep]]
            self._next = new
        if oldest is not None:
            self.taken_out.append((oldest.token(_claims_of(self)), monotonic()))


def _claims_of(issuer: LocalIssuer) -> dict[str, object]:
    return {
        **issuer._common(None, None, ["user"], "", 3600),
        "client_id": "default",
        "sid": "0198a9c1-7d3e-7c11-9a52-000000000001",
        "amr": ["pwd"],
    }


@dataclass
class Counted:
    """What one thread or task has seen."""

    figures: "Counter[str]" = field(default_factory=Counter)
    longest: float = 0.0
    afterlife: float = 0.0


Script = Callable[[Issuer, random.Random], Iterator[float]]


@dataclass(frozen=True, slots=True)
class Part:
    """What happens to the issuer: `script` does it, and yields how many seconds pass until the next thing."""

    name: str
    script: Script
    may_refuse: bool = False  # there is a time when nothing is known to verify with


def well(_issuer: Issuer, _chance: random.Random) -> Iterator[float]:
    while True:
        yield 1.0


def down(issuer: Issuer, _chance: random.Random) -> Iterator[float]:
    while True:
        yield 3.0
        issuer.go_down()
        yield 8.0
        issuer.come_back()


def down_at_the_start(issuer: Issuer, _chance: random.Random) -> Iterator[float]:
    issuer.go_down()
    yield 6.0
    issuer.come_back()
    yield from well(issuer, _chance)


def slow(issuer: Issuer, _chance: random.Random) -> Iterator[float]:
    yield 1.0
    while True:
        issuer.slow_down(4.0)
        yield 9.0
        issuer.come_back()
        yield 4.0


def slow_at_the_start(issuer: Issuer, _chance: random.Random) -> Iterator[float]:
    issuer.slow_down(3.0)
    yield 7.0
    issuer.come_back()
    yield from well(issuer, _chance)


def rotating(issuer: Issuer, _chance: random.Random) -> Iterator[float]:
    while True:
        yield ROTATION
        issuer.rotate()


def wrong(issuer: Issuer, _chance: random.Random) -> Iterator[float]:
    yield 1.0
    while True:
        for body, status in WRONG_SETS:
            issuer.answer_with(body, status=status)
            yield 2.5
        issuer.come_back()
        yield 4.0


def _spoil(issuer: Issuer, body: bytes, status: int) -> None:
    issuer.answer_with(body, status=status)


def by_chance(issuer: Issuer, chance: random.Random) -> Iterator[float]:
    yield 1.0
    acts: tuple[Callable[[], object], ...] = (
        issuer.go_down,
        issuer.come_back,
        issuer.come_back,
        lambda: issuer.slow_down(chance.uniform(0, 4)),
        lambda: _spoil(issuer, *chance.choice(WRONG_SETS)),
    )
    while True:
        chance.choice(acts)()
        yield chance.uniform(0.2, 2.0)


PARTS = (
    Part("well", well),
    Part("down", down),
    Part("down at the start", down_at_the_start, may_refuse=True),
    Part("slow", slow),
    Part("slow at the start", slow_at_the_start, may_refuse=True),
    Part("rotating every 5 s", rotating),
    Part("wrong key sets", wrong),
    Part("by chance", by_chance),
)


class Callers:
    """Threads that verify good and wrong tokens, each as fast as it can, until told to stop."""

    def __init__(self, issuer: Issuer, verifier: Verifier, *, threads: int, seed: int) -> None:
        self._issuer = issuer
        self._verifier = verifier
        self._stop = threading.Event()
        self.counted = [Counted() for _ in range(threads)]
        self._threads = [
            threading.Thread(target=self._run, args=(counted, random.Random(seed * 1000 + number)))
            for number, counted in enumerate(self.counted)
        ]
        self.turn = 0.0  # the longest that a thread took to count, which waits for nothing but its turn
        self._threads.append(threading.Thread(target=self._count))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _count(self) -> None:
        while not self._stop.is_set():
            started = monotonic()
            sum(range(2000))
            self.turn = max(self.turn, monotonic() - started)

    def _run(self, counted: Counted, chance: random.Random) -> None:
        known, renew_at = "", 0.0
        while not self._stop.is_set():
            if chance.random() < 0.1 or monotonic() >= renew_at:  # its key is published for one rotation more
                known, renew_at = self._issuer.token(), monotonic() + ROTATION / 2
            for _ in range(chance.randrange(20)):
                self._call(counted, known, is_good=True)
            self._call(counted, self._issuer.forged(chance.choice(FORGERIES)), is_good=False)
            if self._issuer.taken_out:
                self._call_late(counted, *self._issuer.taken_out[-1])

    def _call(self, counted: Counted, token: str, *, is_good: bool) -> None:
        outcome = self._outcome(counted, token)
        counted.figures[f"{'good' if is_good else 'wrong'} {outcome}"] += 1

    def _call_late(self, counted: Counted, token: str, taken_out_at: float) -> None:
        late = monotonic() - taken_out_at
        if self._outcome(counted, token) == "let in":
            counted.afterlife = max(counted.afterlife, late)
        counted.figures["of keys taken out"] += 1

    def _outcome(self, counted: Counted, token: str) -> str:
        started = monotonic()
        try:
            self._verifier.verify(token)
        except InvalidToken:
            outcome = "refused"
        except IssuerUnavailable:
            outcome = "not verifiable"
        else:
            outcome = "let in"
        counted.longest = max(counted.longest, monotonic() - started)
        return outcome


@dataclass(frozen=True, slots=True)
class Shown:
    """Of one part."""

    figures: "Counter[str]"
    longest: float
    turn: float
    afterlife: float
    fetches: int
    seconds: float

    def broken(self, part: Part) -> list[str]:
        """The rules that were."""
        figures = self.figures
        rules = {
            "a wrong token was let in": figures["wrong let in"] == 0,
            "a good token was refused": figures["good refused"] == 0,
            "nothing was known to verify with": part.may_refuse or figures["good not verifiable"] == 0,
            "somebody waited beyond the deadline": self.longest <= DEADLINE + max(SLACK, 2 * self.turn),
            "keys that were taken out verified for too long": self.afterlife <= AFTERLIFE,
            "keys were fetched too often": self.fetches <= self.most_fetches,
            "nothing was verified": figures["good let in"] > 0,
        }
        return [rule for rule, holds in rules.items() if not holds]

    @property
    def most_fetches(self) -> int:
        """When they are due, when a key is unknown, and the quick tries after the first failures of an outage."""
        return int(self.seconds / (SHORTEST * AHEAD) + self.seconds / UNKNOWN_KEY_PAUSE) + 4

    def __str__(self) -> str:
        figures = self.figures
        wrong = sum(count for name, count in figures.items() if name.startswith("wrong"))
        parts = [
            f"{sum(figures.values()):>9,} calls: {figures['good let in']:,} let in",
            f"{figures['wrong let in']} wrong ones of {wrong:,}",
            f"{figures['good refused']} good ones refused",
            f"{figures['good not verifiable']:,} not verifiable",
            f"{self.fetches} fetches (≤ {self.most_fetches})",
            f"longest call {self.longest * 1000:,.0f} ms of {DEADLINE * 1000:,.0f}",
            f"longest turn {self.turn * 1000:,.0f} ms",
        ]
        if self.afterlife:
            parts.append(f"a key that was taken out verified for {self.afterlife:.1f} s")
        return ", ".join(parts)


def run(part: Part, options: argparse.Namespace, advance: Callable[[float], None]) -> Shown:
    with Issuer() as issuer:
        verifier = Verifier(issuer.url, issuer.audience, timeout=DEADLINE)
        script = part.script(issuer, random.Random(options.seed))
        pause = next(script)
        callers = Callers(issuer, verifier, threads=options.threads, seed=options.seed)
        started = monotonic()
        try:
            while monotonic() - started < options.seconds:
                sleep(min(pause, max(0.0, started + options.seconds - monotonic())))
                advance(monotonic() - started)
                pause = next(script)
        finally:
            callers.stop()
        figures: Counter[str] = sum((each.figures for each in callers.counted), Counter())
        longest = max(each.longest for each in callers.counted)
        afterlife = max(each.afterlife for each in callers.counted)
        return Shown(figures, longest, callers.turn, afterlife, verifier.keys.fetches, monotonic() - started)


async def stall(options: argparse.Namespace) -> tuple[int, float, int]:
    """Tasks on one event loop whose issuer is slow and then away: verified, the longest stall of the loop, fetches."""
    with Issuer() as issuer:
        issuer.slow_down(1.5)
        verifier = Verifier(issuer.url, issuer.audience, timeout=DEADLINE)
        tokens = [issuer.token() for _ in range(options.threads)]
        longest, done, ends = 0.0, 0, monotonic() + 8.0

        async def ask(token: str) -> None:
            nonlocal done
            while monotonic() < ends:
                await verifier.averify(token)
                done += 1
                await asyncio.sleep(0.01)

        async def watch() -> None:
            nonlocal longest
            while monotonic() < ends:
                before = monotonic()
                await asyncio.sleep(0.005)
                longest = max(longest, monotonic() - before - 0.005)

        asyncio.get_running_loop().call_later(4.0, issuer.go_down)
        await asyncio.gather(watch(), *(ask(token) for token in tokens))
        return done, longest, verifier.keys.fetches


def main() -> int:
    options = _options()
    logging.getLogger("keystead_verify").setLevel(logging.ERROR)  # it warns of each fetch that fails
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"seed {options.seed}, {options.threads} threads, {options.seconds:.0f} s each, {procfs.processor()}, "
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    broken: list[str] = []
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for part in (part for part in PARTS if options.only in part.name):
            with _bar(progress, part.name, options.seconds) as advance:
                shown = run(part, options, advance)
            console.print(f"{part.name:<20}{shown}")
            broken += [f"{part.name}: {rule}" for rule in shown.broken(part)]
    done, longest, fetches = asyncio.run(stall(options))
    console.print(
        f"{'one event loop':<20}{done:>9,} calls in {options.threads} tasks, issuer slow, then down, "
        f"{fetches} fetches, longest stall of the loop {longest * 1000:,.0f} ms"
    )
    for line in broken:
        console.print(f"BROKEN {line}", style="bold red")
    console.print(f"{len(broken)} rules broken")
    return 1 if broken else 0


@contextmanager
def _bar(progress: Progress, name: str, seconds: float) -> Iterator[Callable[[float], None]]:
    bar = progress.add_task(name, total=seconds)
    yield lambda done: progress.update(bar, completed=done)
    progress.update(bar, completed=seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each part")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
