"""How long the pytest plugin's throw-away Keystead takes to be ready: `python -m bench.pytest_plugin`."""

import os
import resource
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "packages" / "pytest-keystead" / "src"))

from pytest_keystead.issuer import LocalIssuer  # noqa: E402 - from a checkout
from pytest_keystead.server import ThrowAwayKeystead  # noqa: E402

FIRST, NEXT, PEOPLE = 3, 15, 20
BAR = 1.5  # seconds, of a start that is not the first


def main() -> int:
    first, each, ends, people = [], [], [], []
    for _ in range(FIRST):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            first.append(start(ends, people))
            before = processor_seconds()
            each += [start(ends, people) for _ in range(NEXT // FIRST)]
            spent = processor_seconds() - before
    issuers = [issuer() for _ in range(NEXT)]
    print(f"load of the last minute: {os.getloadavg()[0]:.1f}, processors: {os.cpu_count()}")
    print(f"first start on a machine   {spread(first)}")
    print(f"each one after             {spread(each)}, of processor time {spent / (NEXT // FIRST):.2f} s")
    print(f"end                        {spread(ends)}")
    print(f"a person signed in         {spread(people)}")
    print(f"the local issuer           {spread(issuers)}")
    is_met = statistics.median(each) <= BAR
    print(f"{'met' if is_met else 'MISSED'}: each one after the first within {BAR} s")
    return 0 if is_met else 1


def start(ends: list[float], people: list[float]) -> float:
    began = perf_counter()
    made = ThrowAwayKeystead()
    ready = perf_counter()
    for _ in range(PEOPLE):
        made.user()
    people.append((perf_counter() - ready) / PEOPLE)
    closing = perf_counter()
    made.close()
    ends.append(perf_counter() - closing)
    return ready - began


def issuer() -> float:
    began = perf_counter()
    with LocalIssuer() as made:
        made.token()
        return perf_counter() - began


def processor_seconds() -> float:
    """Of this process and of those that it has ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def spread(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.3f} s, {min(seconds):.3f} to {max(seconds):.3f} s of {len(seconds)}"


if __name__ == "__main__":
    sys.exit(main())
