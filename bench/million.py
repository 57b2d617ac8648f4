"""`make bench-million`: a million users, imported, then looked up and listed beside an installation of a thousand.

Fills an embedded PostgreSQL in a folder of its own, through the verb of `keystead users import`. Ctrl-C stops; the next
run with the same folder goes on from there, and one that finds all users goes straight to measuring.
"""

import argparse
import http.client
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import quote

from rich.console import Console
from rich.progress import Progress

from bench import conditions
from bench.crowd import DOMAINS, PASSWORD, Crowd, add, analyse, missing_batches
from bench.report import show_listing
from bench.servers import Keystead

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".proofs" / "million"
FEW = 1000
MOST = 3.0  # times the first page
_ACME, _LARGE = DOMAINS[-1], DOMAINS[0]

# What is asked of the listing. Of the oldest users some have the role `founder`, of all some the role `editor`.
FILTERS = {
    "no filter": "",
    "status=active": "status=active",
    "status=disabled": "status=disabled",
    "role=user": "role=user",
    "role=editor (1 %)": "role=editor",
    "role=founder (1 %, the oldest)": "role=founder",
    "role=admin (1)": "role=admin",
    "created_from (newest tenth)": "created_from={newest_tenth}",
    "created_before (oldest tenth)": "created_before={oldest_tenth}",
    "email_domain (45 %)": f"email_domain={_LARGE}",
    "email_domain (0.1 %)": f"email_domain={_ACME}",
    "email_domain (45 %), status=disabled": f"email_domain={_LARGE}&status=disabled",
    "email_domain (45 %), role=editor": f"email_domain={_LARGE}&role=editor",
    "role=founder, status=disabled": "role=founder&status=disabled",
}
PAGED = ("no filter", "status=active", "role=user", "email_domain (45 %)", "role=editor (1 %)")


@dataclass(slots=True)
class Site:
    """A server, its users, and whoever asks."""

    server: Keystead
    crowd: Crowd
    connection: http.client.HTTPConnection
    token: str = ""

    def ask(self, method: str, path: str, body: object = None) -> tuple[float, bytes]:
        """Milliseconds until the whole answer is there."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        text = None if body is None else json.dumps(body)
        if text is not None:
            headers["content-type"] = "application/json"
        started = perf_counter()
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        took = (perf_counter() - started) * 1000
        assert answer.status == 200, f"{path}: {answer.status} {content[:500]!r}"
        return took, content

    def sign_in(self, number: int) -> tuple[float, bytes]:
        credentials = {"email": self.crowd.address(number), "password": PASSWORD}
        return self.ask("POST", "/api/v1/auth/login", credentials)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    request: Callable[[Site], float]


def main() -> int:
    options = _options()
    console = Console(width=150)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keystead-million-")))
        scratch.chmod(0o711)
        options.folder.mkdir(parents=True, exist_ok=True)
        many, few = (
            _open(stack, _server(options.folder, scratch, name), Crowd(size))
            for name, size in (("many", options.users), ("few", FEW))
        )
        for site in (many, few):
            _fill(console, site, options.processes)
        found = conditions.describe(many.server)
        found |= {"load average before": f"{os.getloadavg()[0]:.2f}", "rounds": f"{options.rounds}; medians"}
        for site in (many, few):
            _, content = site.sign_in(0)
            site.token = json.loads(content)["access_token"]
        cases = _cases()
        times = _measure(console, cases, (many, few), options.rounds)
        show_listing(console, found, times, sizes=(options.users, FEW), most=MOST)
    return 0


def _server(folder: Path, scratch: Path, name: str) -> Keystead:
    place = folder / name
    place.mkdir(mode=0o711, exist_ok=True)
    return Keystead(
        scratch / name,
        workers=1,
        EMBEDDED__DATA_DIR=str(place / "data"),
    )


def _open(stack: ExitStack, server: Keystead, crowd: Crowd) -> Site:
    stack.callback(server.stop)
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    return Site(server, crowd, stack.enter_context(closing(connection)))


def _fill(console: Console, site: Site, processes: int) -> None:
    """Adds whoever is missing. Returns when the tables are analysed."""
    missing = missing_batches(site.crowd, site.server)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{site.crowd.size:,} users", total=len(missing))
        started = perf_counter()
        added = 0
        for count in add(site.crowd, site.server, missing, processes=processes):
            added += count
            progress.update(task, advance=1, description=f"{added / (perf_counter() - started):,.0f} users/s")
        seconds = perf_counter() - started
    if added:
        rate = added / seconds
        console.print(f"{added:,} users in {seconds:,.0f} s, {processes} processes: {rate:,.0f} users/s")
    analyse(site.server)


def _cases() -> list[Case]:
    cases = [Case(name, _listing(query)) for name, query in FILTERS.items()]
    for name in PAGED:
        cases += [
            Case(f"{name}, page in the middle", _listing(FILTERS[name], at=0.5)),
            Case(f"{name}, last page", _listing(FILTERS[name], at=1.0)),
        ]
    return [
        *cases,
        Case(
            "email=…",
            lambda site: _show(site, f"email={quote(site.crowd.address(site.crowd.size // 2))}", count=1),
        ),
        Case("email=… (nobody's)", lambda site: _show(site, "email=nobody%40example.com", count=0)),
        Case("login", lambda site: site.sign_in(site.crowd.find_active(site.crowd.size // 3))[0]),
    ]


def _listing(query: str, *, at: float = 0.0) -> Callable[[Site], float]:
    known: dict[int, str] = {}

    def request(site: Site) -> float:
        if id(site) not in known:
            known[id(site)] = site.crowd.position(site.server, _dated(site.crowd, query), at)
        return _show(site, known[id(site)])

    return request


def _dated(crowd: Crowd, query: str) -> str:
    tenth = crowd.size // 10
    return query.format(
        newest_tenth=crowd.created_at(crowd.size - tenth).isoformat().replace("+00:00", "Z"),
        oldest_tenth=crowd.created_at(tenth).isoformat().replace("+00:00", "Z"),
    )


def _show(site: Site, query: str, *, count: int | None = None) -> float:
    took, content = site.ask("GET", f"/api/v1/users?{query}")
    items = json.loads(content)["items"]
    assert count is None or len(items) == count, f"{query}: {len(items)} users"
    return took


def _measure(
    console: Console, cases: Sequence[Case], sites: tuple[Site, Site], rounds: int
) -> dict[str, list[float]]:
    """Medians of each case, at each of the sites, in turns."""
    times: dict[str, list[list[float]]] = {case.name: [[] for _ in sites] for case in cases}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=(rounds + 2) * len(cases))
        for number in range(rounds + 2):
            for case in cases:
                progress.update(task, advance=1, description=case.name)
                for place, site in enumerate(sites):
                    took = case.request(site)
                    if number >= 2:  # the first two warm up
                        times[case.name][place].append(took)
    return {name: [median(each) for each in found] for name, found in times.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.million", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="kept; remove it to begin again")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
