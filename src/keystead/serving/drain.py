"""Drain: a stopping worker says that it is not ready, goes on accepting for a while, then stops."""

import asyncio
import ctypes
import socket
import struct
import sys
from contextlib import suppress

_SO_ATTACH_FILTER = 26
_KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, 0 bytes


class Drain:
    """Started by the first signal; a second one ends the wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        return self._started.is_set()

    def start(self) -> None:
        if self.is_draining:
            self._hurried.set()
        self._started.set()

    async def finished(self) -> None:
        """Returns when load balancers have had their time to look elsewhere, or somebody is in a hurry."""
        await self._started.wait()
        try:
            async with asyncio.timeout(self._seconds):
                await self._hurried.wait()
        except TimeoutError:
            return


def refuse_new_connections(listener: socket.socket) -> None:
    """From now on no connection joins the listener's queue; what waits there can still be accepted.

    A listener that is closed resets the connections that the kernel has completed and nobody has accepted. So the
    kernel is told first to drop what comes for it: who connects now tries again, and finds the port closed.
    """
    if sys.platform == "linux":
        code = ctypes.create_string_buffer(_KEEP_NOTHING)
        program = struct.pack("HP", 1, ctypes.addressof(code))
        with suppress(
            PermissionError
        ):  # where the system wants a privilege for it, a small window stays open
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
