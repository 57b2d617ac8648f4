"""`make mutants`: breaks the code on purpose, one way at a time, and sees whether the tests find it.

Each mutant is applied to a copy of `src`, which the tests named beside it then import; the checkout is never touched.
With --classes each class of weakness of docs/security/weaknesses.md is brought back by the mutants named for it, and
its own tests alone must find them. The exit status is 1 when a mutant survives, or when the text that it changes is no
longer there.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import Progress

from bench.evidence.__main__ import gather
from bench.mutant_list import MUTANTS as FIRST
from bench.mutant_list import Mutant
from bench.mutant_list_classes import CLASS_MUTANTS
from bench.mutant_list_limits import LIMIT_MUTANTS

MUTANTS = (*FIRST, *CLASS_MUTANTS, *LIMIT_MUTANTS)
ROOT = Path(__file__).parents[1]
SECONDS = 300.0
_PYTEST = ("-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly")
_FAILED_TEST = re.compile(r"^FAILED \S+::(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a mutant. Only a test that failed has killed it; an error before the test shows nothing."""

    is_killed: bool
    how: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument(
        "--classes",
        nargs="*",
        type=int,
        metavar="NUMBER",
        help="by class of weakness: all, or these",
    )
    options = parser.parse_args()
    listed = MUTANTS if options.classes is None else tuple(_of_classes(options.classes))
    chosen = [mutant for mutant in listed if options.only in mutant.name]
    console = Console(highlight=False, soft_wrap=True)
    fates: list[Fate] = []
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("the code as it is", total=len(chosen) + 1)
        if (said := _find_failure(chosen)) is not None:
            console.print(f"The tests fail without any mutant:\n{said}", markup=False)
            return 1
        for mutant in chosen:
            progress.update(bar, description=mutant.name, advance=1)
            started = monotonic()
            fates.append(_judge(mutant))
            console.print(f"{monotonic() - started:6.1f} s  {mutant.name}: {fates[-1].how}", markup=False)
        progress.advance(bar)
    killed = sum(fate.is_killed for fate in fates)
    console.print(f"{killed} of {len(chosen)} mutants killed")
    return 0 if killed == len(chosen) else 1


def _of_classes(numbers: Sequence[int]) -> Iterator[Mutant]:
    """The mutants of these classes, or of all: each with the tests of its class and no other."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    for verdict in gather().of("class"):
        if not numbers or int(verdict.row.number) in numbers:
            tests = tuple(test.node for test in verdict.tests)
            for name in verdict.row.mutants:
                mutant = by_name[name]
                yield replace(mutant, name=f"class {verdict.row.number}: {name}", tests=tests)


def _find_failure(mutants: Sequence[Mutant]) -> str | None:
    """What the tests of all `mutants` say when they fail on a copy that nothing was done to."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with _copy() as source:
        done = _run(source, tests, seconds=None)
    return None if done.returncode == 0 else done.stdout[-4000:]


def _judge(mutant: Mutant) -> Fate:
    with _copy() as source:
        path = source / "keystead" / mutant.file
        text = path.read_text("utf-8")
        for old, new in mutant.changes:
            if text.count(old) != 1:
                return Fate(False, f"OUT OF DATE, {text.count(old)} places read {old!r}")
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
        try:
            done = _run(source, mutant.tests)
        except subprocess.TimeoutExpired:
            return Fate(False, f"UNCLEAR, its tests did not end in {SECONDS:.0f} s")
    if done.returncode == 0:
        return Fate(False, "SURVIVED")
    if failed := _FAILED_TEST.search(done.stdout):
        return Fate(True, f"killed by {failed[1]}")
    return Fate(False, f"UNCLEAR, its tests could not be run:\n{done.stdout[-2000:]}")


@contextmanager
def _copy() -> Iterator[Path]:
    """A fresh copy of `src`, so that no compiled file of another mutant is taken for its own."""
    with tempfile.TemporaryDirectory(prefix="keystead-mutant-") as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        Path(folder).chmod(0o711)  # a root user's database runs as somebody else
        imported = _python(source, "-c", "import keystead; print(keystead.__file__)").stdout
        if not imported.startswith(str(source)):
            raise RuntimeError(f"the tests would import {imported.strip()} instead of the copy")
        yield source


def _run(
    source: Path, tests: Sequence[str], *, seconds: float | None = SECONDS
) -> "subprocess.CompletedProcess[str]":
    return _python(source, *_PYTEST, *tests, seconds=seconds)


def _python(
    source: Path, *arguments: str, seconds: float | None = SECONDS
) -> "subprocess.CompletedProcess[str]":
    """In the environment that the tests, and the servers that they start, inherit."""
    return subprocess.run(
        (sys.executable, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source)},  # comes before the path of the installed package
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


if __name__ == "__main__":
    raise SystemExit(main())
