"""What every foreign hash is made of, and the bounds of its parts."""

import binascii
import unicodedata
from typing import Protocol

MAX_STORED_LENGTH = 1024
MAX_PASSWORD_BYTES = 1024
BASE64 = r"[A-Za-z0-9+/_-]+={0,2}"
NUMBER = r"[1-9][0-9]{0,9}"
_TO_STANDARD = str.maketrans("-_", "+/")


class HashRefused(ValueError):
    """Not a hash that is taken over. The text says why and holds nothing of the hash."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ForeignHash(Protocol):
    """A hash within every bound. `canonical` is what is stored."""

    @property
    def canonical(self) -> str: ...

    def matches(self, password: str) -> bool: ...


def unsupported(why: str) -> HashRefused:
    return HashRefused("password_hash_unsupported", f"This password hash is not supported: {why}.")


def too_costly(why: str) -> HashRefused:
    return HashRefused("password_hash_too_costly", f"Checking this password hash would cost too much: {why}.")


def from_base64(text: str, what: str, *, shortest: int, longest: int) -> bytes:
    """Standard or URL-safe alphabet, padded or not; `text` has been matched against BASE64. Raises HashRefused."""
    bare = text.rstrip("=").translate(_TO_STANDARD)
    try:
        found = binascii.a2b_base64(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        raise unsupported(f"its {what} is not base64") from None
    if not shortest <= len(found) <= longest:
        raise unsupported(f"its {what} is not {shortest} to {longest} bytes long")
    return found


def to_base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode().rstrip("=")


def salt_from(text: str) -> bytes:
    return from_base64(text, "salt", shortest=1, longest=128)


def key_from(text: str) -> bytes:
    return from_base64(text, "hash", shortest=16, longest=64)


def spellings(password: str) -> list[bytes]:
    """As received, and in NFC where that differs: other systems hash one or the other."""
    received, composed = password.encode(), unicodedata.normalize("NFC", password).encode()
    return [received] if received == composed else [received, composed]
