"""The one form of an e-mail address: for identity, look-up, uniqueness and counters."""

import unicodedata
from dataclasses import dataclass

import idna
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from keystead.kernel.errors import FieldError, InvalidInput

MAX_LENGTH = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets
# Company networks use `.local`, test systems `.test`: real addresses there, as the library allows one to say.
SPECIAL_USE_DOMAIN_NAMES[:] = [name for name in SPECIAL_USE_DOMAIN_NAMES if name not in ("local", "test")]
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """`canonical` decides who somebody is; `display` is what they typed, in NFC, and where mail goes."""

    canonical: str
    display: str

    @property
    def local(self) -> str:
        return self.canonical.rpartition("@")[0]

    @property
    def domain(self) -> str:
        return self.canonical.rpartition("@")[2]


def parse_email(text: str) -> EmailAddress:
    """The address in `text`. Raises InvalidInput.

    Canonical: NFC, the local part lower-cased in ASCII only, the domain as UTS #46 maps it. What NFKC would change
    (full-width letters, ligatures, the Kelvin sign) is refused: it looks like another address.
    """
    display = unicodedata.normalize("NFC", text)
    if len(text) > MAX_LENGTH or not text.isprintable():
        raise _refused("too long, or with characters that do not print")
    # Character by character: NFC itself folds some of them (the Kelvin sign), and that is no reason to take them.
    if any(unicodedata.normalize("NFKC", char) != char for char in text):
        raise _refused("it has characters that stand for others; write them plainly")
    try:
        validate_email(
            display,
            check_deliverability=False,
            globally_deliverable=False,
            strict=True,
        )
        local, _, domain = display.rpartition("@")
        ascii_domain = idna.encode(domain, uts46=True, transitional=False).decode().lower()
    except (EmailNotValidError, idna.IDNAError, UnicodeError) as error:
        raise _refused("it does not read as name@domain") from error
    return EmailAddress(f"{local.translate(_ASCII_LOWER)}@{ascii_domain}", display)


def _refused(why: str) -> InvalidInput:
    return InvalidInput(FieldError("/email", "email_invalid", f"This is no usable e-mail address: {why}."))
