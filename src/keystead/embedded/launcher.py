"""The embedded servers of one data folder, together."""

from dataclasses import dataclass
from pathlib import Path

from keystead.embedded.account import Account
from keystead.embedded.errors import explained
from keystead.embedded.folder import DataFolder, Endpoints
from keystead.embedded.place import find_database, find_place
from keystead.embedded.postgres import PostgresServer
from keystead.embedded.programs import PostgresPrograms, ValkeyProgram
from keystead.embedded.server import Event, Server
from keystead.embedded.valkey import ValkeyServer


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts nobody gave us, so that we must bring them."""

    postgres: bool
    valkey: bool
    root_secret: bool

    @property
    def anything(self) -> bool:
        return self.postgres or self.valkey or self.root_secret


class Embedded:
    """Starts what is wanted, watches over it, and stops it."""

    def __init__(
        self, folder: DataFolder, wanted: Wanted, *, pg_bin: Path | None = None, max_connections: int = 100
    ) -> None:
        self._folder = folder
        self._wanted = wanted
        self._pg_bin = pg_bin
        self._max_connections = max_connections
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None

    @property
    def database(self) -> Path | None:
        """Where the database is, if it is ours: in the data folder, or elsewhere if the servers cannot get there."""
        return self._postgres.folder if self._postgres else None

    @property
    def _servers(self) -> list[Server]:
        return [server for server in (self._postgres, self._valkey) if server]

    def start(self) -> Endpoints:
        """Start everything and wait until it answers. Raises EmbeddedError, with nothing left running."""
        postgres = PostgresPrograms.find(self._pg_bin) if self._wanted.postgres else None
        valkey = ValkeyProgram.find() if self._wanted.valkey else None
        secret = None
        if self._wanted.root_secret:
            secret = self._folder.root_secret(database=find_database(self._folder.path))
        if postgres or valkey:
            self._place_servers(postgres, valkey)
        try:
            for server in self._servers:
                server.start()
            for server in self._servers:
                server.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return Endpoints(
            database_url=self._postgres.runtime_url if self._postgres else None,
            migration_url=self._postgres.owner_url if self._postgres else None,
            redis_url=self._valkey.url if self._valkey else None,
            root_secret=secret,
        )

    def poll(self) -> list[Event]:
        """Restart what has died, and tell what happened. Never waits; call it a few times a second."""
        return [event for server in self._servers for event in server.poll()]

    def stop(self) -> None:
        for server in self._servers:
            server.stop()

    def _place_servers(self, postgres: PostgresPrograms | None, valkey: ValkeyProgram | None) -> None:
        logs = self._folder.path / "logs"
        with explained(self._folder.path):
            place = find_place(self._folder.path, Account.for_servers())
            logs.mkdir(mode=0o700, exist_ok=True)
            if postgres:
                options = {"max_connections": str(self._max_connections)}
                self._postgres = PostgresServer(place, postgres, logs=logs, options=options)
            if valkey:
                self._valkey = ValkeyServer(place, valkey, logs=logs)
