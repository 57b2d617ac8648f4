"""PBKDF2 with SHA-256 or SHA-512, in PHC strings and in Django's."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from keystead.users.foreign_hashes.types import (
    BASE64,
    NUMBER,
    key_from,
    salt_from,
    spellings,
    to_base64,
    too_costly,
    unsupported,
)
from keystead.users.hash_ceilings import PBKDF2_ITERATIONS

_PHC = re.compile(
    rf"\$pbkdf2-(?P<digest>sha256|sha512)\$i=(?P<i>{NUMBER})(?:,l=(?P<l>{NUMBER}))?"
    rf"\$(?P<salt>{BASE64})\$(?P<hash>{BASE64})"
)
_DJANGO = re.compile(rf"pbkdf2_sha256\$(?P<i>{NUMBER})\$(?P<salt>[!-#%-~]{{1,128}})\$(?P<hash>{BASE64})")


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    canonical: str = field(repr=False)
    digest: str
    iterations: int
    salt: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Pbkdf2":
        """Raises HashRefused."""
        found = _PHC.fullmatch(text)
        if found is None:
            raise unsupported("PBKDF2 is read as $pbkdf2-sha256$i=…$salt$hash or with sha512")
        iterations = _affordable(found["i"])
        digest, salt, key = found["digest"], salt_from(found["salt"]), key_from(found["hash"])
        if found["l"] and int(found["l"]) != len(key):
            raise unsupported("its hash has another length than it says")
        canonical = f"$pbkdf2-{digest}$i={iterations}${to_base64(salt)}${to_base64(key)}"
        return cls(canonical, digest, iterations, salt, key)

    @classmethod
    def parse_django(cls, text: str) -> "Pbkdf2":
        """Raises HashRefused."""
        found = _DJANGO.fullmatch(text)
        if found is None:
            raise unsupported("it starts like a PBKDF2 hash of Django and does not go on like one")
        iterations = _affordable(found["i"])
        return cls(text, "sha256", iterations, found["salt"].encode(), key_from(found["hash"]))

    def matches(self, password: str) -> bool:
        return any(
            hmac.compare_digest(
                hashlib.pbkdf2_hmac(self.digest, secret, self.salt, self.iterations, len(self.key)), self.key
            )
            for secret in spellings(password)
        )


def _affordable(number: str) -> int:
    iterations = int(number)
    if iterations > PBKDF2_ITERATIONS:
        raise too_costly(f"at most {PBKDF2_ITERATIONS} iterations are accepted for PBKDF2")
    return iterations
