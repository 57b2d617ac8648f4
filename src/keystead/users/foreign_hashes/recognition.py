"""Which hash a text is, and whether a password is the one behind it."""

import re
from collections.abc import Callable

from keystead.kernel.errors import FieldError, InvalidInput
from keystead.users.foreign_hashes.argon2_phc import Argon2
from keystead.users.foreign_hashes.bcrypts import DJANGO_SHA256, Bcrypt
from keystead.users.foreign_hashes.firebase import FirebaseHash
from keystead.users.foreign_hashes.pbkdf2 import Pbkdf2
from keystead.users.foreign_hashes.scrypt import Scrypt, name_better_auth
from keystead.users.foreign_hashes.types import (
    MAX_PASSWORD_BYTES,
    MAX_STORED_LENGTH,
    ForeignHash,
    HashRefused,
    unsupported,
)

# Django puts the name of its hasher before what the library made; these two are what the library made.
_DJANGO_ARGON2, _DJANGO_BCRYPT = "argon2$argon2", "bcrypt$$2"
_PARSERS: tuple[tuple[str, Callable[[str], ForeignHash]], ...] = (
    ("$2", Bcrypt.parse),
    ("$argon2", Argon2.parse),
    ("pbkdf2_sha256$", Pbkdf2.parse_django),
    ("$pbkdf2-sha256$", Pbkdf2.parse),
    ("$pbkdf2-sha512$", Pbkdf2.parse),
    (DJANGO_SHA256, Bcrypt.parse),
    ("$better-auth-scrypt$", Scrypt.parse_better_auth),
    ("$firebase-scrypt$", FirebaseHash.parse),
    ("$fbscrypt$", FirebaseHash.parse),
    ("$scrypt$", Scrypt.parse),
    ("scrypt$", Scrypt.parse_django),
)
# Every usual way to write MD5 or SHA-1, alone, salted or iterated.
_BROKEN = re.compile(
    r"(?:md5|sha1|unsalted_md5|unsalted_sha1|pbkdf2_sha1|hmac_md5|hmac_sha1)\$"
    r"|\$(?:1|md5|sha1|apr1|P|H|pbkdf2|pbkdf2-sha1)[$,]|\$[PH]\$|\{(?:MD5|SMD5|SHA|SSHA)\}"
    r"|(?:[0-9a-f]{32}|[0-9a-f]{40})(?![0-9a-f:])",
    re.IGNORECASE,
)


def recognise(text: str) -> str:
    """The string to store for `text`. Raises InvalidInput: what it is not, or what it would cost."""
    try:
        return _parse(text).canonical
    except HashRefused as refused:
        raise InvalidInput(FieldError("/password_hash", refused.code, refused.message)) from None


def is_foreign(stored: str) -> bool:
    """Whether `verify` can answer for it: a hash within the ceilings, and not Argon2."""
    try:
        return not isinstance(_parse(stored), Argon2)
    except HashRefused:
        return False


def verify(stored: str, password: str) -> bool:
    """Whether `password` is the one behind `stored`; False for whatever is no foreign hash within the ceilings.

    Never raises. Slow on purpose: it belongs into the hasher's threads.
    """
    # A password with U+0000 matches nothing: bcrypt ends there, and HMAC fills up with it, so others would match.
    if "\0" in password:
        return False
    try:
        found = _parse(stored)
        return len(password.encode()) <= MAX_PASSWORD_BYTES and found.matches(password)
    except (ValueError, OverflowError, MemoryError):  # HashRefused, half a surrogate pair, no memory left
        return False


def _parse(text: str) -> ForeignHash:
    """Raises HashRefused. Nothing is allocated or worked on that `text` asks for."""
    if len(text) > MAX_STORED_LENGTH:
        raise unsupported(f"it is longer than {MAX_STORED_LENGTH} characters")
    if text.startswith((_DJANGO_ARGON2, _DJANGO_BCRYPT)):
        text = text.removeprefix("argon2").removeprefix("bcrypt$")
    for prefix, parse in _PARSERS:
        if text.startswith(prefix):
            return parse(text)
    if named := name_better_auth(text):
        return Scrypt.parse_better_auth(named)
    if _BROKEN.match(text):
        raise unsupported(
            "MD5 and SHA-1 are too quick to guess; move the user without a password, to be set by a reset"
        )
    raise unsupported("it is none of bcrypt, Argon2, scrypt and PBKDF2 in a form that is known here")
