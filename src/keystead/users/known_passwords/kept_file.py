"""The configured file of known passwords, as a process holds it: another that takes its place is taken up, if sound."""

from pathlib import Path

import structlog

from keystead.kernel.errors import CannotStart
from keystead.kernel.telemetry import KNOWN_PASSWORDS_FILE_UNSOUND
from keystead.users.known_passwords.filter_file import FilterFile, FilterUnusable, identity_of

log = structlog.get_logger("known_passwords")


class KeptFile:
    """What was good is kept while what is at the path is not, and the log and a metric say so.

    A process that is started again meanwhile has no earlier one, and goes on without: better than none that serves.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: FilterFile | None = None
        self._seen = identity_of(path)
        try:
            self._held = FilterFile(path)
        except FilterUnusable as error:
            self._note_fault(error)

    def has(self, sha1: bytes) -> bool:
        """False, too, where it cannot be read at all."""
        if self._held is None:
            return False
        try:
            return self._held.has(sha1)
        except FilterUnusable as error:
            self._held = None
            self._note_fault(error)
            return False

    def look(self) -> None:
        """Take up what is at the path, if it is not what was seen there and is sound. Reads all of a new one."""
        identity = identity_of(self._path)
        if identity == self._seen:
            return
        self._seen = identity
        try:
            file = FilterFile(self._path)
            file.verify()
        except FilterUnusable as error:
            self._note_fault(error)
            return
        self._held = file
        KNOWN_PASSWORDS_FILE_UNSOUND.set(0)
        log.info("known_passwords.renewed", file=str(self._path), entries=file.count)

    def _note_fault(self, error: FilterUnusable) -> None:
        KNOWN_PASSWORDS_FILE_UNSOUND.set(1)
        log.error(
            "known_passwords.file_unsound",
            file=str(self._path),
            reason=str(error),
            earlier_one_is_kept=self._held is not None,
        )


def require_sound(path: Path, *, wholly: bool) -> None:
    """`wholly`: read all of it. Raises CannotStart."""
    try:
        file = FilterFile(path)
        if wholly:
            file.verify()
    except FilterUnusable as error:
        raise CannotStart(
            f"auth.password.blocklist, {path}, cannot be used: {error}. "
            "Make it with `keystead passwords build`, or leave the setting out."
        ) from error
