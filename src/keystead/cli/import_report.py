"""The rows that an import does not take, in a file: one JSON object a line."""

from pathlib import Path

import msgspec

from keystead.accounts.incoming import Rejected
from keystead.kernel.errors import CannotStart

_START = b'{"record":'


def is_report(path: Path) -> bool:
    """Whether it may be written over. Raises OSError."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        return file.read(len(_START)) in (b"", _START)


def append(path: Path | None, known_bytes: int, rejected: list[Rejected]) -> int:
    """Write them behind `known_bytes`, of which the last position knows. How many it is to know of now.

    Raises CannotStart.
    """
    if path is None:
        return known_bytes
    try:
        path.touch(0o600)
        with path.open("r+b") as file:
            kept = min(known_bytes, path.stat().st_size)
            file.truncate(kept)
            file.seek(kept)
            file.writelines(msgspec.json.encode(each) + b"\n" for each in rejected)
            return file.tell()
    except OSError as error:
        raise CannotStart(f"{path} cannot be written: {error.strerror}.") from error
