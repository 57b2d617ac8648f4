"""The HTTP connection: uvicorn's, with a bound on what comes before a body, and deadlines for whoever is slow."""

import asyncio
import socket
import struct
from contextlib import suppress
from http import HTTPStatus
from typing import ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from keystead.api.rest.problems import MEDIA_TYPE, HeadTimeout, HeadTooLarge, MalformedRequest, problem_of
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import new_uuid

MAX_HEAD_BYTES = 32768
_LINGER_SECONDS = 1.0
_AT_ONCE = struct.pack("ii", 1, 0)


class BoundedHttp(HttpToolsProtocol):
    """Refuses a request whose head is too long, too slow, or no HTTP, with a problem, and closes the connection.

    Nobody keeps a connection by being slow. A head that has begun must end in time, an answer must have been taken in
    time, and after an answer only the head of another request puts off the end of the connection: neither the rest of a
    body that nobody reads any more, nor empty lines.
    """

    head_seconds: ClassVar[float] = 30.0
    answer_seconds: ClassVar[float] = 30.0

    _timer: asyncio.TimerHandle | None = None
    _abort_timer: asyncio.TimerHandle | None = None
    _heads = 0  # begun on this connection
    _head_bytes = 0  # of an unfinished head, without the packet in which it began
    _is_in_head = False
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.head_seconds, self._expire)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        was_in_head, heads, idle_until = self._is_in_head, self._heads, self.timeout_keep_alive_task
        self.timeout_keep_alive_task = None
        super().data_received(data)
        self._keep_idle_deadline(idle_until, has_begun=heads != self._heads)
        if self._is_in_head and not self.transport.is_closing():
            is_same = was_in_head and heads == self._heads
            self._note_unfinished_head(len(data) if is_same else 0)

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._heads += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        self._cancel_timer()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._cancel_abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():  # which waits until everything has been taken
            self._abort_later()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def eof_received(self) -> None:
        self._abort_later()  # it is closed now, and that waits, too

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        self._cancel_abort()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def send_400_response(self, msg: str) -> None:
        """Called by the parser for what is no HTTP; its words are for developers of parsers."""
        del msg
        self._refuse(MalformedRequest())

    def _note_unfinished_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge(max_bytes=MAX_HEAD_BYTES))
        elif self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self._expire)

    def _expire(self) -> None:
        if self._is_in_head:
            self._refuse(HeadTimeout())
        else:  # nothing was asked, so there is nothing to answer
            self._close()

    def _refuse(self, refusal: Refusal) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._cancel_timer()
        if self._is_answering():
            return
        self.transport.write(_answer(refusal))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # A connection that is closed while its peer still sends is reset, and the peer may never see the answer.
        self.loop.call_later(_LINGER_SECONDS, self._close)

    def _is_answering(self) -> bool:
        """Whether the request before is whole and being answered: that answer is then the last one here.

        One that still waits for its body is told that none will come.
        """
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            return False
        if cycle.more_body:
            cycle.disconnected = True
            cycle.message_event.set()
            return False
        cycle.keep_alive = False
        return True

    def _keep_idle_deadline(self, idle_until: asyncio.TimerHandle | None, *, has_begun: bool) -> None:
        if idle_until is None:
            return
        if has_begun or self.timeout_keep_alive_task is not None:
            idle_until.cancel()
        else:
            self.timeout_keep_alive_task = idle_until

    def _close(self) -> None:
        """Now, or once what was written has been taken; by force if that takes too long."""
        if not self.transport.is_closing():
            self.transport.close()
            self._abort_later()

    def _abort_later(self) -> None:
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(self.answer_seconds, self._abort)

    def _abort(self) -> None:
        with suppress(OSError):  # its peer has just left
            # Or the system would go on offering what is left, for as long as the peer takes some of it.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def _cancel_abort(self) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
            self._abort_timer = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _answer(refusal: Refusal) -> bytes:
    problem = problem_of(refusal, new_uuid().hex)
    body = msgspec.json.encode(problem)
    return b"".join(
        (
            STATUS_LINE[HTTPStatus(problem["status"])],
            b"content-type: ",
            MEDIA_TYPE.encode(),
            b"\r\ncache-control: no-store\r\nconnection: close\r\nx-content-type-options: nosniff\r\n",
            b"content-length: ",
            str(len(body)).encode(),
            b"\r\n\r\n",
            body,
        )
    )
