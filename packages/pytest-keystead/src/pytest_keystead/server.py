"""A throw-away Keystead: the real server over a PostgreSQL and a Valkey of its own, gone when it is closed."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from keystead.embedded.errors import EmbeddedError
from keystead.embedded.postgres import PostgresServer
from keystead.embedded.programs import PostgresPrograms, ValkeyProgram
from keystead.embedded.server import Server
from keystead.embedded.valkey import ValkeyServer
from pytest_keystead.client import Client, Person
from pytest_keystead.home import Home
from pytest_keystead.prepared import (
    ADMINISTRATOR,
    OPTIONS,
    PASSWORD,
    CannotStart,
    copy,
    environment,
    prepared,
)
from pytest_keystead.worker import Worker

_OURS = frozenset({"DATABASE__URL", "REDIS__URL", "AUTH__JWT_SECRET"})


class ThrowAwayKeystead:
    """`url` is its address, and `iss` of its tokens. Each test makes people of its own: nobody else's are in the way.

    `settings` are Keystead's, by their names in the environment without APP_, as `APPLICATIONS__SHOP__AUDIENCE`. What
    there is to say about a long start goes to `tell`. Make it in a thread that lives as long as it should. Close it, or
    use it as a context. Raises CannotStart.
    """

    def __init__(
        self,
        settings: Mapping[str, str] = MappingProxyType({}),
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        if taken := sorted(_OURS & settings.keys()):
            raise CannotStart(
                f"{taken[0]} is not for keystead_settings: a throw-away Keystead brings its own"
            )
        self._people: dict[str, str] = {}
        self._numbers = count(1)
        with ExitStack() as stack:
            try:
                self._start(stack, settings, tell)
            except (EmbeddedError, OSError) as error:
                raise CannotStart(str(error)) from error
            self._ending = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what runs and remove what there is. Twice does no harm."""
        self._ending.close()

    @property
    def log(self) -> str:
        """What the server said: warnings and errors."""
        return self._log.read_text("utf-8", "replace")

    @property
    def pids(self) -> tuple[int, ...]:
        return (self._worker.pid, *(server.pid for server in self._servers if server.pid))

    def user(
        self,
        email: str | None = None,
        *,
        roles: Sequence[str] = ("user",),
        client_id: str | None = None,
    ) -> Person:
        """Somebody of this address (a new one by default) with just these roles, signed in to the application.

        Asked for again, they have one more session. Raises Refused, as for a role that nobody has defined.
        """
        email = email or f"person-{next(self._numbers)}@people.example"
        administrator = self.administrator()
        if email not in self._people:
            wanted = {"email": email, "password": PASSWORD}
            made = self.client.call("POST", "/api/v1/users", wanted, person=administrator)
            self._people[email] = made["id"]
        path = f"/api/v1/users/{self._people[email]}/roles"
        self.client.call("PUT", path, {"roles": list(roles)}, person=administrator)
        return self.client.sign_in(email, PASSWORD, client_id=client_id)

    def administrator(self) -> Person:
        """Who may do everything, signed in just now."""
        return self.client.sign_in(ADMINISTRATOR, PASSWORD)

    def _start(self, stack: ExitStack, settings: Mapping[str, str], tell: Callable[[str], None]) -> None:
        """What takes time runs side by side: the worker imports what it needs while its servers start."""
        pg_bin = os.environ.get("PG_BIN")
        programs = PostgresPrograms.find(Path(pg_bin) if pg_bin else None)
        source = prepared(programs, settings, tell)
        self.home = stack.enter_context(Home()).path
        self._log = self.home / "keystead.log"
        postgres = PostgresServer(self.home, programs, options=OPTIONS)
        valkey = ValkeyServer(self.home, ValkeyProgram.find())
        self._servers: tuple[Server, ...] = (postgres, valkey)
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            address: tuple[str, int] = listener.getsockname()
            self.url = f"http://127.0.0.1:{address[1]}"
            own = {"REDIS__URL": valkey.url, "SERVER__PUBLIC_URL": self.url}
            environ = environment(postgres, own | dict(settings))
            self._worker = Worker(listener, environ, folder=self.home, log=self._log)
        stack.callback(self._worker.end)
        copy(source / "postgres", postgres.folder)
        for server in self._servers:
            stack.callback(server.stop)
            server.start()
        for server in self._servers:
            server.wait_until_ready()
        if not self._worker.begin():
            raise CannotStart(f"Keystead did not start: {self.log.strip()[-4000:]}")
        self.client = Client(address)
