"""Servers that one test may stop, kill and freeze."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from keystead.embedded.postgres import THROW_AWAY, PostgresServer
from keystead.embedded.programs import PostgresPrograms, ValkeyProgram
from keystead.embedded.server import Server
from keystead.embedded.valkey import ValkeyServer


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A new folder directly below that for temporary files: servers may have to run as another user than we do."""
    home = Path(tempfile.mkdtemp(prefix="keystead-test-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def postgres(options: Mapping[str, str] = THROW_AWAY) -> Iterator[PostgresServer]:
    with reachable_folder() as home:
        server = PostgresServer(home, PostgresPrograms.find(None), options=options)
        with _running(server):
            yield server


@contextmanager
def valkey() -> Iterator[ValkeyServer]:
    with reachable_folder() as home:
        server = ValkeyServer(home, ValkeyProgram.find())
        with _running(server):
            yield server


def start(server: Server) -> None:
    server.start()
    server.wait_until_ready()


@contextmanager
def _running(server: Server) -> Iterator[None]:
    start(server)
    try:
        yield
    finally:
        server.stop()
