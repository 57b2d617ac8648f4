"""How far a long command is: a bar on a terminal, now and then a line elsewhere. On standard error."""

import sys
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0
_CHUNK_BYTES = 1024 * 1024


class Meter:
    """`total` None: nobody knows how many there will be. Those `done` before do not count into the speed."""

    def __init__(self, *, unit: str, total: int | None, done: int = 0) -> None:
        self._unit = unit
        self._total = total
        self._done = self._done_before = done
        self._started = self._told_at = monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._unit, total=self._total, completed=self._done, speed="")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        self._done += count
        total = None if self._total is None else max(self._total, self._done)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, total=total, speed=self._speed())
        elif monotonic() - self._told_at >= _SECONDS_BETWEEN_LINES:
            self._told_at = monotonic()
            of_total = "" if total is None else f" of about {total:,}"
            typer.echo(f"keystead: {self._done:,}{of_total} {self._unit}, {self._speed()}", err=True)

    def _speed(self) -> str:
        seconds = max(monotonic() - self._started, 0.001)
        return f"{(self._done - self._done_before) / seconds:,.0f} a second"


def count_lines(path: Path) -> int | None:
    """About how many records a file of one a line has; None for what is one document."""
    try:
        with path.open("rb") as file:
            first = file.readline(_CHUNK_BYTES)
            if not _is_record(first):
                return None
            lines = first.count(b"\n")
            while chunk := file.read(_CHUNK_BYTES):
                lines += chunk.count(b"\n")
    except OSError:  # a folder is one, too
        return None
    return lines if lines > 1 else None


def _is_record(first: bytes) -> bool:
    """Whether the first line of a file stands for itself: an object, or the header of CSV."""
    if not first.lstrip().startswith((b"{", b"[")):
        return True
    try:
        return isinstance(msgspec.json.decode(first), dict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
