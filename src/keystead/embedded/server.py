"""A server that is a child of ours: started, watched, restarted when it dies, stopped."""

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import ClassVar, Literal

from keystead.embedded.account import Account
from keystead.embedded.errors import EmbeddedError, disk_full, explained, is_full
from keystead.embedded.lock import Lock
from keystead.embedded.process import Log, describe_exit, end, spawn

_POLL = 0.005
_EARLIER_ONE_ENDS = 60.0
_BECOMES_READY = 120.0  # crash recovery replays what was written since the last checkpoint
_LONGEST_PAUSE = 10.0
_STABLE_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a server while nobody asked it to."""

    server: str
    what: Literal["died", "restarted", "restart failed", "ready"]
    detail: str = ""


class Server(ABC):
    """One server, whose files are in `home/<name>` and which runs as `account`."""

    name: ClassVar[str]
    ending: ClassVar[signal.Signals]
    ways_to_end: ClassVar[tuple[tuple[signal.Signals, float], ...]]

    def __init__(self, home: Path, *, logs: Path, account: Account) -> None:
        self.folder = home / self.name
        self._lock = home / f"{self.name}.lock"
        self._log = Log(logs / f"{self.name}.log")
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._ready_since: float | None = None
        self._retry_at: float | None = None
        self._failures = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Begin: wait for what an earlier run left behind to end, make what is missing, start the process."""
        with explained(self.folder):
            lock = Lock.wait(self._lock, seconds=_EARLIER_ONE_ENDS)
            if lock is None:
                raise EmbeddedError(
                    f"The {self.name} of an earlier run still uses {self.folder}: end it, then start again."
                )
            try:
                self._prepare(lock)
                self._spawn(lock)
            finally:
                lock.release()

    def wait_until_ready(self) -> None:
        """Return when it answers. Raises EmbeddedError when it ends instead."""
        deadline = monotonic() + _BECOMES_READY
        while not self._notice_ready():
            code = self._process.poll() if self._process else None
            if code is not None or monotonic() > deadline:
                self.stop()
                raise self._explain("does not answer" if code is None else describe_exit(code))
            sleep(_POLL)

    def poll(self) -> list[Event]:
        """Notice a death and, after a pause that grows with repetition, start anew. Never waits."""
        if self._process is None:
            return []
        code = self._process.poll()
        if code is None:
            recovered = self._ready_since is None and self._notice_ready()
            return [Event(self.name, "ready")] if recovered else []
        if self._retry_at is None:
            self._plan_retry()
            return [Event(self.name, "died", describe_exit(code))]
        return self._retry() if monotonic() >= self._retry_at else []

    def stop(self) -> None:
        """End it: in order if possible, by force if it must be."""
        if self._process is not None:
            end(self._process, *self.ways_to_end)
            self._process = None

    def _spawn(self, lock: Lock) -> None:
        self._tidy()
        self._process = spawn(
            self._command(),
            ending=self.ending,
            account=self._account,
            folder=self.folder,
            log=self._log,
            lock=lock,
        )
        self._ready_since = self._retry_at = None

    def _retry(self) -> list[Event]:
        try:
            lock = Lock.take(self._lock)
            if lock is None:  # children of the dead one are still ending
                return []
            try:
                self._spawn(lock)
            finally:
                lock.release()
        except (OSError, EmbeddedError) as error:
            self._plan_retry()
            return [Event(self.name, "restart failed", str(error))]
        return [Event(self.name, "restarted")]

    def _plan_retry(self) -> None:
        now = monotonic()
        if self._ready_since is not None and now - self._ready_since > _STABLE_AFTER:
            self._failures = 0
        self._retry_at = now + min(0.2 * (2**self._failures - 1), _LONGEST_PAUSE)
        self._failures += 1

    def _notice_ready(self) -> bool:
        if self._is_ready():
            self._ready_since = monotonic()
        return self._ready_since is not None

    def _explain(self, outcome: str) -> EmbeddedError:
        said = self._log.since_start()
        if is_full(self.folder, said):
            return disk_full(self.folder)
        last = self._last_words(said)
        return EmbeddedError(
            f"{self.name} did not start ({outcome}): {last} Nothing was changed; its log is {self._log.path}."
        )

    def _last_words(self, said: str) -> str:
        lines = said.strip().splitlines()
        return lines[-1] if lines else "It said nothing."

    @abstractmethod
    def _prepare(self, lock: Lock) -> None:
        """Make what is missing and check what is there, once, before the first start."""

    @abstractmethod
    def _tidy(self) -> None:
        """Remove what a killed server leaves behind; called when nothing of it lives."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """The program and its arguments."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether it answers right now."""
