"""`make prove-overload`: a herd of logins, and ten thousand slow connections, while others go on with what they do.

- herd: far more logins than can be hashed, at fixed times, for as long as asked. Those that are let in fill the time
  that there is for hashing, the others are refused at once, and nobody else notices.
- slow: connections whose requests come in pieces, or that take their answers in pieces. The server's deadlines cut
  them, and nobody else notices.

A real server as `make serve` starts it, with the default cost of a hash; the load is on the same machine and takes its
part of it. Exit status 1 if a bar is missed.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from rich.console import Console
from rich.progress import Progress

from bench import herd, procfs, slow_connections, traffic
from bench.open_loop import Answers, Load, Outcome, Plan, Stream
from bench.servers import Keystead
from bench.slow_connections import Crowd

WORKERS = 2
TRUSTED = {"SERVER__TRUSTED_PROXIES": "127.0.0.1/32"}  # so that the load may speak for many addresses
DEADLINE = 30.0  # server.request_timeout_secs, as delivered
CUT_WITHIN = DEADLINE + 15.0  # an end is seen when the next piece is due
MOST_SLOWER = 2.0
_RAMP_PER_SECOND = 500.0
_HEALTHY = {"users/me": 100.0, "refresh": 20.0, "health/live": 50.0}  # requests per second
_CHAINS = 20

Bars = list[tuple[str, bool]]


def main() -> int:
    options = _options()
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"seed {options.seed}, {WORKERS} workers, {procfs.processor()}, {os.cpu_count()} cores shared with the load, "
        f"{platform.system()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    bars: Bars = []
    with (
        tempfile.TemporaryDirectory(prefix="keystead-overload-") as folder,
        Progress(console=console, disable=not console.is_terminal) as progress,
    ):
        Path(folder).chmod(0o711)  # the database of a root user's Keystead runs as somebody else
        for name, prove in (("herd", _prove_herd), ("slow", _prove_slow)):
            if options.only in (None, name):
                with _running(Path(folder) / name) as server:
                    bars += prove(server, options, console, progress)
    for what, is_met in bars:
        console.print(f"{'met   ' if is_met else 'MISSED'} {what}", style=None if is_met else "bold red")
    missed = sum(not is_met for _, is_met in bars)
    console.print(f"{missed} of {len(bars)} bars missed")
    return 1 if missed else 0


def _prove_herd(server: Keystead, options: argparse.Namespace, console: Console, progress: Progress) -> Bars:
    effort = herd.Effort(
        per_second=options.rate,
        seconds=options.seconds,
        measuring=min(10.0, options.seconds / 2),
        people=options.people,
        seed=options.seed,
    )
    with _bar(progress, "herd", effort.total_seconds) as advance:
        shown = herd.run(server, effort, advance)
    console.print(f"\n[bold]Herd[/]: {effort.per_second:,.0f} logins a second for {effort.seconds:.0f} s")
    console.print(
        f"hashes a second: {shown.idle_before:.1f} before and {shown.idle_after:.1f} after, the machine idle; "
        f"{shown.beside_refusals:.1f} beside as many refused requests"
    )
    _print_answers(console, shown.herd)
    goodput = shown.goodput(effort)
    console.print(
        f"goodput {goodput:.1f} logins a second: {goodput / shown.idle_before:.2f} of the idle machine's hashes, "
        f"{goodput / shown.beside_refusals:.2f} of those beside refusals, "
        f"{goodput / shown.capacity:.2f} of the {shown.capacity:.1f} logins a second that fit when there are no more, "
        f"{goodput / shown.capacity_beside:.2f} of the {shown.capacity_beside:.1f} that fit beside as many refusals"
    )
    spent = ", ".join(f"{part} {seconds:.1f}" for part, seconds in sorted(shown.spent.items()))
    console.print(f"processor seconds: {spent}")
    console.print(f"MiB of each worker, before and at most: {_memory(shown.memory)}")
    return shown.bars(effort)


def _prove_slow(server: Keystead, options: argparse.Namespace, console: Console, progress: Progress) -> Bars:
    wanted = options.connections
    count = min(wanted, slow_connections.most_connections())
    if count < wanted:
        console.print(
            f"The hard limit on descriptors allows {count:,} connections only: raise it (ulimit -Hn)."
        )
    ramp, seconds = count / _RAMP_PER_SECOND, max(options.seconds, CUT_WITHIN + 15)
    people = traffic.register(server, _CHAINS)
    with _bar(progress, "slow", ramp + 2 * seconds) as advance:
        before = _healthy(server, people, seconds, advance)
        people = traffic.register(server, _CHAINS)  # the chains of before have gone on
        resident = [procfs.status_mib(pid, "VmRSS") for pid in server.worker_pids()]
        crowd = Crowd(slow_connections.Plan(server.port, count, ramp, seconds + 5, options.seed))
        sleep(ramp)
        meanwhile = _healthy(server, people, seconds, advance)
        shown = crowd.shown()
    console.print(f"\n[bold]Slow[/]: {count:,} connections, a third each {', '.join(slow_connections.KINDS)}")
    console.print(
        f"cut after {DEADLINE:.0f} s (server.request_timeout_secs) of a head, a body, or an answer not taken"
    )
    console.print("before:")
    _print_answers(console, before)
    console.print("meanwhile:")
    _print_answers(console, meanwhile)
    longest = ", ".join(f"{kind} {shown.longest[kind]:.1f} s" for kind in sorted(shown.longest))
    console.print(
        f"at least {shown.standing:,} stood at once, {sum(shown.cut.values()):,} were cut ({_counts(shown.cut)}), "
        f"the longest lasted: {longest}; answers {_counts(shown.answers)}; {shown.failed} connections failed"
    )
    most = [procfs.status_mib(pid, "VmHWM") for pid in server.worker_pids()]
    console.print(f"MiB of each worker, before and at most: {_memory(zip(resident, most, strict=True))}")
    slower = _p99(meanwhile) / _p99(before)
    server_errors = [status for status in (*shown.answers, *_statuses(meanwhile)) if status.startswith("5")]
    return [
        (f"healthy traffic: p99 ≤ {MOST_SLOWER:g} of before: {slower:.2f}", slower <= MOST_SLOWER),
        (
            f"healthy traffic: every request is answered, with 200: {_statuses(meanwhile)}",
            set(_statuses(meanwhile)) == {"200"}
            and not any(a.unanswered for a in meanwhile.answers.values()),
        ),
        (f"no answer is a 5xx: {len(server_errors)} kinds", not server_errors),
        (
            f"every kind is cut, within {CUT_WITHIN:.0f} s as seen: {longest}",
            set(shown.cut) == set(slow_connections.KINDS) and max(shown.longest.values()) <= CUT_WITHIN,
        ),
        (
            f"{count:,} stand at once but for those just cut: {shown.standing:,}",
            shown.standing >= 0.9 * count,
        ),
    ]


def _healthy(
    server: Keystead, people: Sequence[traffic.Person], seconds: float, advance: Callable[[float], None]
) -> Outcome:
    requests = {
        "users/me": [traffic.request("GET", "/api/v1/users/me", bearer=each.access_token) for each in people],
        "refresh": [
            traffic.request("POST", "/api/v1/auth/refresh", bearer=each.refresh_token) for each in people
        ],
        "health/live": [traffic.request("GET", "/health/live")],
    }
    streams = (
        Stream(name, rate, tuple(requests[name]), rotates=name == "refresh")
        for name, rate in _HEALTHY.items()
    )
    return herd.watched(Load(Plan(server.port, seconds, tuple(streams))), advance)


def _p99(outcome: Outcome) -> float:
    return herd.percentile(sorted(s for each in outcome.answers.values() for s in each.latencies()), 0.99)


def _statuses(outcome: Outcome) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in outcome.answers.values():
        for status, count in each.statuses().items():
            found[status] = found.get(status, 0) + count
    return found


def _print_answers(console: Console, outcome: Outcome) -> None:
    for name, answers in outcome.answers.items():
        for status, count in answers.statuses().items():
            console.print(f"  {name:<12} {status} {count:>7,}  {_quantiles(answers, status)}")
        if answers.unanswered:
            console.print(f"  {name:<12} unanswered {answers.unanswered:,}")
    late = herd.percentile(outcome.late, 0.99) * 1000
    console.print(
        f"  the load: {outcome.connections:,} connections, {outcome.cpu_seconds:.1f} s of a processor, "
        f"99 % sent within {late:.1f} ms of when they were due"
    )


def _quantiles(answers: Answers, status: str) -> str:
    ordered = answers.latencies(status)
    shares = {"p50": 0.5, "p99": 0.99, "longest": 1.0}
    return ", ".join(
        f"{name} {herd.percentile(ordered, share) * 1000:,.1f} ms" for name, share in shares.items()
    )


def _memory(figures: Iterable[tuple[float, float]]) -> str:
    return ", ".join(f"{before:.0f}/{most:.0f}" for before, most in figures)


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counted.items())) or "none"


@contextmanager
def _running(folder: Path) -> Iterator[Keystead]:
    server = Keystead(folder, workers=WORKERS, **TRUSTED)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _bar(progress: Progress, name: str, seconds: float) -> Iterator[Callable[[float], None]]:
    bar = progress.add_task(name, total=seconds)
    yield lambda more: progress.update(bar, advance=more)
    progress.update(bar, completed=seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("herd", "slow"))
    parser.add_argument("--rate", type=float, default=1000.0, help="logins a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the herd")
    parser.add_argument("--people", type=int, default=2000, help="accounts of the herd")
    parser.add_argument("--connections", type=int, default=10_000, help="slow ones")
    parser.add_argument("--small", action="store_true", help="see that it works; the figures mean little")
    options = parser.parse_args()
    if options.small:
        options.seconds, options.people, options.connections = 6.0, 300, 600
    return options


if __name__ == "__main__":
    raise SystemExit(main())
