"""Whether an address or an id can be told from an unknown one by time: interleaved pairs against a real worker.

`python -m bench.timing --pairs 1000` reports, for each pair of classes, the median difference with a bootstrap interval
at 95 %, Welch's t, and the sign and Wilcoxon signed-rank tests (which, unlike the t-test, do not need independence of
the two samples).
"""

import argparse
import asyncio
import json
import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns

import asyncpg
import httpx2
from rich.progress import track

from keystead.kernel.ids import new_uuid
from keystead.kernel.migrate import migrate
from keystead.kernel.secrets import Secret
from tests.support import throwaway
from tests.support.databases import Urls
from tests.support.people import PASSWORD, new_email
from tests.support.server import serving

_OWASP = {"AUTH__ARGON2__MEMORY_KIB": "19456", "AUTH__ARGON2__ITERATIONS": "2", "AUTH__HASH_THREADS": "1"}
_WARM_UP = 30
_RESAMPLES = 2000
_Z_95 = 0.025


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    body: dict[str, str] | None = None
    bearer: str | None = None


Make = Callable[[], Asked]


@dataclass(frozen=True)
class Comparison:
    """Two kinds of request whose answers must take the same time."""

    name: str
    one: Make
    other: Make


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261123)
    options = parser.parse_args()
    with throwaway.postgres() as server:
        urls = Urls(server.owner_url, server.runtime_url)
        await migrate(Secret(urls.owner), runtime_url=Secret(urls.runtime))
        for verified, comparisons in ((False, _logins), (False, _strangers), (True, _registrations)):
            required = {"AUTH__REQUIRE_VERIFIED_EMAIL": json.dumps(verified)}
            async with serving(urls, **_OWASP, **required) as running:
                for comparison in await comparisons(running.base_url, urls):
                    pairs = await _measure(running.base_url, comparison, options.pairs, options.seed)
                    print(_report(comparison.name, pairs, random.Random(options.seed)))


async def _logins(url: str, urls: Urls) -> list[Comparison]:
    emails = {name: new_email() for name in ("known", "disabled")}
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        for email in emails.values():
            await client.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
    owner = await asyncpg.connect(urls.owner)
    await owner.execute(
        "UPDATE users SET status = 'disabled' WHERE created_at = (SELECT max(created_at) FROM users)"
    )
    await owner.close()

    return [
        Comparison("login: known against unknown", login(lambda: emails["known"]), login(new_email)),
        Comparison("login: disabled against unknown", login(lambda: emails["disabled"]), login(new_email)),
    ]


def login(email: Callable[[], str]) -> Make:
    return lambda: Asked("/api/v1/auth/login", {"email": email(), "password": "the wrong password of nobody"})


def register(email: Callable[[], str]) -> Make:
    return lambda: Asked("/api/v1/auth/register", {"email": email(), "password": PASSWORD})


def ask_for_mail(what: str, email: Callable[[], str]) -> Make:
    return lambda: Asked(f"/api/v1/auth/{what}", {"email": email()})


async def _strangers(url: str, _urls: Urls) -> list[Comparison]:
    """Somebody else's account, session and address, against those of nobody."""
    people = []
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        for _ in range(2):
            body = {"email": new_email(), "password": PASSWORD}
            people.append(body | (await client.post("/api/v1/auth/register", json=body)).json())
    me, stranger = people
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


async def _registrations(url: str, _urls: Urls) -> list[Comparison]:
    known = new_email()
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        await client.post("/api/v1/auth/register", json={"email": known, "password": PASSWORD})

    return [
        Comparison("login: unverified against unknown", login(lambda: known), login(new_email)),
        Comparison("register: known against new", register(lambda: known), register(new_email)),
    ]


async def _measure(url: str, comparison: Comparison, pairs: int, seed: int) -> list[tuple[float, float]]:
    """Milliseconds of each pair, whose order is drawn anew each time."""
    coin = random.Random(seed)
    measured = []
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        for number in track(range(pairs + _WARM_UP), description=comparison.name):
            if coin.random() < 0.5:
                one, other = await _time(client, comparison.one), await _time(client, comparison.other)
            else:
                other, one = await _time(client, comparison.other), await _time(client, comparison.one)
            if number >= _WARM_UP:
                measured.append((one, other))
    return measured


async def _time(client: httpx2.AsyncClient, make: Make) -> float:
    asked = make()
    headers = {} if asked.bearer is None else {"authorization": f"Bearer {asked.bearer}"}
    method = "GET" if asked.body is None else "POST"
    before = perf_counter_ns()
    await client.request(method, asked.path, json=asked.body, headers=headers)
    return (perf_counter_ns() - before) / 1e6


def _report(name: str, pairs: list[tuple[float, float]], dice: random.Random) -> str:
    differences = [one - other for one, other in pairs]
    low, high = _bootstrap(differences, dice)
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    return (
        f"{name}: n={len(pairs)} pairs, medians {statistics.median(ones):.3f} and {statistics.median(others):.3f} ms, "
        f"median difference {statistics.median(differences):+.3f} ms [{low:+.3f}, {high:+.3f}], "
        f"Welch |t|={abs(_welch(ones, others)):.2f}, sign p={_sign(differences):.3f}, "
        f"Wilcoxon p={_wilcoxon(differences):.3f}"
    )


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
    asyncio.run(main())
