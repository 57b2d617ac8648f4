"""Logical dumps, in two halves: everything but the keys, and the keys, which are kept briefly and elsewhere."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from keystead.embedded.errors import EmbeddedError
from keystead.embedded.programs import PostgresPrograms
from keystead.kernel.errors import CannotStart
from keystead.kernel.secrets import Secret

# What opens the rest. Without them a dump shows nobody: not even to whoever has the root secret.
_KEYS = ("data_keys", "vault_keys")


class Half(StrEnum):
    DATA = "data"
    KEYS = "keys"

    @property
    def options(self) -> Sequence[str]:
        if self is Half.DATA:
            return [f"--exclude-table-data={table}" for table in _KEYS]
        return ["--data-only", *(f"--table={table}" for table in _KEYS)]


@dataclass(frozen=True, slots=True)
class Dump:
    """Writes one half into a new private file, in pg_dump's custom format. Raises CannotStart."""

    database: Secret
    pg_bin: Path | None

    def __call__(self, half: Half, file: Path) -> None:
        program = self._program()
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as error:
            raise CannotStart(f"{file} exists: a dump never overwrites another one.") from error
        except OSError as error:
            raise CannotStart(f"{file} cannot be written: {error}") from error
        url, environment = _without_password(self.database)
        command: list[str | Path] = [
            program,
            "--format=custom",
            f"--file={file}",
            *half.options,
            f"--dbname={url}",
        ]
        try:
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            file.unlink()
            said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
            raise CannotStart(f"pg_dump failed: {said}") from error

    def _program(self) -> Path:
        if self.pg_bin is not None:
            return self.pg_bin / "pg_dump"
        try:  # the wheel's is new enough for any server, the machine's perhaps not
            return PostgresPrograms.find(None).folder / "pg_dump"
        except EmbeddedError as error:
            if (installed := shutil.which("pg_dump")) is not None:
                return Path(installed)
            raise CannotStart(
                "There is no pg_dump: install PostgreSQL's client programs, or name their folder in PG_BIN."
            ) from error


def _without_password(url: Secret) -> tuple[str, dict[str, str]]:
    """The URL for a command line, which every user of the machine can read, and the environment with the rest."""
    parts = urlsplit(url.reveal())
    environment = dict(os.environ)
    if parts.password is not None:
        environment["PGPASSWORD"] = unquote(parts.password)
    user, _, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return parts._replace(netloc=f"{name}@{place}" if name else place).geturl(), environment
