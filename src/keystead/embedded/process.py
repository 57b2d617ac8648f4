"""Child processes: tied to our life, holding a lock for as long as anything of them lives, their output in a log."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from keystead.embedded.account import Account
from keystead.embedded.errors import EmbeddedError
from keystead.embedded.lock import Lock

_TETHER = Path(__file__).with_name("tether.py")
_KERNEL_TELLS = sys.platform == "linux"
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_LOG_BYTES_KEPT = 8 << 20
# Only Linux is sure to have C.UTF-8; in "C" PostgreSQL still compares and folds by Unicode where it does so itself.
LIBC_LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"


def tethered(
    program: Sequence[str | Path], *, ending: signal.Signals, account: Account | None = None
) -> list[str]:
    """The command line that runs `program` as `account` and sends it `ending` when this process ends, however.

    Start it from a thread that lives as long as the program should: Linux takes the thread's end for ours.
    """
    uid, gid = (account.uid, account.gid) if account and account.is_other else (-1, -1)
    numbers = (os.getpid(), int(ending), uid, gid, _lifeline())
    return [sys.executable, "-I", "-S", str(_TETHER), *map(str, numbers), *map(str, program)]


def descriptors(*more: int) -> tuple[int, ...]:
    """What a tethered program must be given of our open files, beside `more`."""
    return more if _lifeline() == -1 else (_lifeline(), *more)


@functools.cache
def _lifeline() -> int:
    """A pipe that ends when we do, for systems whose kernel does not tell a child; -1 on Linux."""
    if _KERNEL_TELLS:
        return -1
    read_end, _ours_until_the_end = os.pipe()
    return read_end


class Log:
    """A file that a server appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started_at = 0

    def open(self) -> int:
        """A descriptor to write to. A log that has grown large makes room first, one old one is kept."""
        if self.path.exists() and self.path.stat().st_size > _LOG_BYTES_KEPT:
            self.path.replace(self.path.with_suffix(".old.log"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._started_at = os.fstat(descriptor).st_size
        return descriptor

    def since_start(self) -> str:
        with self.path.open("rb") as file:
            file.seek(self._started_at)
            return file.read(1 << 16).decode("utf-8", "replace")


def environment() -> dict[str, str]:
    """What the servers see of ours: no secret, and nothing that changes their ways."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {"LC_ALL": LIBC_LOCALE}


def spawn(
    program: Sequence[str | Path],
    *,
    ending: signal.Signals,
    account: Account,
    folder: Path,
    log: Log,
    lock: Lock,
) -> "subprocess.Popen[bytes]":
    """Start a server in `folder`, in a session of its own: a Ctrl-C at the terminal is ours to pass on."""
    output = log.open()
    try:
        return subprocess.Popen(
            tethered(program, ending=ending, account=account),
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors(lock.descriptor),
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(output)


def run(
    program: Sequence[str | Path], *, account: Account, folder: Path, lock: Lock, script: str = ""
) -> str:
    """Run a program to its end and return what it said. Raises EmbeddedError with that when it fails."""
    done = subprocess.run(
        tethered(program, ending=signal.SIGTERM, account=account),
        cwd=folder,
        env=environment(),
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=descriptors(lock.descriptor),
        start_new_session=True,
        umask=0o077,
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedError(f"{Path(program[0]).name} failed: {done.stdout.strip()[-2000:]}")
    return done.stdout


def end(process: "subprocess.Popen[bytes]", *steps: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn and give it its seconds, until the process has ended; at last kill it."""
    for number, seconds in steps:
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait()


def describe_exit(code: int) -> str:
    """`exit status 1`, or `killed by SIGKILL`."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
