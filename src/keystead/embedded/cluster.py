"""A PostgreSQL cluster on disk: made whole or not at all, and checked before it is used."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from keystead.embedded.account import Account
from keystead.embedded.errors import EmbeddedError, disk_full, is_full
from keystead.embedded.lock import Lock
from keystead.embedded.process import LIBC_LOCALE, run
from keystead.embedded.programs import PostgresPrograms
from keystead.embedded.root_secret import sync_folder

SUPERUSER = "postgres"
OWNER = "keystead_owner"
RUNTIME = "keystead_runtime"
DATABASE = "keystead"

_BUILTIN_LOCALES_SINCE = 17
_STATEMENTS = f"""
    CREATE ROLE {OWNER} LOGIN

    CREATE ROLE {RUNTIME} LOGIN

    CREATE DATABASE {DATABASE} OWNER {OWNER}

    REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC

    GRANT CONNECT ON DATABASE {DATABASE} TO {RUNTIME}
"""
_OR_ANEW = "If its data may be lost, move the folder away, and the next start makes a new one."


@dataclass(frozen=True, slots=True)
class Cluster:
    """The folder of a cluster, the programs for it, and the user who runs them."""

    path: Path
    programs: PostgresPrograms
    account: Account

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def check(self) -> None:
        """Raise EmbeddedError for a cluster that these programs cannot run. Changes nothing."""
        try:
            version = (self.path / "PG_VERSION").read_text("ascii", "replace").strip()
        except FileNotFoundError:
            raise self._damaged("PG_VERSION is missing") from None
        if not version.isdecimal():
            raise self._damaged("PG_VERSION holds no version")
        if int(version) != self.programs.major:
            raise EmbeddedError(
                f"{self.path} was made by PostgreSQL {version}, but {self.programs.folder} is PostgreSQL "
                f"{self.programs.major}: set PG_BIN to a folder with the programs of PostgreSQL {version}, or move the "
                "data over with pg_dump and pg_restore."
            )
        control = self.path / "global" / "pg_control"
        if not control.is_file() or control.stat().st_size == 0:
            raise self._damaged("global/pg_control is missing or empty")
        if self.path.stat().st_uid != self.account.uid:
            raise EmbeddedError(
                f"{self.path} must belong to uid {self.account.uid}, whom PostgreSQL runs as: "
                f"chown -R {self.account.uid} {self.path}"
            )

    def make(self, lock: Lock, *, durable: bool) -> None:
        """Make the cluster with its roles and its database, under another name until it is complete and on disk."""
        aside = self.path.with_name(f"{self.path.name}.new")
        if aside.exists():  # of a start that was killed: nobody has used it yet
            shutil.rmtree(aside)
        try:
            self.account.make_folder(aside)
            self._initialise(aside, lock, durable=durable)
            aside.rename(self.path)
            sync_folder(self.path.parent)
        except (OSError, EmbeddedError) as error:
            full = is_full(self.path.parent, str(error))
            shutil.rmtree(aside, ignore_errors=True)
            if full:
                raise disk_full(self.path) from error
            raise

    def _initialise(self, folder: Path, lock: Lock, *, durable: bool) -> None:
        initdb, postgres = self.programs.folder / "initdb", self.programs.folder / "postgres"
        locale = [f"--locale={LIBC_LOCALE}"]
        if self.programs.major >= _BUILTIN_LOCALES_SINCE:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options = [
            *locale,
            "--encoding=UTF8",
            f"--username={SUPERUSER}",
            "--auth-local=trust",  # the socket is in a folder of the owner alone
            "--auth-host=reject",
            "--data-checksums",
            "--no-instructions",
            "--no-sync",  # once, at the end
        ]

        def call(*program: str | Path, script: str = "") -> str:
            return run(program, account=self.account, folder=folder, lock=lock, script=script)

        call(initdb, "-D", folder, *options)
        said = call(postgres, "--single", "-j", "-D", folder, "-c", "fsync=off", SUPERUSER, script=_script())
        if "ERROR:" in said:  # it goes on after one, and ends with success
            raise EmbeddedError(f"The roles and the database could not be made: {said.strip()[-2000:]}")
        if durable:
            call(initdb, "-D", folder, "--sync-only")

    def _damaged(self, how: str) -> EmbeddedError:
        return EmbeddedError(
            f"{self.path} is not a complete database: {how}. Restore it from a backup. {_OR_ANEW}"
        )


def _script() -> str:
    """The statements as the stand-alone server reads them: each ends with a semicolon and an empty line."""
    return "".join(f"{statement.strip()};\n\n" for statement in _STATEMENTS.strip().split("\n\n"))
