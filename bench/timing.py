"""`make prove-timing`: whether anything about an account can be told by time. Interleaved pairs against a real worker.

For each pair of classes: the median difference with a bootstrap interval at 95 %, Welch's t, and the sign and Wilcoxon
signed-rank tests (which, unlike the t-test, do not need independence of the two samples). A pair is met if |t| < 4.5,
both p > 0.001 and the interval is within half a millisecond. Exit status 1 if one is missed.

Every request comes from a network of its own, as a proxy would say, so that guesses are counted as those of many.
With `--keep FILE`, what was measured is kept there, and a run that was stopped is resumed.
"""

import argparse
import asyncio
import json
import math
import os
import platform
import random
import statistics
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import asyncpg
import httpx2
from rich.progress import Progress

from bench import procfs
from keystead.kernel.ids import new_uuid
from keystead.kernel.migrate import migrate
from keystead.kernel.secrets import Secret
from tests.support import throwaway
from tests.support.databases import Urls
from tests.support.people import PASSWORD, new_email
from tests.support.server import serving

LARGEST_T = 4.5
LEAST_P = 0.001
MOST_MS = 0.5

_OWASP = {
    "AUTH__ARGON2__MEMORY_KIB": "19456",
    "AUTH__ARGON2__ITERATIONS": "2",
    "AUTH__HASH_THREADS": "1",
    "SERVER__TRUSTED_PROXIES": "127.0.0.1/32",
}
_GUESSES_EACH = 60  # at one account, of the hundred that are allowed
_BUDGET = 5  # guesses from one network
_CHUNK = 100
_WARM_UP = 30
_RESAMPLES = 2000
_Z_95 = 0.025
_WRONG = "the wrong password of nobody"


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    body: dict[str, str] | None = None
    bearer: str | None = None
    address: str | None = None  # a new one, if none is given


Make = Callable[[], Asked]


async def _nothing() -> None:
    """For most, nothing must be made ready."""


@dataclass(frozen=True)
class Comparison:
    """Two kinds of request whose answers must take the same time. `ready` is awaited before each hundred pairs.

    `tells`: what a difference would tell, where that is no secret; it is measured, and no bar.
    """

    name: str
    one: Make
    other: Make
    ready: Callable[[], Awaitable[None]] = _nothing
    tells: str = ""


@dataclass
class Stage:
    """A running server, and a hand in its database."""

    client: httpx2.AsyncClient
    owner: "asyncpg.Connection[asyncpg.Record]"
    pairs: int
    networks: "count[int]" = field(default_factory=lambda: count(1))

    async def accounts(self, status: str = "active") -> list[str]:
        """As many as that none is guessed at too often."""
        people = [await self.register() for _ in range(self._wanted())]
        statement = "UPDATE users SET status = $1 WHERE id = ANY($2::uuid[])"
        await self.owner.execute(statement, status, [each["user"]["id"] for each in people])
        return [each["email"] for each in people]

    def nobodies(self) -> list[str]:
        return [new_email() for _ in range(self._wanted())]

    async def register(self) -> dict[str, Any]:
        body = {"email": new_email(), "password": PASSWORD}
        answer = await self.ask(Asked("/api/v1/auth/register", body))
        return body | answer.json()

    async def ask(self, asked: Asked) -> httpx2.Response:
        headers = {"x-forwarded-for": asked.address or self.network()}
        if asked.bearer is not None:
            headers["authorization"] = f"Bearer {asked.bearer}"
        method = "GET" if asked.body is None else "POST"
        return await self.client.request(method, asked.path, json=asked.body, headers=headers)

    def network(self) -> str:
        """An address in a network that nobody has come from before."""
        number = next(self.networks)
        return f"10.{number >> 8 & 255}.{number & 255}.{1 + (number >> 16)}"

    async def block(self, emails: list[str], network: str | None) -> None:
        """For a day: guesses from this network, or from everywhere."""
        for email in emails:
            for _ in range(_BUDGET if network else 1):
                await self.ask(login([email], address=network)())
        whose = "source <> ''" if network else "source = ''"
        await self.owner.execute(f"UPDATE guesses SET blocked_until = now() + interval '1 day' WHERE {whose}")

    def _wanted(self) -> int:
        return 2 + (self.pairs + _WARM_UP + _CHUNK) // _GUESSES_EACH


