"""The command, as an operator types it."""

import os
from dataclasses import dataclass
from functools import partial

import anyio
import pytest
import structlog
from typer.testing import CliRunner

from keystead.cli.main import app
from tests.conftest import ROOT_SECRET


@dataclass(frozen=True)
class Done:
    """A finished command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def keystead(urls, tmp_path):
    """Runs the command over the test's database."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("APP_")} | {
        "APP_ENV": "test",
        "APP_DATABASE__URL": urls.runtime,
        "APP_DATABASE__MIGRATION_URL": urls.owner,
        "APP_REDIS__URL": "unix:///nowhere/valkey.sock",
        "APP_AUTH__JWT_SECRET": ROOT_SECRET,
        "APP_AUTH__RSA_BITS": "2048",
        "APP_AUTH__ARGON2__MEMORY_KIB": "8",
        "APP_AUTH__ARGON2__ITERATIONS": "1",
    }

    async def run(*arguments, said="", **more):
        typed = [str(argument) for argument in arguments]
        return await anyio.to_thread.run_sync(partial(invoke, typed, said, environ | more, tmp_path))

    return run


def invoke(arguments, said, environ, folder) -> Done:
    """In this process, which a start of Python and its imports would outlast. Nothing else runs meanwhile."""
    before = structlog.get_config()
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - environ.keys():
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        try:
            result = CliRunner().invoke(app, arguments, input=said, prog_name="keystead")
        finally:
            structlog.configure(**before)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
