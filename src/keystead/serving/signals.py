"""Signals as something to wait for, next to everything else."""

import signal
import socket
from types import FrameType
from typing import Self

_STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def stop_by_exception() -> None:
    """While we start, a request to stop ends whatever is being done, as Ctrl-C does: by KeyboardInterrupt."""
    for number in _STOP - {signal.SIGINT}:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has asked for that
            signal.signal(number, signal.default_int_handler)


class Signals:
    """Within the block, requests to stop and the ends of children make `fileno()` readable."""

    def __enter__(self) -> Self:
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.settimeout(0)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._before = {
            number: signal.signal(number, _leave_it_to_the_socket)
            for number in (*_STOP, signal.SIGCHLD)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._receiver.close()
        self._sender.close()

    def fileno(self) -> int:
        return self._receiver.fileno()

    def count_stops(self) -> int:
        """How many requests to stop have come since the last call."""
        try:
            return sum(number in _STOP for number in self._receiver.recv(4096))
        except BlockingIOError:
            return 0


def _leave_it_to_the_socket(_number: int, _frame: FrameType | None) -> None:
    """The number of each signal is written to the socket before this is called."""