async def main() -> int:
    options = _options()
    kept = _Kept(options.keep, seed=options.seed)
    print(
        f"seed {options.seed}, {options.pairs:,} pairs each, {procfs.processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    missed = 0
    with throwaway.postgres() as server, throwaway.valkey() as valkey, Progress() as progress:
        urls = Urls(server.owner_url, server.runtime_url)
        await migrate(Secret(urls.owner), runtime_url=Secret(urls.runtime))
        owner = await asyncpg.connect(urls.owner)
        for verified, make in SCENES:
            required = {"AUTH__REQUIRE_VERIFIED_EMAIL": json.dumps(verified), "REDIS__URL": valkey.url}
            async with (
                serving(urls, **_OWASP, **required) as running,
                httpx2.AsyncClient(base_url=running.base_url, timeout=30) as client,
            ):
                stage = Stage(client, owner, options.pairs)
                for comparison in await make(stage):
                    if options.only in comparison.name:
                        await _measure(stage, comparison, kept, options, progress)
                        missed += not _report(comparison, kept.of(comparison.name), options.seed)
        await owner.close()
    print(f"{missed} missed")
    return 1 if missed else 0


async def _logins(stage: Stage) -> list[Comparison]:
    known, disabled, locked = (
        await stage.accounts(),
        await stage.accounts("disabled"),
        await stage.accounts("locked"),
    )
    return [
        Comparison("login: known against unknown", login(known), login(stage.nobodies())),
        Comparison("login: disabled against unknown", login(disabled), login(stage.nobodies())),
        Comparison(
            "login: disabled, right password, against wrong",
            login(disabled, password=PASSWORD),
            login(await stage.accounts()),
        ),
        Comparison(
            "login: locked, right password, against wrong",
            login(locked, password=PASSWORD),
            login(await stage.accounts()),
        ),
    ]


async def _blocked(stage: Stage) -> list[Comparison]:
    """Refused before anything is hashed, so quick that differences would show."""
    known, nobodies, network = (await stage.accounts())[:20], stage.nobodies()[:20], stage.network()
    await stage.block(known + nobodies, network)
    return [
        Comparison(
            "blocked network: known against unknown",
            login(known, address=network),
            login(nobodies, address=network),
        ),
    ]


async def _closed(stage: Stage) -> list[Comparison]:
    known, nobodies = (await stage.accounts())[:20], stage.nobodies()[:20]
    await stage.block(known + nobodies, None)
    return [Comparison("blocked account: known against unknown", login(known), login(nobodies))]


async def _fifths(stage: Stage) -> list[Comparison]:
    """The guess that uses the budget of a network up, and is recorded as such."""
    known, nobodies, others = await stage.accounts(), stage.nobodies(), await stage.accounts()
    fifths = {name: _Fifths(stage, emails) for name, emails in (("k", known), ("n", nobodies), ("o", others))}

    async def ready() -> None:
        await fifths["k"].make_ready()
        await fifths["n"].make_ready()

    return [
        Comparison("fifth wrong guess: known against unknown", fifths["k"], fifths["n"], ready),
        Comparison(
            "first wrong guess against fifth",
            login(await stage.accounts()),
            fifths["o"],
            fifths["o"].make_ready,
            tells="what the next answer says openly, 429",
        ),
    ]


class _Fifths:
    """Guesses from networks that have one left."""

    def __init__(self, stage: Stage, emails: list[str]) -> None:
        self._stage = stage
        self._emails = cycle(emails)
        self._ready: list[tuple[str, str]] = []

    async def make_ready(self) -> None:
        while len(self._ready) < _CHUNK + _WARM_UP:
            email, network = next(self._emails), self._stage.network()
            await self._stage.ask(login([email], address=network)())
            self._ready.append((email, network))
        await self._stage.owner.execute(
            "UPDATE guesses SET failures = $1 WHERE source <> '' AND failures = 1 AND blocked_until IS NULL",
            _BUDGET - 1,
        )

    def __call__(self) -> Asked:
        email, network = self._ready.pop()
        return login([email], address=network)()


def login(emails: list[str], *, password: str = _WRONG, address: str | None = None) -> Make:
    """By each in turn."""
    turns = cycle(emails)
    return lambda: Asked("/api/v1/auth/login", {"email": next(turns), "password": password}, address=address)


def register(email: Callable[[], str]) -> Make:
    return lambda: Asked("/api/v1/auth/register", {"email": email(), "password": PASSWORD})


def ask_for_mail(what: str, email: Callable[[], str]) -> Make:
    return lambda: Asked(f"/api/v1/auth/{what}", {"email": email()})


async def _strangers(stage: Stage) -> list[Comparison]:
    """Somebody else's account, session and address, against those of nobody."""
    me, stranger = await stage.register(), await stage.register()
    bearer = me["access_token"]

    def read(path: str, name: Callable[[], str]) -> Make:
        return lambda: Asked(f"/api/v1/{path}/{name()}", bearer=bearer)

    def nobody() -> str:
        return str(new_uuid())

    def known() -> str:
        return str(stranger["email"])

    return [
        Comparison(
            "a stranger's account against none",
            read("users", lambda: stranger["user"]["id"]),
            read("users", nobody),
        ),
        Comparison(
            "a stranger's session against none",
            read("refresh_tokens", lambda: stranger["session_id"]),
            read("refresh_tokens", nobody),
        ),
        Comparison(
            "forgot: known against unknown",
            ask_for_mail("password/forgot", known),
            ask_for_mail("password/forgot", new_email),
        ),
        Comparison(
            "resend: known against unknown",
            ask_for_mail("email/resend", known),
            ask_for_mail("email/resend", new_email),
        ),
    ]


async def _registrations(stage: Stage) -> list[Comparison]:
    known = new_email()
    attempts = stage.nobodies()
    for email in (known, *attempts):
        await stage.ask(register(lambda email=email: email)())
    return [
        Comparison(
            "login: unverified against unknown",
            login(attempts),
            login(stage.nobodies()),
        ),
        Comparison("register: known against new", register(lambda: known), register(new_email)),
    ]


SCENES = (
    (False, _logins),
    (False, _blocked),
    (False, _closed),
    (False, _fifths),
    (False, _strangers),
    (True, _registrations),
)


class _Kept:
    """Pairs by comparison, in milliseconds; in a file, if there is one."""

    def __init__(self, path: Path | None, *, seed: int) -> None:
        self._path = path
        self._seed = seed
        self._pairs: dict[str, list[tuple[float, float]]] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                if entry["seed"] == seed:
                    self._pairs.setdefault(entry["name"], []).extend(map(tuple, entry["pairs"]))

    def of(self, name: str) -> list[tuple[float, float]]:
        return self._pairs.get(name, [])

    def add(self, name: str, pairs: list[tuple[float, float]]) -> None:
        self._pairs.setdefault(name, []).extend(pairs)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"seed": self._seed, "name": name, "pairs": pairs}) + "\n")


