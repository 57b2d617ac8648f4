"""Secrets that do not print, and the digests that are stored in their place."""

import hashlib
import hmac
import secrets


class Secret:
    """A string that must never be shown: `repr`, `str` and formatting hide it, pickling is refused."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")


def new_secret() -> Secret:
    """256 random bits, URL-safe."""
    return Secret(secrets.token_urlsafe(32))


def digest(secret: str | bytes) -> bytes:
    """SHA-256. A bare hash suffices where the input has 256 bits of entropy: it cannot be guessed."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).digest()
