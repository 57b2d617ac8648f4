"""The command, as an operator types it."""

import os
import subprocess
import sys
from functools import partial

import anyio
import pytest

from tests.conftest import ROOT_SECRET


@pytest.fixture
def keystead(urls, tmp_path):
    """Runs the command over the test's database; answers the finished process."""
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
        command = partial(
            subprocess.run,
            [sys.executable, "-m", "keystead", *arguments],
            input=said,
            env=environ | more,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=50,
            check=False,
        )
        return await anyio.to_thread.run_sync(command)

    return run