async def _measure(
    stage: Stage, comparison: Comparison, kept: _Kept, options: argparse.Namespace, progress: Progress
) -> None:
    """Pairs whose order is drawn anew each time, until there are as many as asked for."""
    coin = random.Random(f"{options.seed} {comparison.name} {len(kept.of(comparison.name))}")
    bar = progress.add_task(comparison.name, total=options.pairs, completed=len(kept.of(comparison.name)))
    is_warm = False
    while (missing := options.pairs - len(kept.of(comparison.name))) > 0:
        await comparison.ready()
        statuses: Counter[int] = Counter()
        for _ in range(0 if is_warm else _WARM_UP):
            await _pair(stage, comparison, coin, statuses)
        is_warm = True
        pairs = [await _pair(stage, comparison, coin, statuses) for _ in range(min(_CHUNK, missing))]
        if len(statuses) != 1:
            raise RuntimeError(f"{comparison.name}: what is told apart by its status: {dict(statuses)}")
        kept.add(comparison.name, pairs)
        progress.update(bar, completed=len(kept.of(comparison.name)))


async def _pair(
    stage: Stage, comparison: Comparison, coin: random.Random, statuses: "Counter[int]"
) -> tuple[float, float]:
    if coin.random() < 0.5:
        one, other = (
            await _time(stage, comparison.one, statuses),
            await _time(stage, comparison.other, statuses),
        )
    else:
        other, one = (
            await _time(stage, comparison.other, statuses),
            await _time(stage, comparison.one, statuses),
        )
    return one, other


