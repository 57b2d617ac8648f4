"""How long the pytest plugin's throw-away Keystead takes to be ready: `python -m bench.pytest_plugin`."""

import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "packages" / "pytest-keystead" / "src"))

from pytest_keystead.server import ThrowAwayKeystead  # noqa: E402 - from a checkout

RUNS = 9


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        first = start()
        next_ones = [start() for _ in range(RUNS)]
    print(f"first start on a machine: {first:.2f} s")
    print(
        f"each one after: median {statistics.median(next_ones):.2f} s, "
        f"{min(next_ones):.2f} to {max(next_ones):.2f} s, of {RUNS}"
    )


def start() -> float:
    started = perf_counter()
    made = ThrowAwayKeystead()
    seconds = perf_counter() - started
    made.close()
    return seconds


if __name__ == "__main__":
    main()
