"""A lock on a file that outlives whoever took it, for as long as a child lives that inherited it."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

_POLL = 0.005


@dataclass(frozen=True, slots=True)
class Lock:
    """An exclusive hold on a file. A child that inherits it, and its children, keep it until the last one ends.

    So a second start can tell whether anything of an earlier server still lives, however it was killed.
    """

    descriptor: int

    @classmethod
    def take(cls, path: Path) -> "Lock | None":
        """Take the lock, or answer None when somebody has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    @classmethod
    def wait(cls, path: Path, *, seconds: float) -> "Lock | None":
        deadline = monotonic() + seconds
        while (lock := cls.take(path)) is None and monotonic() < deadline:
            sleep(_POLL)
        return lock

    def write(self, text: bytes) -> None:
        """Leave a note in the file for who finds it locked."""
        os.pwrite(self.descriptor, text, 0)
        os.ftruncate(self.descriptor, len(text))

    def release(self) -> None:
        """Let go of our own hold; those who inherited it keep theirs."""
        os.close(self.descriptor)
