"""The process that serves."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from keystead.embedded.process import descriptors, tethered

_BECOMES_READY = 60.0  # seconds
_PROGRAM = Path(__file__).with_name("serve.py")


class Worker:
    """Starts at once, and imports what it needs; serves from `begin` on, when its database is there."""

    def __init__(
        self, listener: socket.socket, environ: Mapping[str, str], *, folder: Path, log: Path
    ) -> None:
        begin, self._begin = os.pipe()
        self._ready, ready = os.pipe()
        numbers = {
            "KEYSTEAD_LISTEN_FD": str(listener.fileno()),
            "KEYSTEAD_READY_FD": str(ready),
            "KEYSTEAD_WORKERS": "1",
        }
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    tethered((sys.executable, "-P", _PROGRAM), ending=signal.SIGKILL),
                    cwd=folder,
                    env={**environ, **numbers},
                    stdin=begin,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=descriptors(listener.fileno(), ready),
                    start_new_session=True,
                )
        finally:
            os.close(begin)
            os.close(ready)

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self) -> bool:
        """Serve; returns when requests are answered. False where it ended instead, or takes too long."""
        with suppress(BrokenPipeError):
            os.write(self._begin, b"\n")
        readable, _, _ = select.select([self._ready], [], [], _BECOMES_READY)
        return bool(readable) and bool(os.read(self._ready, 1))

    def end(self) -> None:
        """At once: it holds nothing that is not thrown away."""
        self._process.kill()
        self._process.wait()
        os.close(self._begin)
        os.close(self._ready)
