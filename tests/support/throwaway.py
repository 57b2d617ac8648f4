"""Servers that one test may stop, kill and freeze."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from keystead.embedded.postgres import THROW_AWAY, PostgresServer
from keystead.embedded.programs import PostgresPrograms, ValkeyProgram
from keystead.embedded.server import Server
from keystead.embedded.valkey import ValkeyServer
from tests.embedded.processes import make_folder


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A new folder that other users may pass through: servers may have to run as another user than we do.

    In memory, if there is plenty: each clone of a database is four hundred files, made and soon deleted.
    """
    home = make_folder("keystead-test-")
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
