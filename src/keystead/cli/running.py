"""How every command runs: settings loaded, a core opened, what goes wrong said in plain words."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

from keystead.core import Core
from keystead.kernel.config import ConfigError
from keystead.kernel.errors import CannotStart, Refusal
from keystead.kernel.telemetry import configure_logging
from keystead.serving.instance import attached
from keystead.serving.prepare import ensure_schema
from keystead.settings import Settings, load
from keystead.users.known_passwords.kept_file import require_sound
from keystead.wiring import open_core

T = TypeVar("T")

EXIT_REFUSED = 1
EXIT_CANNOT_START = 2


def fail(message: str, code: int) -> typer.Exit:
    """Say what is wrong on standard error; raise what this returns."""
    for line in message.splitlines():
        typer.echo(f"keystead: {line}", err=True)
    return typer.Exit(code)


def load_settings() -> Settings:
    """The settings, with warnings on standard error. Exits with 2 and every problem."""
    try:
        loaded = load()
    except ConfigError as error:
        raise fail(str(error), EXIT_CANNOT_START) from error
    for warning in loaded.warnings:
        typer.echo(f"keystead: warning: {warning}", err=True)
    configure_logging(level="warning", form="console")
    return loaded.settings


def with_core(act: Callable[[Core], Awaitable[T]]) -> T:
    """Run `act` on a core over the configured servers, or over the embedded ones that run now."""

    async def run(settings: Settings) -> T:
        if settings.auth.password.blocklist is not None:
            require_sound(settings.auth.password.blocklist, wholly=False)
        await ensure_schema(settings)
        async with open_core(settings) as running:
            return await act(running.core)

    with explained(), attached(load_settings()) as settings:
        return asyncio.run(run(settings))


@contextmanager
def explained() -> Iterator[None]:
    """What goes wrong in the block becomes a line on standard error and an exit code."""
    try:
        yield
    except CannotStart as error:
        raise fail(str(error), EXIT_CANNOT_START) from error
    except Refusal as refusal:
        raise fail(_explain(refusal), EXIT_REFUSED) from refusal


def read_secret_line() -> str:
    """One line of standard input, without its line end."""
    return sys.stdin.readline().rstrip("\r\n")


def _explain(refusal: Refusal) -> str:
    details = (
        _detail(name, item)
        for name, value in refusal.detail.items()
        for item in (value if isinstance(value, list) else [value])
    )
    return "\n".join((refusal.message, *details))


def _detail(name: str, item: object) -> str:
    """A bad field under its own name."""
    if isinstance(item, dict) and "message" in item:
        field = str(item.get("pointer", "")).strip("/")
        return f"  {field or name}: {item['message']}"
    return f"  {name}: {item}"
