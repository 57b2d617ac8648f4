"""The root secret in a file: made once, never made anew while there is data that it seals."""

import os
import re
import secrets
from pathlib import Path

from keystead.embedded.errors import EmbeddedError

NAME = "root_secret"
_SOUND = re.compile(r"[\x21-\x7e]{32,}")


def load(path: Path) -> str | None:
    """The secret, or None when there is no such file. Raises EmbeddedError for a damaged one."""
    try:
        text = path.read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _SOUND.fullmatch(text):
        raise EmbeddedError(
            f"{path} is damaged: it must hold at least 32 visible characters without a space. "
            "Restore it from a backup, since the data was sealed with it. If there is no data yet, remove it."
        )
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return text


def make(path: Path) -> str:
    """Make the file, whole or not at all: on disk before it gets its name."""
    secret = secrets.token_urlsafe(48)
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    aside.rename(path)
    sync_folder(path.parent)
    return secret


def sync_folder(path: Path) -> None:
    """Put a folder's entries on disk: without this, a power cut may undo a rename."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
