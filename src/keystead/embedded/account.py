"""Whom the servers run as: ourselves, or `nobody` when we are root (PostgreSQL refuses to be root)."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from keystead.embedded.errors import EmbeddedError

_ROOT = 0


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group; `is_other` when taking it means giving up being root."""

    uid: int
    gid: int
    is_other: bool

    @classmethod
    def for_servers(cls) -> "Account":
        if os.geteuid() != _ROOT:
            return cls(os.geteuid(), os.getegid(), is_other=False)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise EmbeddedError(
                "PostgreSQL cannot run as root, and there is no user `nobody` to run it as: start as an ordinary user."
            ) from None
        return cls(nobody.pw_uid, nobody.pw_gid, is_other=True)

    def can_reach(self, path: Path) -> bool:
        """Whether every folder on the way to `path`, and `path` itself if it is a folder, lets this account pass."""
        real = path.resolve()
        return not self.is_other or all(self._may_pass(each) for each in (real, *real.parents))

    def make_folder(self, path: Path) -> None:
        """Make `path`, private to this account; an existing folder is left as it is."""
        if not path.is_dir():
            path.mkdir(mode=0o700)
            self.give(path)

    def give(self, path: Path) -> None:
        if self.is_other:
            os.chown(path, self.uid, self.gid)

    def _may_pass(self, path: Path) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)
