"""`make prove-rotation`: the rotation of refresh tokens, proven in full on a real server of two workers.

Starts a PostgreSQL of its own. Ctrl-C stops; the next run with the same seed, scale and code goes on from there. A part
that breaks a rule tells how, with the seed of its chunk, and the exit status is 1.
"""

import argparse
import asyncio
import os
import platform
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import uvloop
from rich.console import Console
from rich.progress import Progress

import keystead
from bench import procfs
from bench.proof_state import Shown, State, fingerprint
from keystead.kernel.telemetry import configure_logging
from tests.conftest import settings_for
from tests.proofs import cost
from tests.proofs.crash import kill_between_steps, kill_under_load
from tests.proofs.database import lose_commits, terminate_backends
from tests.proofs.gate import Gate
from tests.proofs.honest import late_tabs, lose_answers
from tests.proofs.model import Model, MortalModel, explore
from tests.proofs.race import race
from tests.proofs.site import Site, gated_site
from tests.proofs.theft import CASES, Case, theft
from tests.support import throwaway
from tests.support.databases import Cluster

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
STATE = ROOT / ".proofs" / "rotation.json"
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Stage:
    """A server behind a gate, and the loop that everything runs on."""

    loop: asyncio.AbstractEventLoop
    superuser_url: str
    site: Site
    gate: Gate

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)


Run = Callable[[Stage, int], "Counter[str]"]


@dataclass(frozen=True, slots=True)
class Part:
    """One proof in chunks of equal size, each with a seed of its own; `unit` is what counts as a trial."""

    name: str
    unit: str
    chunks: int
    run: Run


def _race(stage: Stage, seed: int, *, width: int, rounds: int) -> "Counter[str]":
    return stage.do(race(stage.site, width=width, rounds=rounds, seed=seed))


def _lost_answers(stage: Stage, seed: int) -> "Counter[str]":
    return stage.do(lose_answers(stage.site, lost=1000, clients=CLIENTS, seed=seed))


def _late_tabs(stage: Stage, seed: int) -> "Counter[str]":
    return stage.do(late_tabs(stage.site, rounds=1000, seed=seed))


def _theft(stage: Stage, _seed: int, *, case: Case) -> "Counter[str]":
    return stage.do(theft(stage.site, case=case, trials=50))


def _kills_under_load(stage: Stage, seed: int) -> "Counter[str]":
    return stage.do(kill_under_load(stage.site, kills=10, operations=2000, clients=CLIENTS, seed=seed))


def _kills_between_steps(stage: Stage, seed: int) -> "Counter[str]":
    return stage.do(kill_between_steps(stage.site, stage.gate, points=None, seed=seed))


def _lost_commits(stage: Stage, seed: int) -> "Counter[str]":
    return stage.do(lose_commits(stage.site, stage.gate, lost=500, clients=CLIENTS, seed=seed))


def _terminated_backends(stage: Stage, seed: int) -> "Counter[str]":
    work = terminate_backends(stage.site, stage.superuser_url, terminated=300, clients=CLIENTS, seed=seed)
    return stage.do(work)


def _model(stage: Stage, seed: int, *, kind: type[Model], histories: int, steps: int) -> "Counter[str]":
    return explore(kind, stage.site, stage.loop, histories=histories, steps=steps, seed=seed)


PARTS = (
    Part("race of 2", "parallel refreshes", 50, partial(_race, width=2, rounds=500)),
    Part("race of 8", "parallel refreshes", 50, partial(_race, width=8, rounds=125)),
    Part("race of 50", "parallel refreshes", 50, partial(_race, width=50, rounds=20)),
    Part("race of 200", "parallel refreshes", 30, partial(_race, width=200, rounds=10)),
    Part("lost answers", "answers lost", 10, _lost_answers),
    Part("late tab", "late refreshes", 10, _late_tabs),
    *(Part(f"theft: {case}", "replays", 10, partial(_theft, case=case)) for case in CASES),
    Part("kill -9 under load", "kills", 10, _kills_under_load),
    Part("kill -9 between steps", "kills", 5, _kills_between_steps),
    Part("COMMIT without answer", "answers lost", 10, _lost_commits),
    Part("backend terminated", "backends", 10, _terminated_backends),
    Part("model", "steps", 10, partial(_model, kind=Model, histories=40, steps=50)),
    Part("model with kills", "steps", 10, partial(_model, kind=MortalModel, histories=8, steps=30)),
)


def main() -> int:
    options = _options()
    configure_logging(level="error", form="console")
    console = Console(highlight=False, soft_wrap=True)
    code = fingerprint([Path(keystead.__file__).parent, ROOT / "tests" / "proofs"])
    if options.fresh:
        STATE.unlink(missing_ok=True)
    state = State(STATE, key=f"seed {options.seed}, scale {options.scale}, code {code}")
    console.print(f"seed {options.seed}, code {code}, {_machine()}")
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        throwaway.postgres() as server,
        Progress(console=console, disable=not console.is_terminal) as progress,
    ):
        proof = Proof(runner.get_loop(), Cluster(server), state, console, progress, options)
        proof.loop.run_until_complete(proof.cluster.make_template(settings_for))
        broken = [part for part in PARTS if options.only in part.name and not proof.run(part)]
        for line in proof.loop.run_until_complete(cost.lines(proof.cluster)) if not options.only else ():
            console.print(line)
    return 1 if broken else 0


@dataclass(frozen=True, slots=True)
class Proof:
    """One run over the parts."""

    loop: asyncio.AbstractEventLoop
    cluster: Cluster
    state: State
    console: Console
    progress: Progress
    options: argparse.Namespace

    def run(self, part: Part) -> bool:
        """Whether the rest of `part` broke no rule."""
        chunks = max(1, round(part.chunks * self.options.scale))
        first = self.state.of(part.name).chunks
        bar = self.progress.add_task(part.name, total=chunks, completed=first)
        stack = AsyncExitStack()
        try:
            if first < chunks:
                stage = self.loop.run_until_complete(self._open(stack))
                for chunk in range(first, chunks):
                    if not self._run_chunk(stage, part, chunk):
                        return False
                    self.progress.advance(bar)
        finally:
            self.loop.run_until_complete(stack.aclose())
        self.console.print(_line(part, self.state.of(part.name)))
        return True

    async def _open(self, stack: AsyncExitStack) -> Stage:
        site, gate = await stack.enter_async_context(gated_site(self.cluster))
        return Stage(self.loop, self.cluster.server.superuser_url, site, gate)

    def _run_chunk(self, stage: Stage, part: Part, chunk: int) -> bool:
        seed = self.options.seed * 1000 + chunk
        started = monotonic()
        try:
            figures = part.run(stage, seed)
        except (AssertionError, ExceptionGroup) as broken:
            self.console.print(f"{part.name}: BROKEN in chunk {chunk} (seed {seed})", style="bold red")
            self.console.print("".join(traceback.format_exception(broken)), markup=False)
            return False
        self.state.add(part.name, figures, monotonic() - started)
        return True


def _line(part: Part, shown: Shown) -> str:
    trials = shown.figures["trials"]
    more = ", ".join(f"{count:,} {name}" for name, count in sorted(shown.figures.items()) if name != "trials")
    result = f"{trials:>7,} {part.unit}, 0 violations (≤ {3 / trials:.1e} at 95 %)"
    return f"{part.name:<38} {result}, {shown.seconds:.0f} s{'; ' + more if more else ''}"


def _machine() -> str:
    return f"{procfs.processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size; at least one chunk")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs have shown")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
