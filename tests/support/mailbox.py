"""A real mail server on loopback, in a thread of its own: what arrives, and how it refuses."""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Literal, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

_PATIENCE_SECONDS = 15.0
Stage = Literal["MAIL", "RCPT", "DATA"]


@dataclass(frozen=True)
class _Reply:
    text: str
    to: str | None
    at: Stage


class Mailbox:
    """`messages` are those that were taken, oldest first. `host` and `port` stay the same through `stop` and `start`.

    `tls` makes the server speak TLS: from the first byte, or (`starttls`) when it is asked, and then only.
    `login` is the one pair of name and password that may send; it needs STARTTLS.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        starttls: bool = False,
        login: tuple[str, str] | None = None,
        smtputf8: bool = True,
    ) -> None:
        assert login is None or starttls, "passwords travel over STARTTLS here"
        self._implicit_tls = None if starttls else tls
        self._options = {
            "hostname": "mailbox.test",
            "enable_SMTPUTF8": smtputf8,
            "tls_context": tls if starttls else None,
            "require_starttls": starttls,
            "auth_required": login is not None,
            "authenticator": self._authenticate,
        }
        self._login = login
        self._lock = threading.Lock()
        self._taken: list[EmailMessage] = []
        self._reply: _Reply | None = None
        # Bound for as long as we live, and never listening: nobody else gets the port while we are stopped.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((self.host, 0))
        self.port: int = self._reserved.getsockname()[1]
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._open: set[asyncio.BaseTransport] = set()

    @property
    def messages(self) -> list[EmailMessage]:
        with self._lock:
            return list(self._taken)

    def sent_to(self, address: str) -> list[EmailMessage]:
        return [message for message in self.messages if _is_to(message, address)]

    async def wait_for(self, count: int, to: str | None = None) -> list[EmailMessage]:
        """Returns when at least `count` messages are here (to `to`); an AssertionError tells what came instead."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while len(found := self.messages if to is None else self.sent_to(to)) < count:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            came = [f"{message['To']}: {message['Subject']}" for message in self.messages]
            raise AssertionError(f"waited for {count} messages, and these came: {came}") from None
        return found

    def answer_with(self, reply: str | None, *, to: str | None = None, at: Stage = "RCPT") -> None:
        """Refuse with `reply`, like "451 4.7.1 later", from now on; None: take everything again.

        `to` limits it to mails to that address (at RCPT and DATA).
        """
        with self._lock:
            self._reply = None if reply is None else _Reply(reply, to, at)

    def start(self) -> None:
        """Returns when the port is open."""
        assert self._thread is None, "the mailbox runs"
        listener = socket.create_server((self.host, self.port))
        ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve(listener, ready)], daemon=True)
        self._thread.start()
        assert ready.wait(_PATIENCE_SECONDS), "the mailbox did not start"

    def stop(self) -> None:
        """Returns when the port is closed, and every connection with it."""
        if self._thread is None:
            return
        assert self._loop
        assert self._stopping
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    def close(self) -> None:
        self.stop()
        self._reserved.close()

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = await self._loop.create_server(self._session, sock=listener, ssl=self._implicit_tls)
        ready.set()
        await self._stopping.wait()
        server.close()
        for transport in list(self._open):
            if not transport.is_closing():
                cast(asyncio.Transport, transport).abort()
        await asyncio.sleep(0)  # for the connections to hear of it

    def _session(self) -> SMTP:
        return _Session(_Handler(self), open_transports=self._open, loop=self._loop, **self._options)

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self._login, handled=False)

    def answer(self, stage: Stage, recipients: list[str]) -> str | None:
        with self._lock:
            reply = self._reply
        if reply is None or reply.at != stage:
            return None
        return reply.text if reply.to is None or reply.to in recipients else None

    def take(self, content: bytes) -> None:
        # Line ends of this machine, and UTF-8 in headers where the sender said SMTPUTF8.
        words = content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
        message = message_from_string(words, policy=policy.default)
        with self._lock:
            self._taken.append(message)


class _Session(SMTP):
    def __init__(
        self, handler: "_Handler", *, open_transports: set[asyncio.BaseTransport], **options
    ) -> None:
        super().__init__(handler, **options)
        self._open_transports = open_transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_transports.discard(self.transport)
        super().connection_lost(error)


class _Handler:
    """What aiosmtpd calls, by these names."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options
    ) -> str:
        if refusal := self._mailbox.answer("MAIL", []):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options
    ) -> str:
        if refusal := self._mailbox.answer("RCPT", [address]):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if refusal := self._mailbox.answer("DATA", [str(address) for address in envelope.rcpt_tos]):
            return refusal
        assert isinstance(envelope.content, bytes)
        self._mailbox.take(envelope.content)
        return "250 OK"


def _is_to(message: EmailMessage, address: str) -> bool:
    return address in [to.addr_spec for to in message["To"].addresses]


def text_of(message: EmailMessage) -> str:
    return _part(message, "plain")


def html_of(message: EmailMessage) -> str:
    return _part(message, "html")


def link_in(message: EmailMessage) -> str:
    """The one link of its text."""
    [link] = re.findall(r"https?://\S+", text_of(message))
    return str(link)


def _part(message: EmailMessage, form: Literal["plain", "html"]) -> str:
    part = message.get_body((form,))
    assert part is not None, f"the message has no {form} part"
    return str(part.get_content())


@asynccontextmanager
async def mailbox(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: bool = False,
    login: tuple[str, str] | None = None,
    smtputf8: bool = True,
) -> AsyncIterator[Mailbox]:
    """A running Mailbox; see there."""
    box = Mailbox(tls=tls, starttls=starttls, login=login, smtputf8=smtputf8)
    try:
        await asyncio.to_thread(box.start)
        yield box
    finally:
        await asyncio.to_thread(box.close)
