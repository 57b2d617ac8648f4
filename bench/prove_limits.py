"""`make prove-limits`: guessing, overshoot, fairness; and a Valkey that is killed, flushed and frozen.

A real server of two workers over a PostgreSQL and a Valkey of its own, over HTTP, with limits and Argon2id as
delivered; the proof is a trusted proxy, and tells the clients' addresses by `X-Forwarded-For`. It takes some fifteen
minutes, with `--small` one. The exit status is 1 when a bar is missed.
"""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import uvloop
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import procfs
from keystead.kernel.telemetry import configure_logging
from tests.conftest import settings_for
from tests.limits.proofs import overshoot
from tests.limits.proofs.fairness import office
from tests.limits.proofs.guessing import guess, sign_in_at_once
from tests.limits.proofs.outages import besiege
from tests.limits.proofs.stage import ARGON2_AS_DELIVERED, Finding, Stage, limited_stage, valkey_killed
from tests.support import throwaway
from tests.support.databases import Cluster

WIDTH = 500


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    guesses: int
    addresses: int
    connections: int
    sign_in_rounds: int
    rounds: int
    people: int
    arriving: float
    staying: float
    seconds: float
    every: float


FULL = Size(
    guesses=10_000,
    addresses=1000,
    connections=500,
    sign_in_rounds=20,
    rounds=20,
    people=1000,
    arriving=120,
    staying=180,
    seconds=300,
    every=5,
)
SMALL = Size(
    guesses=1000,
    addresses=200,
    connections=100,
    sign_in_rounds=2,
    rounds=1,
    people=100,
    arriving=10,
    staying=5,
    seconds=15,
    every=2.5,
)


@dataclass(frozen=True, slots=True)
class Run:
    """What the parts are told."""

    stage: Stage
    size: Size
    seed: int
    progress: Progress

    def bar(self, name: str, total: float) -> Callable[[float], None]:
        task = self.progress.add_task(name, total=total)
        return lambda done: self.progress.update(task, completed=done)


async def _guessing(run: Run) -> list[Finding]:
    size = run.size
    found = await guess(
        run.stage,
        guesses=size.guesses,
        addresses=size.addresses,
        connections=size.connections,
        seed=run.seed,
        every=1.0,
        advance=run.bar("guesses", size.guesses),
    )
    rounds = size.sign_in_rounds
    advance = run.bar("right passwords", rounds)
    return found + await sign_in_at_once(run.stage, width=50, rounds=rounds, seed=run.seed, advance=advance)


async def _overshoot(run: Run) -> list[Finding]:
    rounds = run.size.rounds
    spend = partial(overshoot.overshoot, width=WIDTH, rounds=rounds, seed=run.seed)
    hold = partial(overshoot.overshoot_of_places, width=WIDTH, rounds=rounds, seed=run.seed)
    alone = partial(overshoot.overshoot_alone, width=WIDTH, rounds=rounds, seed=run.seed)
    found = []
    for bucket in overshoot.BUCKETS:
        found += await spend(run.stage, bucket, advance=run.bar(bucket.name, rounds))
    found += await hold(run.stage, advance=run.bar("concurrency", rounds))
    async with valkey_killed(run.stage):
        found += await alone(run.stage, advance=run.bar("Valkey killed", rounds))
    return found


async def _fairness(run: Run) -> list[Finding]:
    size = run.size
    return await office(
        run.stage,
        people=size.people,
        arriving=size.arriving,
        staying=size.staying,
        seed=run.seed,
        advance=run.bar("an office", size.arriving + size.staying),
    )


async def _valkey(run: Run) -> list[Finding]:
    size = run.size
    return await besiege(
        run.stage,
        seconds=size.seconds,
        every=size.every,
        honest=20,
        accounts=5,
        seed=run.seed,
        advance=run.bar("Valkey", size.seconds),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One proof, on a stage of its own."""

    name: str
    run: Callable[[Run], Awaitable[list[Finding]]]
    configured: Mapping[str, str]


PARTS = (
    Part("guessing", _guessing, {}),
    Part("overshoot", _overshoot, overshoot.SETTINGS),
    Part("fairness", _fairness, {}),
    Part("valkey", _valkey, {}),
)


def main() -> int:
    options = _options()
    configure_logging(level="error", form="console")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 180)
    console.print(
        f"seed {options.seed}, {procfs.processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}; two workers, Argon2id 19 MiB, 2 passes"
    )
    size = SMALL if options.small else FULL
    if options.seconds is not None:
        size = replace(size, seconds=options.seconds)
    with (
        throwaway.postgres({}) as server,
        Progress(console=console, disable=not console.is_terminal) as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(_prove(Cluster(server), options, size, progress))
    _print(console, found, options.seed)
    missed = sum(not each.holds for each in found)
    console.print(f"{missed} of {len(found)} bars missed, load {os.getloadavg()[0]:.1f} at the end")
    return 1 if missed or not found else 0


async def _prove(
    cluster: Cluster, options: argparse.Namespace, size: Size, progress: Progress
) -> list[Finding]:
    await cluster.make_template(settings_for)
    found: list[Finding] = []
    for part in PARTS:
        if options.only in part.name:
            async with limited_stage(cluster, configured={**ARGON2_AS_DELIVERED, **part.configured}) as stage:
                found += await part.run(Run(stage, size, options.seed, progress))
    return found


def _print(console: Console, found: list[Finding], seed: int) -> None:
    table = Table(box=box.MARKDOWN)
    for number, heading in enumerate(("what", "n", "seed", "figure", "bar", "")):
        table.add_column(heading, justify="right" if number in (1, 2) else "left")
    for each in found:
        verdict = "met" if each.holds else "MISSED"
        table.add_row(each.what, f"{each.n:,}", str(seed), each.figure, each.bar, verdict)
    console.print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a sample of each, in a minute")
    parser.add_argument("--seconds", type=float, help="of the part `valkey`: 300 by default")
    names = ", ".join(part.name for part in PARTS)
    parser.add_argument("--only", default="", help=f"parts whose name contains this: {names}")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
