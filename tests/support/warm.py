"""Keystead's programs, kept warm: a process that has imported them, and forks for each that is called.

What runs is the program itself, in a process of its own with the caller's arguments, environment, folder and files: it
is killed, frozen and waited for as any other. The start of Python and the imports, most of what it would cost, were
done once. Only Linux has the sockets for it; elsewhere, and where a test counts lines, programs start as they are.
"""

import atexit
import contextlib
import functools
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from keystead.embedded.process import descriptors, tethered

POSSIBLE = sys.platform == "linux"
_ROOT = Path(__file__).parents[2]
_BROKEN = 70  # the program's keeper is gone, and nobody knows how the program ended


@functools.cache
def name() -> str:
    """Of the socket where programs are called: of one process for all calls of ours, which ends when we do."""
    chosen = f"keystead-warm-{secrets.token_hex(8)}"
    read_end, write_end = os.pipe()
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("APP_", "COVERAGE"))
    }
    command = (sys.executable, "-m", "tests.support.warm", chosen, str(write_end))
    process = subprocess.Popen(
        tethered(command, ending=signal.SIGKILL),
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors(write_end),
        start_new_session=True,
    )
    atexit.register(process.kill)
    os.close(write_end)
    assert os.read(read_end, 1), "the programs cannot be imported"
    os.close(read_end)
    return chosen


class Warm:
    """A called program, as `subprocess.Popen` has it. It is killed when this is closed, or when we end."""

    def __init__(
        self,
        program: str,
        *,
        folder: Path,
        environment: Mapping[str, str],
        streams: Sequence[int],
        given: Mapping[str, int],
    ) -> None:
        """`given` are more descriptors, each told in the variable of that name under its number over there."""
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(f"\0{name()}")
        call = {
            "program": program,
            "arguments": [program],
            "folder": str(folder),
            "environment": dict(environment),
            "given": list(given),
        }
        socket.send_fds(self._connection, [json.dumps(call).encode()], [*streams, *given.values()])
        self.pid = int.from_bytes(self._connection.recv(4))
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                told = self._connection.recv(2)
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from error
            self.returncode = int.from_bytes(told, signed=True) if told else _BROKEN
            self._connection.close()
        return self.returncode

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and nobody has asked how
                os.kill(self.pid, number)


def serve(chosen: str, ready: int) -> None:
    """Until it is killed."""
    from keystead.cli.main import main as keystead  # noqa: PLC0415 - for this process alone
    from keystead.serving.worker import main as worker  # noqa: PLC0415

    programs = {"keystead": keystead, "worker": worker}
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{chosen}")
    listener.listen(64)
    os.write(ready, b"\n")
    os.close(ready)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers end by themselves
    while True:
        connection, _ = listener.accept()
        if _is_ours(connection) and os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            keep(connection, programs)
        connection.close()


def _is_ours(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] == os.geteuid()


def keep(connection: socket.socket, programs):
    """Start what is called, tell its number and how it ended, and end with it; or it, with who has called it."""
    data, files, _, _ = socket.recv_fds(connection, 1 << 20, 16)
    call = json.loads(data)
    pid = os.fork()
    if pid == 0:
        connection.close()
        become(call, files, programs[call["program"]])
    for file in files:
        os.close(file)
    connection.sendall(pid.to_bytes(4))
    threading.Thread(target=_kill_when_alone, args=(connection, pid), daemon=True).start()
    _, status = os.waitpid(pid, 0)
    connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(2, signed=True))
    os._exit(0)


def _kill_when_alone(connection: socket.socket, pid: int) -> None:
    if connection.recv(1) == b"":
        os.kill(pid, signal.SIGKILL)


def become(call, files, program):
    """As after a start of Python; does not return."""
    os.setsid()
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115 - for good
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    os.environ.update(zip(call["given"], map(str, files[3:]), strict=True))
    sys.argv = call["arguments"]
    status: object = 1
    try:
        status = program()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - as Python itself ends a program
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
