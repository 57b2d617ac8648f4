"""bcrypt, as it is and as Django wraps it."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

import bcrypt

from keystead.users.foreign_hashes.types import spellings, too_costly, unsupported
from keystead.users.hash_ceilings import BCRYPT_LOG_ROUNDS

DJANGO_SHA256 = "bcrypt_sha256$"
_MAX_BYTES = 72  # what bcrypt reads; a longer password never matches, where other systems cut it
_MIN_LOG_ROUNDS = 4
_SALT_LENGTH = 29
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class Bcrypt:
    canonical: str = field(repr=False)
    hashed: str = field(repr=False)
    is_digested: bool

    @classmethod
    def parse(cls, text: str) -> "Bcrypt":
        """Raises HashRefused."""
        hashed = text.removeprefix(DJANGO_SHA256)
        found = _BCRYPT.fullmatch(hashed)
        if found is None:
            raise unsupported("it starts like a bcrypt hash and does not go on like one")
        log_rounds = int(found[1])
        if log_rounds > BCRYPT_LOG_ROUNDS:
            raise too_costly(f"a cost of at most {BCRYPT_LOG_ROUNDS} is accepted for bcrypt")
        if log_rounds < _MIN_LOG_ROUNDS:
            raise unsupported(f"the cost of bcrypt is at least {_MIN_LOG_ROUNDS}")
        return cls(text, hashed, is_digested=hashed != text)

    def matches(self, password: str) -> bool:
        return any(self._is_made_from(secret) for secret in spellings(password))

    def _is_made_from(self, secret: bytes) -> bool:
        if self.is_digested:
            secret = hashlib.sha256(secret).hexdigest().encode()
        if len(secret) > _MAX_BYTES:
            return False
        made = bcrypt.hashpw(secret, self.hashed[:_SALT_LENGTH].encode())
        return hmac.compare_digest(made[_SALT_LENGTH:], self.hashed[_SALT_LENGTH:].encode())
