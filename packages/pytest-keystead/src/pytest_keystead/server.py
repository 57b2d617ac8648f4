"""A throw-away Keystead: the real server over a PostgreSQL of its own, from a prepared copy, gone when it is closed."""

import asyncio
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystead import __version__
from keystead.core import open_core
from keystead.embedded.account import Account
from keystead.embedded.lock import Lock
from keystead.embedded.postgres import THROW_AWAY, PostgresServer
from keystead.embedded.process import descriptors, tethered
from keystead.embedded.programs import PostgresPrograms
from keystead.kernel.migrate import migrate
from keystead.kernel.secrets import Secret
from keystead.kernel.telemetry import configure_logging
from keystead.settings import Settings, load

PREFIX = "pytest-keystead-"
_START_SECONDS = 30.0
_PREPARATION_SECONDS = 120.0
_SECRET = "of a throw-away Keystead, which holds nothing worth one"
_MIGRATIONS = Path(sys.modules["keystead"].__file__ or "").parent / "migrations"


class CannotStart(Exception):
    """The server did not start; the text has its last words."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody signed in. `bearer` are headers for their requests."""

    id: str
    email: str
    access_token: str
    refresh_token: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


class ThrowAwayKeystead:
    """`url` is its address, and `iss` of its tokens. Each test makes people of its own: nobody else's are in the way.

    `settings` are Keystead's, by their names in the environment without APP_, as `APPLICATIONS__SHOP__AUDIENCE`.
    """

    def __init__(self, **settings: str) -> None:
        _forget_the_dead()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._folder.chmod(0o711)  # servers of root run as another user
        self._process: subprocess.Popen[bytes] | None = None
        self._postgres: PostgresServer | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._settings = settings
        self._numbers = iter(range(1, 1_000_000))
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def user(
        self, email: str | None = None, *, roles: tuple[str, ...] = ("user",), client_id: str | None = None
    ) -> Person:
        """Somebody of this address (a new one by default) with just these roles, signed in to the application."""
        address = email or f"person-{next(self._numbers)}@example.com"
        return asyncio.run(self._sign_in(address, roles, client_id))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()  # it holds nothing that is not thrown away
            self._process.wait()
        self._listener.close()
        if self._postgres is not None:
            self._postgres.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _sign_in(self, email: str, roles: tuple[str, ...], client_id: str | None) -> Person:
        async with open_core(_settings_of(self._environ)) as running:
            development = running.core.development
            if development is None:
                raise CannotStart("the profile is not for tests")
            pair = await development.sign_in_as(email, roles=roles, client_id=client_id)
            identity = await running.core.auth.identify(pair.access_token.reveal())
            return Person(
                str(identity.caller.user_id), email, pair.access_token.reveal(), pair.refresh_token.reveal()
            )

    def _start(self) -> None:
        prepared = _prepared()
        _copy(prepared / "postgres", self._folder / "postgres")
        self._postgres = PostgresServer(self._folder, PostgresPrograms.find(None), options=THROW_AWAY)
        self._postgres.start()
        self._postgres.wait_until_ready()
        self._environ = {
            **_environ_of(self._postgres),
            "APP_SERVER__PUBLIC_URL": self.url,
            **{f"APP_{name}": value for name, value in self._settings.items()},
        }
        self._serve()

    def _serve(self) -> None:
        read_end, write_end = os.pipe()
        log = self._folder / "keystead.log"
        handed = (self._listener.fileno(), write_end)
        numbers = {
            "KEYSTEAD_LISTEN_FD": str(handed[0]),
            "KEYSTEAD_READY_FD": str(handed[1]),
            "KEYSTEAD_WORKERS": "1",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                tethered((sys.executable, "-m", "keystead.serving.worker"), ending=signal.SIGKILL),
                cwd=self._folder,
                env={**inherited, **self._environ, **numbers},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors(*handed),
                start_new_session=True,
            )
        os.close(write_end)
        readable, _, _ = select.select([read_end], [], [], _START_SECONDS)
        is_ready = bool(readable) and bool(os.read(read_end, 1))
        os.close(read_end)
        if not is_ready:
            raise CannotStart(f"Keystead did not start: {log.read_text('utf-8', 'replace')[-2000:]}")


def _prepared() -> Path:
    """A folder with a migrated cluster, made at the first run on a machine, and anew for another version."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-keystead"
    base.mkdir(parents=True, exist_ok=True)
    programs = PostgresPrograms.find(None)
    folder = base / _key(programs)
    if folder.is_dir():
        return folder
    lock = Lock.wait(base / "preparing.lock", seconds=_PREPARATION_SECONDS)
    if lock is None:
        raise CannotStart(f"another run has been preparing {base} for too long: end it, or delete {base}")
    try:
        if not folder.is_dir():
            sys.stderr.write("pytest-keystead: preparing a database, once for this version ...\n")
            _prepare(folder, programs)
    finally:
        lock.release()
    return folder


def _prepare(folder: Path, programs: PostgresPrograms) -> None:
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        home = Path(name)
        home.chmod(0o711)
        server = PostgresServer(home, programs, options=THROW_AWAY)
        server.start()
        try:
            server.wait_until_ready()
            asyncio.run(_migrate(server))
        finally:
            server.stop()
        for old in folder.parent.iterdir():
            if old.is_dir():  # of an older version
                shutil.rmtree(old, ignore_errors=True)
        aside = folder.with_suffix(".new")
        aside.mkdir()
        _copy(home / "postgres", aside / "postgres")
        aside.rename(folder)


async def _migrate(server: PostgresServer) -> None:
    environ = _environ_of(server)
    configure_logging(level="warning", form="json")  # a run's output is the run's
    await migrate(Secret(server.owner_url), runtime_url=Secret(server.runtime_url))
    async with open_core(_settings_of(environ)):  # unlocks the vault and makes the first signing key
        pass


def _environ_of(server: PostgresServer) -> dict[str, str]:
    """Quick where a real one is slow on purpose. There is no Redis: Keystead does without."""
    return {
        "APP_ENV": "test",
        "APP_DATABASE__URL": server.runtime_url,
        "APP_DATABASE__MIN_CONNECTIONS": "1",
        "APP_REDIS__URL": "unix:///nowhere/valkey.sock",
        "APP_AUTH__JWT_SECRET": _SECRET,
        "APP_AUTH__RSA_BITS": "2048",
        "APP_AUTH__ARGON2__MEMORY_KIB": "8",
        "APP_AUTH__ARGON2__ITERATIONS": "1",
        "APP_LOGGING__LEVEL": "warning",
    }


def _settings_of(environ: dict[str, str]) -> Settings:
    return load(Path("/nonexistent"), environ).settings


def _key(programs: PostgresPrograms) -> str:
    seen: Any = hashlib.sha256(f"{__version__} {programs.major} {Account.for_servers()}".encode())
    for migration in sorted(_MIGRATIONS.glob("*.sql")):
        seen.update(migration.read_bytes())
    return str(seen.hexdigest()[:24])


def _copy(source: Path, target: Path) -> None:
    """With owners and modes; as a clone where the file system makes one."""
    command = ["cp", "-a", str(source), str(target)]
    if sys.platform == "linux":
        command.insert(1, "--reflink=auto")
    subprocess.run(command, check=True)


def _forget_the_dead() -> None:
    """Folders of runs that were killed: their servers ended with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}[0-9]*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
