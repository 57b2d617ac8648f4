"""`make prove-blocklist`: a file of 10^8 known passwords, built with bounded memory though killed twice, and asked.

The list is made first, as Have I Been Pwned publishes its own: 4.4 GB at the default size, and the build takes 1.2 GB
more.
"""

import argparse
import hashlib
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from rich.console import Console
from rich.progress import Progress

from bench import procfs
from keystead.users.known_passwords.filter_file import KEY_BYTES, FilterFile

MOST_MEMORY_MIB = 256
MOST_MICROSECONDS = 50
_LINES_AT_ONCE = 100_000
_BATCH = 1000


def main() -> int:
    options = _options()
    console = Console(width=120)
    folder = Path(tempfile.mkdtemp(prefix="prove-blocklist-", dir=options.folder))
    try:
        return _prove(folder, options, console)
    finally:
        shutil.rmtree(folder)


def _prove(folder: Path, options: argparse.Namespace, console: Console) -> int:
    listed, out = folder / "list.txt", folder / "known"
    _write_list(listed, options, console)
    seconds, memory = _build(listed, out, console)
    made = FilterFile(out)
    started = perf_counter()
    made.verify()
    verified = perf_counter() - started
    rng = random.Random(options.seed)
    members = [_digest(options.seed, rng.randrange(options.count)) for _ in range(options.sample)]
    strangers = [rng.randbytes(20) for _ in range(options.sample * 2)]
    forgotten, taken = len(members) - _ask(made, members)[0], _ask(made, strangers)
    expected = options.count * len(strangers) / 2 ** (8 * KEY_BYTES)
    found, times = _ask(made, members)
    figures = {
        "machine": f"{procfs.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "entries": f"{made.count:,} in {made.identity.size / 1e6:,.0f} MB, from a list of "
        f"{listed.stat().st_size / 1e6:,.0f} MB (seed {options.seed})",
        "built in": f"{seconds:,.0f} s, killed twice on the way; at most {memory:,.0f} MiB resident",
        "verified in": f"{verified:.2f} s",
        "look-up, known": _show(times),
        "look-up, unknown": _show(taken[1]),
        "known and not found": f"{forgotten} of {len(members):,}",
        "unknown and found": f"{taken[0]} of {len(strangers):,}; {expected:.2f} expected",
    }
    for name, figure in figures.items():
        console.print(f"{name:>20}  {figure}", highlight=False)
    holds = (
        forgotten == 0
        and found == len(members)
        and taken[0] <= 10 * expected + 3
        and memory <= MOST_MEMORY_MIB
        and median(times) <= MOST_MICROSECONDS
    )
    console.print("holds" if holds else "does not hold")
    return 0 if holds else 1


def _write_list(path: Path, options: argparse.Namespace, console: Console) -> None:
    with path.open("wb") as file, Progress(console=console) as progress:
        task = progress.add_task("making the list", total=options.count)
        for first in range(0, options.count, _LINES_AT_ONCE):
            numbers = range(first, min(first + _LINES_AT_ONCE, options.count))
            lines = (
                f"{_digest(options.seed, number).hex().upper()}:{number % 99 + 1}\r\n" for number in numbers
            )
            file.write("".join(lines).encode())
            progress.advance(task, len(numbers))


def _build(listed: Path, out: Path, console: Console) -> tuple[float, float]:
    """Seconds of all runs, and the most MiB of any. The first is killed while it reads, the second while it sorts."""
    folder = out.with_name(f"{out.name}.building")
    seconds, memory = 0.0, 0.0
    for sign in ("progress.json", "index", None):
        started = perf_counter()
        process = os.spawnv(
            os.P_NOWAIT,
            sys.executable,
            [sys.executable, "-m", "keystead", "passwords", "build", str(listed), "--out", str(out)],
        )
        if sign is not None:
            _await(folder / sign)
            os.kill(process, signal.SIGKILL)
        _, status, usage = os.wait4(process, 0)
        seconds += perf_counter() - started
        memory = max(memory, usage.ru_maxrss / 1024)
        if sign is None and status != 0:
            raise SystemExit("the build failed")
        console.print(f"{'killed' if sign else 'done'} after {perf_counter() - started:,.0f} s")
    return seconds, memory


def _await(path: Path) -> None:
    while not path.exists() or path.stat().st_size == 0:
        time.sleep(0.01)
    time.sleep(1)  # and some of the work beyond it


def _digest(seed: int, number: int) -> bytes:
    return hashlib.sha1(b"%d:%d" % (seed, number), usedforsecurity=False).digest()


def _ask(file: FilterFile, digests: Sequence[bytes]) -> tuple[int, list[float]]:
    """How many it has, and the microseconds of each, in the mean of a thousand."""
    found, times = 0, []
    for first in range(0, len(digests), _BATCH):
        batch = digests[first : first + _BATCH]
        started = perf_counter()
        found += sum(map(file.has, batch))
        times.append((perf_counter() - started) / len(batch) * 1e6)
    return found, times


def _show(times: Sequence[float]) -> str:
    return f"{median(times):.1f} µs, p99 {quantiles(times, n=100)[-1]:.1f} µs (means of {_BATCH:,})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make prove-blocklist", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000_000, help="hashes (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=1_000_000, help="look-ups (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=5, help="of the hashes (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, help="where there is space; the folder for temporary files else"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
