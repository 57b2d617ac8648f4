"""The message as it goes over the wire: headers that nobody can add to, and both forms of the text."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from uuid import UUID

import idna

from keystead.kernel.errors import CannotStart
from keystead.notices.facts import one_line
from keystead.notices.smtp import MailRejected
from keystead.notices.types import RenderedMail

_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_MAX_ADDRESS_LENGTH = 320
# What would need quotes, or could end the address early. Quoted local parts are not taken anywhere in Keystead.
_LOCAL_FORBIDDEN = re.compile(r'[\s"(),:;<>@\[\\\]]')
_BAD_RECIPIENT = (553, "5.1.3")  # RFC 3463: bad destination mailbox address syntax, said by us


class _NoAddress(ValueError):
    """Not an address that may stand in a header or a command."""


def parse_sender(text: str) -> Address:
    """`Name <name@domain>`, or the address alone. Raises CannotStart."""
    named = _NAMED.fullmatch(text.strip())
    name, address = (named["name"], named["address"]) if named else ("", text.strip())
    try:
        return _address(address, name=_header_text(name.strip().strip('"')))
    except _NoAddress as error:
        raise CannotStart(f"mail.sender is no address like `Name <name@example.com>`: {text!r}") from error


def compose(
    mail: RenderedMail, *, mail_id: UUID, sender: Address, recipient: str, sent_at: datetime
) -> EmailMessage:
    """The same mail makes the same Message-ID, so that one sent twice can be known. Raises MailRejected.

    MailRejected: the recipient's address cannot stand in a message; it is not shown.
    """
    try:
        to = _address(recipient)
    except _NoAddress:
        to = None
    if to is None:
        raise MailRejected(*_BAD_RECIPIENT)
    is_ascii = (to.username + sender.username).isascii()
    message = EmailMessage(policy=SMTP if is_ascii else SMTPUTF8)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = _header_text(mail.subject)
    message["Date"] = sent_at
    message["Message-ID"] = f"<{mail_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    # Plain ASCII on the wire: no relay need re-encode it, which would break a DKIM signature.
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def _address(text: str, *, name: str = "") -> Address:
    local, _, domain = text.rpartition("@")
    if not (local and domain and text.isprintable() and len(text) <= _MAX_ADDRESS_LENGTH):
        raise _NoAddress
    if _LOCAL_FORBIDDEN.search(local) or "=?" in local:
        raise _NoAddress
    try:
        return Address(name, local, _ascii_domain(domain))
    except (ValueError, IndexError) as error:
        raise _NoAddress from error


def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode().lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise _NoAddress from error


def _header_text(text: str) -> str:
    # `=?` begins an encoded word, which the library would decode: to a line end, if somebody wrote one.
    return one_line(text).replace("=?", "= ?")
