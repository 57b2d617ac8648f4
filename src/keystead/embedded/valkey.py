"""A Valkey server of our own, on a Unix socket. It keeps nothing on disk: nothing that counts is in it alone."""

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from keystead.embedded.account import Account
from keystead.embedded.lock import Lock
from keystead.embedded.programs import ValkeyProgram
from keystead.embedded.runtime import make_socket_folder
from keystead.embedded.server import Server

_ANSWERS_WITHIN = 1.0


class ValkeyServer(Server):
    """A server whose socket is in `home`, or beside it. As root it runs as `nobody`, who must reach `home`."""

    name = "valkey"
    ending = signal.SIGTERM
    ways_to_end = ((signal.SIGTERM, 5.0),)

    def __init__(self, home: Path, program: ValkeyProgram, *, logs: Path | None = None) -> None:
        account = Account.for_servers()
        super().__init__(home, logs=logs or home, account=account)
        self._program = program.for_account(account)
        self._socket = make_socket_folder(home, account) / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def _prepare(self, _lock: Lock) -> None:
        self._account.make_folder(self.folder)

    def _tidy(self) -> None:
        self._socket.unlink(missing_ok=True)

    def _command(self) -> Sequence[str | Path]:
        settings: dict[str, str | Path] = {
            "port": "0",
            "unixsocket": self._socket,
            "unixsocketperm": "700",
            "dir": self.folder,
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
        }
        command: list[str | Path] = [self._program.path]
        for name, value in settings.items():
            command += [f"--{name}", value]
        return command

    def _is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWERS_WITHIN)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False
