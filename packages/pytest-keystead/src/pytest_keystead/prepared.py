"""The database that each run starts from a copy of: made at the first run on a machine, kept in the user's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata, resources
from pathlib import Path
from time import time

from keystead.embedded.account import Account
from keystead.embedded.lock import Lock
from keystead.embedded.postgres import THROW_AWAY, PostgresServer
from keystead.embedded.programs import PostgresPrograms
from pytest_keystead.home import Home

ADMINISTRATOR = "administrator@keystead.example"
PASSWORD = "a password of throw-away people, who are gone with the run that made them"
AT_PREPARATION = ("AUTH__SIGNING_ALGORITHM", "AUTH__RSA_BITS")  # settings that the signing key is made with
# Nothing else runs on it, so nobody needs what these are for.
OPTIONS = THROW_AWAY | {
    "autovacuum": "off",
    "max_connections": "40",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "wal_init_zero": "off",
    "wal_level": "minimal",
    "wal_recycle": "off",
}
_PROGRAM = Path(__file__).with_name("prepare.py")
_LAST_WORDS = 4000  # characters
_LONGEST_PREPARATION = 300.0  # seconds
_KEPT_UNUSED = 30 * 24 * 3600  # seconds


class CannotStart(Exception):
    """The throw-away Keystead did not start; the text says why."""


def environment(server: PostgresServer, settings: Mapping[str, str]) -> dict[str, str]:
    """For Keystead over this server: quick where a real one is slow on purpose."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
    ours = {
        "ENV": "test",
        "DATABASE__URL": server.runtime_url,
        "DATABASE__MIN_CONNECTIONS": "1",
        "AUTH__JWT_SECRET": "of a throw-away Keystead, which holds nothing worth one",
        "AUTH__RSA_BITS": "2048",
        "AUTH__ARGON2__MEMORY_KIB": "8",
        "AUTH__ARGON2__ITERATIONS": "1",
        "LOGGING__LEVEL": "warning",
        "REDIS__URL": "unix:///nowhere/valkey.sock",
    }
    return inherited | {f"APP_{name}": str(value) for name, value in (ours | dict(settings)).items()}


def prepared(programs: PostgresPrograms, settings: Mapping[str, str], tell: Callable[[str], None]) -> Path:
    """A folder with a migrated cluster, a signing key and an administrator. Raises CannotStart."""
    special = {name: settings[name] for name in AT_PREPARATION if name in settings}
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-keystead"
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = base / _key(programs, special)
        if not folder.is_dir():
            _make_alone(folder, programs, special, tell)
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows where the user's home is
        raise CannotStart(
            f"the cache cannot be used; set XDG_CACHE_HOME to a folder to write to: {error}"
        ) from error
    with suppress(OSError):  # a cache that is only read serves as well
        os.utime(folder)
    return folder


def copy(source: Path, target: Path) -> None:
    """With owners and modes; as a clone where the file system can. Raises CannotStart."""
    options = ["-a", "--reflink=auto"] if sys.platform == "linux" else ["-a"]
    command = ["cp", *options, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotStart(f"{source} could not be copied: {done.stderr.strip()[-_LAST_WORDS:]}")


def _make_alone(
    folder: Path, programs: PostgresPrograms, settings: Mapping[str, str], tell: Callable[[str], None]
) -> None:
    """Of several runs that begin at once, one prepares, and the others wait for it."""
    lock = Lock.wait(folder.parent / "preparing.lock", seconds=_LONGEST_PREPARATION)
    if lock is None:
        raise CannotStart(
            f"another run has been preparing {folder} for too long: end it, or delete {folder.parent}"
        )
    try:
        if not folder.is_dir():
            tell("pytest-keystead: preparing a database, once for this version on this machine ...")
            _forget_old_ones(folder.parent)
            _make(folder, programs, settings)
    finally:
        lock.release()


def _make(folder: Path, programs: PostgresPrograms, settings: Mapping[str, str]) -> None:
    with Home() as home:
        server = PostgresServer(home.path, programs, options=OPTIONS)
        server.start()
        try:
            server.wait_until_ready()
            _prepare(home.path, server, settings)
        finally:
            server.stop()
        unfinished = folder.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        copy(server.folder, unfinished / "postgres")
        unfinished.rename(folder)


def _prepare(folder: Path, server: PostgresServer, settings: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", _PROGRAM, ADMINISTRATOR, PASSWORD, server.superuser_url],
        cwd=folder,  # where no settings lie
        env={**environment(server, settings), "APP_DATABASE__MIGRATION_URL": server.owner_url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotStart(f"the database could not be prepared: {done.stdout.strip()[-_LAST_WORDS:]}")


def _key(programs: PostgresPrograms, settings: Mapping[str, str]) -> str:
    """Other programs, another schema or another way of preparing it make another folder."""
    seen = hashlib.sha256(Path(__file__).read_bytes() + _PROGRAM.read_bytes())
    for part in (metadata.version("keystead"), programs, Account.for_servers(), sorted(settings.items())):
        seen.update(repr(part).encode())
    migrations = resources.files("keystead.migrations").iterdir()
    for file in sorted(migrations, key=lambda each: each.name):
        if file.name.endswith(".sql"):
            seen.update(file.read_bytes())
    return seen.hexdigest()[:24]


def _forget_old_ones(base: Path) -> None:
    for folder in base.iterdir():
        if folder.is_dir() and folder.stat().st_mtime < time() - _KEPT_UNUSED:
            shutil.rmtree(folder, ignore_errors=True)
