"""What processes cost, as Linux counts it."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for child in (_PROC / f"{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def part(pid: int) -> str:
    """What a process of a server is for."""
    command = (_PROC / f"{pid}/cmdline").read_bytes()
    if b"keystead.serving.worker" in command or b"multiprocessing.spawn" in command:
        return "workers"
    return "database" if b"postgres" in command else "other"


def cpu_seconds(pid: int) -> dict[str, float]:
    """Of a family, by part: user and system time, that of children who have ended included."""
    seconds: dict[str, float] = defaultdict(float)
    for member in family(pid):
        # Field 2 is the name, in parentheses, and may hold anything; 14 to 17 are the four times.
        fields = (_PROC / f"{member}/stat").read_text().rpartition(")")[2].split()
        seconds[part(member)] += sum(map(int, fields[11:15])) / _TICKS_PER_SECOND
    return seconds


def memory_mib(pid: int, kind: str) -> float:
    """`Rss` is what is resident, `Pss` counts what is shared in proportion."""
    lines = (_PROC / f"{pid}/smaps_rollup").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith(f"{kind}:"))
    return int(kib) / 1024


def status_mib(pid: int, line: str) -> float:
    """`VmRSS` is what is resident, `VmHWM` the most that ever was."""
    lines = (_PROC / f"{pid}/status").read_text().splitlines()
    return int(next(each.split()[1] for each in lines if each.startswith(f"{line}:"))) / 1024


def processor() -> str:
    """Its name."""
    lines = (_PROC / "cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")