async def _time(stage: Stage, make: Make, statuses: "Counter[int]") -> float:
    asked = make()
    before = perf_counter_ns()
    answer = await stage.ask(asked)
    after = perf_counter_ns()
    statuses[answer.status_code] += 1
    return (after - before) / 1e6


def _report(comparison: Comparison, pairs: list[tuple[float, float]], seed: int) -> bool:
    """Whether it is met."""
    differences = [one - other for one, other in pairs]
    low, high = _bootstrap(differences, random.Random(seed))
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    t, sign, wilcoxon = abs(_welch(ones, others)), _sign(differences), _wilcoxon(differences)
    is_met = t < LARGEST_T and min(sign, wilcoxon) > LEAST_P and -MOST_MS < low and high < MOST_MS
    verdict = "met" if is_met else f"no bar: tells {comparison.tells}" if comparison.tells else "MISSED"
    print(
        f"{comparison.name}: n={len(pairs):,} pairs, medians {statistics.median(ones):.3f} and "
        f"{statistics.median(others):.3f} ms, median difference {statistics.median(differences):+.3f} ms "
        f"[{low:+.3f}, {high:+.3f}], Welch |t|={t:.2f}, sign p={sign:.3f}, Wilcoxon p={wilcoxon:.3f}: {verdict}"
    )
    return is_met or bool(comparison.tells)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=10_000, help="of each comparison")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--only", default="", help="comparisons whose name contains this")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep what was measured, and resume")
    return parser.parse_args()


def _bootstrap(differences: list[float], dice: random.Random) -> tuple[float, float]:
    medians = sorted(
        statistics.median(dice.choices(differences, k=len(differences))) for _ in range(_RESAMPLES)
    )
    return medians[int(_RESAMPLES * _Z_95)], medians[int(_RESAMPLES * (1 - _Z_95))]


def _welch(ones: list[float], others: list[float]) -> float:
    spread = statistics.variance(ones) / len(ones) + statistics.variance(others) / len(others)
    return (statistics.fmean(ones) - statistics.fmean(others)) / math.sqrt(spread)


def _sign(differences: list[float]) -> float:
    """Two-sided, by the normal approximation."""
    positive = sum(difference > 0 for difference in differences)
    return _two_sided((positive - len(differences) / 2) / math.sqrt(len(differences) / 4))


def _wilcoxon(differences: list[float]) -> float:
    """Two-sided, by the normal approximation; ties do not occur at this resolution."""
    ranked = sorted(differences, key=abs)
    count = len(ranked)
    positive = sum(rank for rank, difference in enumerate(ranked, 1) if difference > 0)
    mean, variance = count * (count + 1) / 4, count * (count + 1) * (2 * count + 1) / 24
    return _two_sided((positive - mean) / math.sqrt(variance))


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
