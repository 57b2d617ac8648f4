"""A PostgreSQL server of our own, on a Unix socket."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from keystead.embedded.account import Account
from keystead.embedded.cluster import DATABASE, OWNER, RUNTIME, SUPERUSER, Cluster
from keystead.embedded.errors import EmbeddedError
from keystead.embedded.lock import Lock
from keystead.embedded.programs import PostgresPrograms
from keystead.embedded.runtime import make_socket_folder
from keystead.embedded.server import Server

_PORT = 5432  # of the socket's name only: nothing listens on a network
_STATUS_LINE = 7
_DEFAULTS = {
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
# For clusters that are thrown away: quick, and lost with the power.
THROW_AWAY = MappingProxyType(
    {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "1h",
    }
)


class PostgresServer(Server):
    """A server on the cluster `home/postgres`, which it makes at the first start, with its roles and database.

    As root it runs as `nobody`, who must be able to reach `home`. `options` are server parameters.
    """

    name = "postgres"
    ending = signal.SIGINT  # a fast shutdown: clients are cut off, what was committed is written
    ways_to_end = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0))

    def __init__(
        self,
        home: Path,
        programs: PostgresPrograms,
        *,
        logs: Path | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        account = Account.for_servers()
        super().__init__(home, logs=logs or home, account=account)
        if not account.can_reach(home):
            raise EmbeddedError(f"{home} must let `nobody` pass, whom root's servers run as: see chmod o+x.")
        self._programs = programs.for_account(account)
        self._cluster = Cluster(self.folder, self._programs, account)
        self._sockets = make_socket_folder(home, account)
        self._options = _DEFAULTS | dict(options)

    @property
    def superuser_url(self) -> str:
        return self.url(SUPERUSER)

    @property
    def owner_url(self) -> str:
        return self.url(OWNER)

    @property
    def runtime_url(self) -> str:
        return self.url(RUNTIME)

    def url(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql://{role}@/{quote(database)}?host={self._sockets}&port={_PORT}"

    def _prepare(self, lock: Lock) -> None:
        if self._cluster.exists:
            self._cluster.check()
        else:
            self._cluster.make(lock, durable=self._options.get("fsync") != "off")

    def _tidy(self) -> None:
        self._remove_stale_pid_file()
        for left_over in self._sockets.glob(".s.PGSQL.*"):
            left_over.unlink()

    def _command(self) -> Sequence[str | Path]:
        fixed = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
        }
        parameters = [part for item in (self._options | fixed).items() for part in ("-c", "=".join(item))]
        return [self._programs.folder / "postgres", "-D", self.folder, *parameters]

    def _is_ready(self) -> bool:
        """PostgreSQL keeps its state in the pid file, and `_tidy` has left none of an earlier server."""
        lines = self._pid_file_lines()
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    def _last_words(self, said: str) -> str:
        fatal = [line for line in said.splitlines() if "FATAL:" in line or "PANIC:" in line]
        return fatal[0] if fatal else super()._last_words(said)

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return []

    def _remove_stale_pid_file(self) -> None:
        """PostgreSQL itself takes any living process of that number for a server: after a reboot, often a stranger.

        We hold the lock that all processes of our own servers share, so only one started by hand can be alive.
        """
        lines = self._pid_file_lines()
        if not lines:
            return
        if lines[0].isdecimal() and _works_in(int(lines[0]), self.folder):
            raise EmbeddedError(
                f"A PostgreSQL server not of ours, process {lines[0]}, runs on {self.folder}: stop it."
            )
        (self.folder / "postmaster.pid").unlink()


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process lives and may work in `folder`, as every server process does in its cluster."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, who could not run this cluster
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # no way to ask here, so assume the worst
