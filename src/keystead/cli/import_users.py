"""`keystead users import`: the users of another system, from the file that it exports."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from keystead.accounts.import_users import MAX_BATCH, Batch, Foreseen
from keystead.accounts.incoming import Tally
from keystead.accounts.moving import Format, IncomingUser, Unreadable, detect, read
from keystead.cli import import_position as positions
from keystead.cli import import_report as reports
from keystead.cli.import_position import Position, PositionUnreadable
from keystead.cli.import_summary import Summary
from keystead.cli.progress import Meter, count_lines
from keystead.cli.running import EXIT_CANNOT_START, EXIT_REFUSED, fail, with_core
from keystead.core import Core
from keystead.kernel.caller import Operator
from keystead.kernel.clock import Clock
from keystead.kernel.errors import CannotStart, InvalidInput, Unavailable
from keystead.users.foreign_hashes import FirebaseScrypt

EXIT_INTERRUPTED = 130
_TRIES = 3

Act = Callable[[Batch, int], Awaitable[Tally]]


@dataclass(frozen=True, slots=True)
class Job:
    """What the command was asked for."""

    path: Path
    source: Format
    firebase: FirebaseScrypt | None
    drop_unusable_hashes: bool
    report: Path | None
    dry_run: bool
    restart: bool

    def users(self) -> Iterator[IncomingUser | Unreadable]:
        """Exits with 2 for a file that is not of the format."""
        try:
            return read(
                self.path,
                self.source,
                now=Clock().now(),
                firebase=self.firebase,
                drop_unusable_hashes=self.drop_unusable_hashes,
            )
        except InvalidInput as refused:
            why = "\n".join(error.message for error in refused.errors)
            raise fail(f"{self.path} cannot be imported\n{why}", EXIT_CANNOT_START) from refused

    def beginning(self, destination: str) -> Position:
        options = f"--format {self.source}" + " --drop-unusable-hashes" * self.drop_unusable_hashes
        return Position(file=positions.fingerprint(self.path), destination=destination, options=options)


def import_users(  # noqa: PLR0913 - the options of a command
    file: Annotated[
        Path, typer.Argument(help="What the other system exported: a file, or Keycloak's folder.")
    ],
    *,
    source: Annotated[
        Format | None, typer.Option("--format", help="Which system wrote it; by default guessed.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; say what would be done.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write every row that is not imported here, one JSON object a line.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin again, instead of where a stopped run was.")
    ] = False,
    firebase_signer_key: Annotated[
        str | None,
        typer.Option(envvar="KEYSTEAD_FIREBASE_SIGNER_KEY", help="base64_signer_key of the project."),
    ] = None,
    firebase_salt_separator: Annotated[
        str | None, typer.Option(help="base64_salt_separator of the project.")
    ] = None,
    firebase_rounds: Annotated[int | None, typer.Option(help="rounds of the project.")] = None,
    firebase_mem_cost: Annotated[int | None, typer.Option(help="mem_cost of the project.")] = None,
    drop_unusable_hashes: Annotated[
        bool,
        typer.Option(
            "--drop-unusable-hashes", help="Import users whose hash is unknown, without a password."
        ),
    ] = False,
) -> None:
    """Import users with their passwords. Run again, it goes on where it was stopped, and adds nobody twice."""
    firebase = _firebase(firebase_signer_key, firebase_salt_separator, firebase_rounds, firebase_mem_cost)
    job = Job(file, source or _detected(file), firebase, drop_unusable_hashes, report, dry_run, restart)
    if report is not None:
        _check_report(report)
    users = job.users()
    try:
        summary = with_core(lambda core: _run(core, job, users))
    except typer.Exit as ended:  # a refusal, too, means that nothing could be done
        raise typer.Exit(EXIT_CANNOT_START) from ended
    except KeyboardInterrupt:
        hint = "" if dry_run else "; run the same command again to go on"
        raise fail(f"stopped{hint}", EXIT_INTERRUPTED) from None
    for line in summary.lines(dry_run=dry_run):
        typer.echo(line)
    if not summary.outcomes:
        raise fail(f"{file} holds no users", EXIT_CANNOT_START)
    if summary.rejected:
        raise typer.Exit(EXIT_REFUSED)


async def _run(core: Core, job: Job, users: Iterator[IncomingUser | Unreadable]) -> Summary:
    foreseen = Foreseen()
    accounts = core.accounts

    async def act(batch: Batch, first_record: int) -> Tally:
        if job.dry_run:
            return await accounts.preview_import(
                Operator(), batch, source=job.source, first_record=first_record, foreseen=foreseen
            )
        return await accounts.import_users(Operator(), batch, source=job.source, first_record=first_record)

    place = None if job.dry_run else positions.place_of(job.path)
    position = job.beginning(await accounts.import_users.name_destination())
    if place is not None:
        position = _resumed(place, position, restart=job.restart)
    position = await _go_on(act, job, users, position, place)
    if place is not None:
        place.unlink(missing_ok=True)
    return position.summary


async def _go_on(
    act: Act, job: Job, users: Iterator[IncomingUser | Unreadable], position: Position, place: Path | None
) -> Position:
    if position.records:
        typer.echo(f"keystead: going on after record {position.records:,}", err=True)
    with Meter(unit="records", total=count_lines(job.path), done=position.records) as meter:
        for _ in islice(users, position.records):
            pass
        while batch := list(islice(users, MAX_BATCH)):
            tally = await _patiently(act, batch, position.records + 1)
            position.summary.add(tally)
            position = msgspec.structs.replace(
                position,
                records=position.records + len(batch),
                report_bytes=reports.append(job.report, position.report_bytes, tally.rejected),
            )
            if place is not None:
                _save(place, position)
            meter.advance(len(batch))
    return position


async def _patiently(act: Act, batch: Batch, first_record: int) -> Tally:
    """A batch that failed may be tried again: what was committed is found there. Raises CannotStart."""
    for wait in range(1, _TRIES):
        try:
            return await act(batch, first_record)
        except Unavailable:
            await asyncio.sleep(wait)
    try:
        return await act(batch, first_record)
    except Unavailable as error:
        raise CannotStart(f"{error}\nRun the same command again to go on.") from error


def _resumed(place: Path, beginning: Position, *, restart: bool) -> Position:
    """Where to begin. Makes sure that the position can be kept. Raises CannotStart."""
    try:
        found = None if restart else positions.find(place)
        differs = None if found is None else found.difference_from(beginning)
        if found is not None and differs is None:
            return found
        if differs is not None:
            raise CannotStart(f"{place} is of {differs}.\nTo import all of this file, add --restart.")
        positions.save(place, beginning)
    except PositionUnreadable as error:
        raise CannotStart(f"{place} is damaged.\nTo import all of the file, add --restart.") from error
    except OSError as error:
        raise CannotStart(_cannot_keep(place, error)) from error
    return beginning


def _save(place: Path, position: Position) -> None:
    """Raises CannotStart."""
    try:
        positions.save(place, position)
    except OSError as error:
        raise CannotStart(_cannot_keep(place, error)) from error


def _cannot_keep(place: Path, error: OSError) -> str:
    return (
        f"How far the import is cannot be kept in {place}: {error.strerror}.\n"
        "Put the file into a folder that you may write to."
    )


def _check_report(path: Path) -> None:
    """Exits with 2 rather than overwrite what is no report."""
    try:
        may_write = reports.is_report(path)
    except OSError as error:
        raise fail(f"{path} cannot be read: {error.strerror}", EXIT_CANNOT_START) from error
    if not may_write:
        raise fail(f"{path} exists and is no report of an import: name another", EXIT_CANNOT_START)


def _detected(path: Path) -> Format:
    """Exits with 2."""
    if not path.exists():
        raise fail(f"{path} does not exist", EXIT_CANNOT_START)
    source = detect(path)
    if source is None:
        names = ", ".join(Format)
        message = (
            f"{path} looks like the export of no system that is known\nName the system: --format {names}"
        )
        raise fail(message, EXIT_CANNOT_START)
    typer.echo(f"keystead: {path} is a file of {source}", err=True)
    return source


def _firebase(
    signer_key: str | None, salt_separator: str | None, rounds: int | None, mem_cost: int | None
) -> FirebaseScrypt | None:
    """Exits with 2 where some are given and others are not."""
    if signer_key is None and salt_separator is None and rounds is None and mem_cost is None:
        return None
    if signer_key is None or salt_separator is None or rounds is None or mem_cost is None:
        message = "give all of the four --firebase-… parameters, as the console of Firebase shows them"
        raise fail(message, EXIT_CANNOT_START)
    return FirebaseScrypt(signer_key, salt_separator, rounds, mem_cost)
