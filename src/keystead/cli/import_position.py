"""How far the import of a file has come, kept beside the file: a run that was stopped goes on from there."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from keystead.cli.import_summary import Summary
from keystead.kernel.secrets import digest

SUFFIX = ".keystead-import"
_HEAD_BYTES = 1024 * 1024


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """`records` of them are committed. `file`, `destination` and `options` say of what this is the position."""

    file: str
    destination: str
    options: str
    records: int = 0
    report_bytes: int = 0
    summary: Summary = msgspec.field(default_factory=Summary)

    def difference_from(self, other: "Position") -> str | None:
        """What this is of, where it is not of the same import; None where it is."""
        if self.file != other.file:
            return "an import of another file of this name"
        if self.destination != other.destination:
            return "an import into another database, or into this one before it was restored"
        if self.options != other.options:
            return f"an import with other options ({self.options})"
        return None


class PositionUnreadable(Exception):
    """What stands there is no position."""


def place_of(path: Path) -> Path:
    whole = path.resolve()  # `.` has no name
    return whole.with_name(whole.name + SUFFIX)


def find(place: Path) -> Position | None:
    """Raises OSError, PositionUnreadable."""
    try:
        return msgspec.json.decode(place.read_bytes(), type=Position)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PositionUnreadable from error


def save(place: Path, position: Position) -> None:
    """As one act: whoever stops us meanwhile finds the old position or the new one. Raises OSError."""
    aside = place.with_name(place.name + ".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(position))
    aside.replace(place)


def fingerprint(path: Path) -> str:
    """Of a file by its size and its start, of a folder by those of all its files. Raises OSError."""
    return digest(b"".join(_marks(path))).hex()


def _marks(path: Path) -> Iterator[bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for each in files:
        if each.is_file():
            with each.open("rb") as file:
                head = digest(file.read(_HEAD_BYTES)).hex()
            yield f"{each.name}\0{each.stat().st_size}\0{head}\0".encode()
