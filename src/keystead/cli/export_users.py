"""`keystead users export`: everybody, with the hashes of their passwords, to take along."""

import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from keystead.cli.progress import Meter
from keystead.cli.running import EXIT_CANNOT_START, fail, with_core
from keystead.core import Core
from keystead.kernel.caller import Operator
from keystead.kernel.errors import CannotStart

_STDOUT = Path("-")


def export_users(
    file: Annotated[
        Path, typer.Argument(help="A new file, for you alone; `-` is standard output.")
    ] = _STDOUT,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Export every user with the hash of their password: keep what this writes as safe as the database."""
    if file == _STDOUT:
        with_core(lambda core: _export(core, sys.stdout.buffer))
        return
    if file.exists() and not force:
        raise fail(f"{file} exists: name another, or add --force to replace it", EXIT_CANNOT_START)
    count = with_core(lambda core: _export_to(core, file))
    typer.echo(f"{count:,} users in {file}", err=True)


async def _export_to(core: Core, path: Path) -> int:
    """The whole file or none. Raises CannotStart."""
    aside = path.with_name(path.name + ".new")
    with ExitStack() as stack:
        try:
            aside.unlink(missing_ok=True)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            stack.callback(_remove, aside)
            with os.fdopen(descriptor, "wb") as file:
                count = await _export(core, file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            raise CannotStart(f"{path} cannot be written: {error.strerror}.") from error
    return count


async def _export(core: Core, file: BinaryIO) -> int:
    count = -1  # the header is no user
    with Meter(unit="users", total=await core.accounts.export_users.estimate() or None) as meter:
        async for lines in core.accounts.export_users(Operator()):
            file.write(b"".join(lines))
            count += len(lines)
            meter.advance(len(lines))
    file.flush()
    return count


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
