"""The private data folder, which one launcher at a time may use."""

import json
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from keystead.embedded import root_secret
from keystead.embedded.errors import ELSEWHERE, EmbeddedError, explained
from keystead.embedded.lock import Lock

_LOCK = "keystead.lock"
_OURS = frozenset({_LOCK, root_secret.NAME})
_HARMLESS = frozenset({"lost+found", ".gitkeep"})


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the embedded servers listen, and the root secret; None for what is not embedded."""

    database_url: str | None = None
    migration_url: str | None = None
    redis_url: str | None = None
    root_secret: str | None = field(default=None, repr=False)


class AlreadyRunning(EmbeddedError):
    """Another Keystead uses this data folder: its pid, its URL, and its servers, which this user may use too."""

    def __init__(
        self, folder: Path, *, pid: int | None, url: str | None, endpoints: Endpoints | None
    ) -> None:
        who = "".join((f", as process {pid}" if pid else "", f", at {url}" if url else ""))
        super().__init__(f"Keystead already runs on {folder}{who}. Stop it first, or {ELSEWHERE}.")
        self.pid = pid
        self.url = url
        self.endpoints = endpoints


class DataFolder:
    """A data folder that is ours until the block ends. Make one with `DataFolder.open`."""

    def __init__(self, path: Path, lock: Lock, *, was_left_in_a_hurry: bool) -> None:
        self.path = path
        self._lock = lock
        # By one who was killed, and whose children may be ending still.
        self.was_left_in_a_hurry = was_left_in_a_hurry

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["DataFolder"]:
        """Make the folder if need be, make it private, and take it. Raises AlreadyRunning when somebody has it."""
        with explained(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = path.resolve()
            _check(path)
            lock = Lock.take(path / _LOCK)
        if lock is None:
            raise _already_running(path)
        try:
            folder = cls(path, lock, was_left_in_a_hurry=(path / _LOCK).stat().st_size > 0)
            folder.announce()
            yield folder
        finally:
            with suppress(OSError):
                lock.write(b"")
            lock.release()

    def announce(self, *, url: str | None = None, endpoints: Endpoints | None = None) -> None:
        """Tell whoever else tries to use the folder where we are."""
        servers = asdict(replace(endpoints, root_secret=None)) if endpoints else None
        with explained(self.path / _LOCK):
            self._lock.write(json.dumps({"pid": os.getpid(), "url": url, "endpoints": servers}).encode())

    def root_secret(self, *, database: Path | None) -> str:
        """The root secret, made at the first use; never anew while there is a `database` whose data it opens."""
        path = self.path / root_secret.NAME
        with explained(path):
            secret = root_secret.load(path)
            if secret is None and database is not None:
                raise EmbeddedError(
                    f"{path} is missing, but there is the database {database}, whose data it opens: restore the file "
                    "from a backup, or set APP_AUTH__JWT_SECRET to what it held. To start anew, move that folder away."
                )
            return secret or root_secret.make(path)


def _check(path: Path) -> None:
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise EmbeddedError(
            f"{path} belongs to {_user_name(status.st_uid)}: start as that user, or {ELSEWHERE}."
        )
    names = {each.name for each in path.iterdir()} - _HARMLESS
    if names and not names & _OURS:
        raise EmbeddedError(f"{path} holds other things than Keystead's data: {ELSEWHERE}.")
    if status.st_mode & 0o066:  # passing through may be granted, to servers that run as another user
        path.chmod(0o700)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with uid {uid}"


def _already_running(folder: Path) -> AlreadyRunning:
    try:
        note = json.loads((folder / _LOCK).read_bytes())
    except ValueError:  # the other one is just starting or stopping
        return AlreadyRunning(folder, pid=None, url=None, endpoints=None)
    endpoints = None
    if note["endpoints"]:
        secret = root_secret.load(folder / root_secret.NAME)
        endpoints = replace(Endpoints(**note["endpoints"]), root_secret=secret)
    return AlreadyRunning(folder, pid=note["pid"], url=note["url"], endpoints=endpoints)
