"""The figures as tables, in Markdown, so that they can be kept as they are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from bench.contest import Sample, Samples, Target

_PARTS = ("workers", "database", "other", "load")


def show_conditions(console: Console, conditions: Mapping[str, str]) -> None:
    _print(console, "Conditions", ("", ""), conditions.items())


def show_rates(console: Console, samples: Samples, names: Iterable[str]) -> None:
    """Medians, with the slowest and the fastest round."""
    costs = (f"{part} µs" for part in _PARTS)
    headings = ("", "per second", "slowest to fastest", "p50 ms", "p99 ms", *costs)
    _print(console, "Rates, and processor time for each", headings, (_rates(samples, name) for name in names))


def show_targets(console: Console, samples: Samples, targets: Iterable[Target]) -> None:
    rows = []
    for target in targets:
        shares = samples.shares(target)
        share = median(shares)
        rows.append(
            (
                f"{target.contender} of {target.floor}",
                f"{share:.3f}",
                f"{min(shares):.3f} to {max(shares):.3f}",
                f"{samples.cost_share(target):.3f}",
                f"≥ {target.share}",
                "met" if share >= target.share else "missed",
            )
        )
    headings = ("share", "by rate", "lowest to highest", "by processor time", "target", "")
    _print(console, "Shares", headings, rows)


def show_limits(console: Console, rows: Iterable[tuple[str, Sequence[float], float]]) -> None:
    """What, its figures, and the most that they may be."""
    texts = (
        (what, ", ".join(f"{each:.2f}" for each in figures), f"≤ {most:g}", _verdict(figures, most))
        for what, figures, most in rows
    )
    _print(console, "Memory and starts", ("", "figures", "target", ""), texts)


def show_listing(
    console: Console,
    conditions: Mapping[str, str],
    times: Mapping[str, Sequence[float]],
    *,
    sizes: tuple[int, int],
    most: float,
) -> None:
    """`times` by what was asked: milliseconds among many users and among few. The first row is the first page."""
    show_conditions(console, conditions)
    first_page = next(iter(times.values()))[0]
    rows = [
        (
            name,
            *(f"{each:.2f}" for each in found),
            f"{found[0] / found[1]:.2f}",
            f"{found[0] / first_page:.2f}",
            ""
            if name.startswith(("email", "login")) and "domain" not in name
            else _verdict([found[0]], most * first_page),
        )
        for name, found in times.items()
    ]
    among = (f"ms among {size:,}" for size in sizes)
    headings = ("", *among, "ratio", "of the first page", f"≤ {most:g}")
    _print(console, "Listing, look-up and login", headings, rows)


def _verdict(figures: Sequence[float], most: float) -> str:
    return "met" if max(figures) <= most else "missed"


def _rates(samples: Samples, name: str) -> list[str]:
    def middle(figure: Callable[[Sample], float]) -> float:
        return median(samples.of(name, figure))

    rates = samples.of(name, lambda sample: sample.per_second)
    p50, p99 = middle(lambda sample: sample.p50_ms), middle(lambda sample: sample.p99_ms)
    costs = [median(each.get(part, 0) for each in samples.costs(name)) for part in _PARTS]
    return [
        name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        *(f"{each:.1f}" if each else "" for each in (p50, p99)),
        *(f"{each:,.0f}" if each else "" for each in costs),
    ]


def _print(console: Console, title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(box=box.MARKDOWN)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(f"\n**{title}**\n")
    console.print(table)
