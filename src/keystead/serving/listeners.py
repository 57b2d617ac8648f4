"""Listening sockets, bound before anything else starts: a taken port is known at once."""

import errno
import os
import socket
from ipaddress import ip_address
from time import monotonic, sleep

from keystead.kernel.errors import CannotStart

BACKLOG = 2048
_TRY_AGAIN_AFTER = 0.05


def listen(host: str, port: int, *, setting: str, patience: float = 0) -> socket.socket:
    """A listening socket, whose address connections of an earlier run do not block.

    A taken port is tried for `patience` seconds. Raises CannotStart that names `setting` as the mend.
    """
    deadline = monotonic() + patience
    while True:
        try:
            family, _, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or monotonic() >= deadline:
                raise CannotStart(_explain(error, host, port, setting)) from error
            sleep(_TRY_AGAIN_AFTER)
        else:
            # Workers share it: who loses the race for a connection must not wait for the next one.
            listener.settimeout(0)
            return listener


def url_of(listener: socket.socket) -> str:
    """Where a client on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    address = ip_address(host)
    if address.version == 4:
        return f"http://{'127.0.0.1' if address.is_unspecified else address}:{port}"
    return f"http://[{'::1' if address.is_unspecified else address}]:{port}"


def _explain(error: OSError, host: str, port: int, setting: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is taken: stop what listens there, or choose another with {setting}."
            )
        case errno.EACCES:
            return f"Port {port} on {host} is not for this user (uid {os.geteuid()}): choose another with {setting}."
        case _:
            return f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another address with {setting}."
