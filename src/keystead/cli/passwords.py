"""`keystead passwords`: the file of passwords that others know, and whether one of them is yours."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from keystead.cli.progress import Meter
from keystead.cli.running import EXIT_CANNOT_START, EXIT_REFUSED, fail, load_settings, read_secret_line
from keystead.users.known_passwords.build import PARTS, Build, BuildRefused
from keystead.users.known_passwords.common import is_common
from keystead.users.known_passwords.digests import digests_of
from keystead.users.known_passwords.filter_file import FilterFile, FilterUnusable
from keystead.users.known_passwords.lists import ListRejected
from keystead.users.known_passwords.strength import estimate

app = typer.Typer(help="Build and ask the file of known passwords.", no_args_is_help=True)

_MEGABYTE = 1_000_000


@app.command()
def build(
    lists: Annotated[
        list[Path],
        typer.Argument(
            metavar="LIST...",
            help="Files with a password a line, or with lines SHA1 or SHA1:COUNT, as Have I Been Pwned has them.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The file to make, for auth.password.blocklist.")],
) -> None:
    """Make one file of all lists, for auth.password.blocklist. Interrupted, it goes on when run again.

    Servers that use the file take the new one up by themselves.
    """
    try:
        with Build.opened(lists, out) as work:
            made = _build(work)
            left_out = work.progress.lines_left_out
    except (BuildRefused, ListRejected, FilterUnusable) as error:
        raise fail(str(error), EXIT_CANNOT_START) from error
    except OSError as error:
        raise fail(f"{error}\nRun the same command again to go on.", EXIT_REFUSED) from error
    typer.echo(f"{made.count:,} known passwords in {out}, {made.identity.size / _MEGABYTE:,.1f} MB.")
    if left_out:
        typer.echo(f"keystead: {left_out:,} lines were no SHA-1, or too long, and were left out.", err=True)


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Option(help="Ask this file; by default that of auth.password.blocklist.")
    ] = None,
) -> None:
    """Say whether others know the password on standard input (one line), and how strong it is. Exits with 1 if they do.

    It asks nobody outside, not even where a service is configured.
    """
    path = file or load_settings().auth.password.blocklist
    password = unicodedata.normalize("NFC", read_secret_line())
    if not password:
        raise fail("give a password on standard input, one line", EXIT_CANNOT_START)
    try:
        is_in_file = path is not None and _is_in(path, password)
    except FilterUnusable as error:
        raise fail(f"{path} cannot be used: {error}", EXIT_CANNOT_START) from error
    found, strength = is_in_file or is_common(password), estimate(password)
    typer.echo("known" if found else "not known")
    typer.echo(f"strength: score {strength.score} of 4, about 10^{strength.guesses_log10} guesses")
    if found:
        raise typer.Exit(EXIT_REFUSED)


def _build(work: Build) -> FilterFile:
    if work.was_begun:
        typer.echo("keystead: going on where an earlier run stopped.", err=True)
    total, done = work.total_bytes // _MEGABYTE, work.bytes_read // _MEGABYTE
    with Meter(unit="MB of lists read", total=total, done=done) as meter:
        for megabytes in _in_megabytes(work.spill()):
            meter.advance(megabytes)
    with Meter(unit="parts sorted", total=PARTS, done=work.parts_merged) as meter:
        for _ in work.merge():
            meter.advance(1)
    return work.finish()


def _in_megabytes(steps: Iterator[int]) -> Iterator[int]:
    rest = 0
    for size in steps:
        whole, rest = divmod(rest + size, _MEGABYTE)
        yield whole


def _is_in(path: Path, password: str) -> bool:
    file = FilterFile(path)
    return any(map(file.has, digests_of(password)))
