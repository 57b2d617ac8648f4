"""`python -m bench`: the figures of docs/performance.md, measured in one run."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench import conditions, procfs, report, traffic
from bench.contest import Contender, Samples, Target, compete
from bench.floors import Floor, hashing, signing
from bench.servers import Keystead, Server, bare_starlette, least

WORKERS = 2
CONNECTIONS = 32
LOGIN_CONNECTIONS = 16

TARGETS = (
    Target("GET /users/me", "bare Starlette route", 0.12),
    Target("POST /auth/refresh, RS256-2048", "RS256-2048 signature", 0.22),
    Target("POST /auth/login", "Argon2id hash", 0.8),
)
MOST_MEMORY_MIB = 90.0
LONGEST_COLD_START = 60.0
LONGEST_WARM_START = 2.0


@dataclass(frozen=True, slots=True)
class Effort:
    rounds: int
    seconds: float
    starts: int


def main() -> int:
    effort = _effort()
    console = Console(width=160)
    if sys.platform != "linux":
        console.print("The costs are read from /proc, so this runs on Linux only.")
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keystead-bench-")))
        folder.chmod(0o711)  # the database of a root user's Keystead runs as somebody else
        _measure(console, effort, folder, stack)
    return 0


def _measure(console: Console, effort: Effort, folder: Path, stack: ExitStack) -> None:
    busy_before = os.getloadavg()[0]
    cold, warm = _time_starts(folder, effort.starts)
    settings = {
        "RS256-3072": {},
        "RS256-2048": {"AUTH__RSA_BITS": "2048"},
        "ES256": {"AUTH__SIGNING_ALGORITHM": "ES256"},
    }
    keysteads = {name: Keystead(folder / name, workers=WORKERS, **more) for name, more in settings.items()}
    compared = {"starlette": bare_starlette(folder, workers=WORKERS), "least": least(folder)}
    for server in (*keysteads.values(), *compared.values()):
        stack.callback(server.stop)
        server.start()
    found = conditions.describe(keysteads["RS256-3072"])
    found |= {
        "servers": f"{WORKERS} workers each, {CONNECTIONS} accounts each",
        "load": f"{CONNECTIONS} connections, {LOGIN_CONNECTIONS} for login, from this machine",
        "load average before": f"{busy_before:.2f}",
        "rounds": f"{effort.rounds} of {effort.seconds:g} s after one to warm up; medians",
    }
    contenders = _contenders(keysteads, compared, stack)
    samples = _compete(console, contenders, effort)
    pids = keysteads["RS256-3072"].worker_pids()
    resident, share = ([procfs.memory_mib(pid, kind) for pid in pids] for kind in ("Rss", "Pss"))
    report.show_conditions(console, found)
    report.show_rates(console, samples, [each.name for each in contenders])
    report.show_targets(console, samples, TARGETS)
    report.show_limits(
        console,
        (
            ("MiB of each worker after the load, resident", resident, MOST_MEMORY_MIB),
            ("MiB of each worker after the load, its share (PSS)", share, MOST_MEMORY_MIB),
            ("seconds until the first start is ready", cold, LONGEST_COLD_START),
            ("seconds until a later start is ready", warm, LONGEST_WARM_START),
        ),
    )


def _contenders(
    keysteads: dict[str, Keystead], compared: dict[str, Server], stack: ExitStack
) -> list[Contender]:
    """Each beside what it is measured against."""
    default = keysteads["RS256-3072"]
    people = traffic.register(default, CONNECTIONS)
    signatures, hashes = Floor(signing(2048)), Floor(hashing)
    for floor in (signatures, hashes):
        stack.callback(floor.close)
    refreshes = [
        Contender(
            f"POST /auth/refresh, {name}",
            traffic.refresh(keystead, traffic.register(keystead, CONNECTIONS)).measure,
        )
        for name, keystead in keysteads.items()
    ]
    return [
        Contender("the load's own ceiling", traffic.bare(compared["least"], CONNECTIONS).measure),
        Contender("bare Starlette route", traffic.bare(compared["starlette"], CONNECTIONS).measure),
        Contender("GET /users/me", traffic.me(default, people).measure),
        *refreshes,
        Contender("RS256-2048 signature", signatures.measure),
        Contender("POST /auth/login", traffic.login(default, people[:LOGIN_CONNECTIONS]).measure),
        Contender("Argon2id hash", hashes.measure),
    ]


def _compete(console: Console, contenders: Sequence[Contender], effort: Effort) -> Samples:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=(effort.rounds + 1) * len(contenders))
        return compete(
            contenders,
            rounds=effort.rounds,
            seconds=effort.seconds,
            advance=lambda name: progress.update(task, advance=1, description=name),
        )


def _time_starts(folder: Path, times: int) -> tuple[list[float], list[float]]:
    """Seconds of the first start over an empty folder and of the one after it, several times."""
    cold: list[float] = []
    warm: list[float] = []
    for number in range(times):
        server = Keystead(folder / f"start-{number}", workers=WORKERS)
        for seconds in (cold, warm):
            try:
                seconds.append(server.start())
            finally:
                server.stop()
    return cold, warm


def _effort() -> Effort:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each round of each contender")
    given = parser.parse_args()
    if given.quick:
        return Effort(rounds=1, seconds=0.3, starts=1)
    return Effort(given.rounds, given.seconds, starts=3)


if __name__ == "__main__":
    raise SystemExit(main())
