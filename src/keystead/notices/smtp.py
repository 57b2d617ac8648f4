"""Sending: one connection to the mail server, several messages, three ways to fail."""

import re
import ssl
from asyncio import CancelledError, timeout
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from keystead.kernel.errors import CannotStart
from keystead.kernel.secrets import Secret

_SERVICE_CLOSING = 421
# "Sign in first", "too weak", "wrong", "not without TLS": it is our access that is refused, not this mail.
_ACCESS_REFUSED = frozenset({530, 534, 535, 538})
_NON_ASCII_ADDRESS = (553, "5.6.7")  # RFC 6531 §3.5, said by us where the server lacks SMTPUTF8
_ENHANCED_STATUS = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_GOODBYE = timedelta(seconds=5)

# No text of the three shows an address: servers like to repeat the recipient's, so only their codes are kept.


class MailServerDown(Exception):
    """Nothing can be sent now, and nothing is wrong with this mail. It may have been taken all the same."""


class MailDeferred(Exception):
    """This mail was not taken now: try it again later. `code` is the server's, 4xx."""

    def __init__(self, code: int, status: str | None = None) -> None:
        super().__init__(_shown(code, status))
        self.code = code


class MailRejected(Exception):
    """This mail will never be taken: set it aside. `code` is the server's, 5xx."""

    def __init__(self, code: int, status: str | None = None) -> None:
        super().__init__(_shown(code, status))
        self.code = code


@dataclass(frozen=True)
class SmtpServer:
    """`ca_file` holds the certificates that are trusted in place of the system's."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    username: str | None
    password: Secret | None
    timeout: timedelta
    ca_file: Path | None = None


class Connection:
    """Sends messages, one after the other. What a refused one left behind is cleared before the next."""

    def __init__(self, client: aiosmtplib.SMTP, limit: timedelta) -> None:
        self._client = client
        self._limit = limit.total_seconds()

    async def send(self, message: EmailMessage) -> None:
        """Hand over one message to its one recipient. Raises MailServerDown, MailDeferred or MailRejected."""
        try:
            async with timeout(self._limit):
                failure = await self._try(message)
        except TimeoutError:
            failure = MailServerDown("the mail server did not answer in time")
        except CancelledError:
            self._client.close()  # the next answer would belong to this mail
            raise
        if failure is None:
            return
        if isinstance(failure, MailServerDown):
            self._client.close()
        else:
            await self._reset()
        raise failure  # outside of any handler: what it came from names the recipient

    async def _try(self, message: EmailMessage) -> MailServerDown | MailDeferred | MailRejected | None:
        try:
            await self._transact(message)
        except MailRejected as refusal:
            return refusal
        except SMTPResponseException as error:
            return _failure(error)
        except (SMTPException, OSError) as error:
            return MailServerDown(f"the connection to the mail server broke ({type(error).__name__})")
        return None

    async def _transact(self, message: EmailMessage) -> None:
        sender, recipient = _address(message, "From"), _address(message, "To")
        options: list[str] = []
        encoding = "ascii"
        if not (sender + recipient).isascii():
            if not self._client.supports_extension("smtputf8"):
                raise MailRejected(*_NON_ASCII_ADDRESS)
            options, encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        await self._client.mail(sender, options=options, encoding=encoding)
        await self._client.rcpt(recipient, encoding=encoding)
        await self._client.data(message.as_bytes())

    async def _reset(self) -> None:
        """A server that cannot forget a refused mail is left; what it said about the mail stands."""
        try:
            async with timeout(self._limit):
                await self._client.rset()
        except (SMTPException, OSError):
            self._client.close()


class Smtp:
    """`async with smtp.connect() as connection: await connection.send(message)`."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._trust = _trust(server.ca_file) if server.security != "none" else None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection that is secured and signed in as configured. Raises MailServerDown."""
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            use_tls=self._server.security == "tls",
            start_tls=False,  # we do it ourselves, below
            tls_context=self._trust,
            local_hostname="localhost",  # for now: the default asks the DNS, and may wait for it
            timeout=None,  # one limit for all steps together, below
        )
        try:
            await self._open(client)
            try:
                yield Connection(client, self._server.timeout)
            finally:
                await self._leave(client)
        finally:
            client.close()

    async def _open(self, client: aiosmtplib.SMTP) -> None:
        try:
            async with timeout(self._server.timeout.total_seconds()):
                await self._prepare(client)
        except SMTPResponseException as error:
            failure = MailServerDown(f"the mail server refused us: {_shown(error.code, _status_of(error))}")
        except TimeoutError:
            failure = MailServerDown("the mail server did not answer in time")
        except (SMTPException, OSError, UnicodeError) as error:
            failure = MailServerDown(f"no connection to the mail server: {error}")
        else:
            return
        raise failure

    async def _prepare(self, client: aiosmtplib.SMTP) -> None:
        await client.connect()
        client.local_hostname = _own_name(client)
        await client.ehlo()
        if self._server.security == "starttls":
            if not client.supports_extension("starttls"):
                raise MailServerDown("the mail server offers no STARTTLS; nothing is sent in plain text")
            await client.starttls()
            await client.ehlo()
        if self._server.username is not None:
            password = self._server.password.reveal() if self._server.password else ""
            await client.login(self._server.username, password)

    async def _leave(self, client: aiosmtplib.SMTP) -> None:
        """What was sent is sent, however the server takes our leave."""
        if client.is_connected:
            with suppress(SMTPException, OSError):
                async with timeout(min(_GOODBYE, self._server.timeout).total_seconds()):
                    await client.quit()


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CannotStart(f"the certificates of mail.ca_file, {ca_file}, cannot be read: {error}") from error


def _own_name(client: aiosmtplib.SMTP) -> str:
    """Our end as an address literal (RFC 5321 §4.1.3): true without a name in the DNS."""
    address = str(client.get_transport_info("sockname")[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _address(message: EmailMessage, header: str) -> str:
    value = message[header]
    if not isinstance(value, AddressHeader) or len(value.addresses) != 1:
        raise ValueError(f"a message needs one address in {header}")
    return str(value.addresses[0].addr_spec)


def _failure(error: SMTPResponseException) -> MailServerDown | MailDeferred | MailRejected:
    code = error.code
    if code == _SERVICE_CLOSING or code in _ACCESS_REFUSED or not 400 <= code <= 599:
        return MailServerDown(f"the mail server refused us: {_shown(code, _status_of(error))}")
    return (MailDeferred if code < 500 else MailRejected)(code, _status_of(error))


def _status_of(error: SMTPResponseException) -> str | None:
    status = _ENHANCED_STATUS.match(str(error.message))
    return status[1] if status else None


def _shown(code: int, status: str | None) -> str:
    return f"{code} {status}" if status else str(code)
