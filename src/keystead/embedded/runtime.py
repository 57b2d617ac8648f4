"""Where sockets live: a private folder with a short name."""

import os
import re
import stat
import tempfile
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from keystead.embedded.account import Account
from keystead.embedded.errors import EmbeddedError

_LONGEST_SOCKET_PATH = 103  # bytes; Linux takes 107, macOS 103
_LONGEST_NAME = len("/.s.PGSQL.5432.lock")
_NEEDS_NO_QUOTING = re.compile(r"[A-Za-z0-9/._-]+")  # in a URL and in PostgreSQL's list of folders alike


def name_for(path: Path) -> str:
    """A short name that stands for the path of a data folder, the same at every start."""
    return uuid5(NAMESPACE_URL, path.as_uri()).hex[:16]


def make_socket_folder(home: Path, account: Account) -> Path:
    """A folder for sockets, of and for `account` alone: in `home`, or where the path is shorter."""
    named = f"keystead-{name_for(home)}"
    candidates = [home / "run", Path(tempfile.gettempdir()) / named]
    if "XDG_RUNTIME_DIR" in os.environ:
        candidates.insert(1, Path(os.environ["XDG_RUNTIME_DIR"]) / named)
    for folder in candidates:
        if _is_suitable(folder, account):
            account.make_folder(folder)
            _refuse_if_of_others(folder, account)
            return folder
    raise EmbeddedError(
        f"The paths {', '.join(map(str, candidates))} are all too long for a socket: set TMPDIR to a short one."
    )


def _is_suitable(folder: Path, account: Account) -> bool:
    text = str(folder)
    return (
        _NEEDS_NO_QUOTING.fullmatch(text) is not None
        and len(text) + _LONGEST_NAME <= _LONGEST_SOCKET_PATH
        and os.access(folder.parent, os.W_OK | os.X_OK)
        and account.can_reach(folder.parent)
    )


def _refuse_if_of_others(folder: Path, account: Account) -> None:
    """In a temp folder that everybody shares, somebody else may have made it first."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid or status.st_mode & 0o077:
        raise EmbeddedError(
            f"{folder} must be a private folder (mode 0700) of the user with uid {account.uid}: "
            "remove it, or set TMPDIR to a folder of your own."
        )
