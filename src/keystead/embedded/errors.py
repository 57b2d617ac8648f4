"""What a person must mend before the embedded servers can start."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ELSEWHERE = "choose another folder with APP_EMBEDDED__DATA_DIR"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR})


class EmbeddedError(Exception):
    """The text says what is wrong and how to mend it. Nothing of value was changed."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise EmbeddedError in place of an OSError that work on `path` meets."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(_explanation(error, path)) from error


def disk_full(path: Path) -> EmbeddedError:
    return EmbeddedError(
        f"The disk that holds {path} is full: free some space and start again. Nothing was lost."
    )


def is_full(path: Path, said: str) -> bool:
    """Whether a server that said this failed for lack of space. On a full disk its last words may be missing."""
    return any(os.strerror(number) in said for number in _FULL) or os.statvfs(path).f_bavail == 0


def _explanation(error: OSError, path: Path) -> str:
    if isinstance(error.filename, str | bytes):
        path = Path(os.fsdecode(error.filename))
    if error.errno in _FULL:
        return str(disk_full(path))
    if error.errno in _DENIED:
        return f"{path} cannot be used by this user (uid {os.geteuid()}): give it to them with chown, or {ELSEWHERE}."
    if error.errno == errno.EROFS:
        return f"{path} is on a read-only file system: {ELSEWHERE}."
    if error.errno in _IN_THE_WAY:
        return f"{path} is in the way, or leads through something that is no folder: move it away, or {ELSEWHERE}."
    return f"{path}: {error.strerror}. Mend this, or {ELSEWHERE}."
