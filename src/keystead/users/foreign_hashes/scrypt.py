"""scrypt: in PHC strings, in Django's, and as better-auth uses it."""

import hashlib
import hmac
import re
import unicodedata
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
from keystead.users.hash_ceilings import is_scrypt_affordable

_PHC = re.compile(
    rf"\$scrypt\$ln=(?P<ln>[0-9]{{1,2}}),r=(?P<r>{NUMBER}),p=(?P<p>{NUMBER})"
    rf"\$(?P<salt>{BASE64})\$(?P<hash>{BASE64})"
)
_DJANGO = re.compile(
    rf"scrypt\$(?P<n>{NUMBER})\$(?P<salt>[!-#%-~]{{1,128}})\$(?P<r>{NUMBER})\$(?P<p>{NUMBER})\$(?P<hash>{BASE64})"
)
_BETTER_AUTH = re.compile(r"(?P<salt>[0-9a-f]{32}):(?P<key>[0-9a-f]{128})")
_BETTER_AUTH_STORED = re.compile(
    rf"\$better-auth-scrypt\$ln=(?P<ln>[0-9]{{1,2}}),r=(?P<r>{NUMBER}),p=(?P<p>{NUMBER})"
    r"\$(?P<salt>[0-9a-f]{32})\$(?P<key>[0-9a-f]{128})"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Within the ceilings, so that it may be worked on."""

    n: int
    r: int
    p: int

    @classmethod
    def checked(cls, *, n: int, r: str, p: str) -> "Cost":
        """Raises HashRefused."""
        cost = cls(n, int(r), int(p))
        if not is_scrypt_affordable(n=cost.n, r=cost.r, p=cost.p):
            raise too_costly("at most 256 MiB, a block size of 64 and 16 lanes are accepted for scrypt")
        # RFC 7914 §2: a power of two, above one, and less than 2^(128·r/8).
        if n < 2 or n & (n - 1) or n.bit_length() > 16 * cost.r:
            raise unsupported("its N is not one that scrypt can use")
        return cost

    def derive(self, secret: bytes, salt: bytes, length: int) -> bytes:
        # OpenSSL asks to be allowed what it needs: the memory, and two blocks and the lanes beside it.
        allowed = 128 * self.r * (self.n + self.p + 2)
        return hashlib.scrypt(secret, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=allowed, dklen=length)


@dataclass(frozen=True, slots=True)
class Scrypt:
    canonical: str = field(repr=False)
    cost: Cost
    salt: bytes = field(repr=False)
    key: bytes = field(repr=False)
    is_nfkc: bool = False

    @classmethod
    def parse(cls, text: str) -> "Scrypt":
        """Raises HashRefused."""
        found = _PHC.fullmatch(text)
        if found is None:
            raise unsupported("scrypt is read as $scrypt$ln=…,r=…,p=…$salt$hash")
        cost = Cost.checked(n=1 << int(found["ln"]), r=found["r"], p=found["p"])
        salt, key = salt_from(found["salt"]), key_from(found["hash"])
        ln = cost.n.bit_length() - 1
        canonical = f"$scrypt$ln={ln},r={cost.r},p={cost.p}${to_base64(salt)}${to_base64(key)}"
        return cls(canonical, cost, salt, key)

    @classmethod
    def parse_django(cls, text: str) -> "Scrypt":
        """Raises HashRefused."""
        found = _DJANGO.fullmatch(text)
        if found is None:
            raise unsupported("it starts like a scrypt hash of Django and does not go on like one")
        cost = Cost.checked(n=int(found["n"]), r=found["r"], p=found["p"])
        return cls(text, cost, found["salt"].encode(), key_from(found["hash"]))

    @classmethod
    def parse_better_auth(cls, text: str) -> "Scrypt":
        """Raises HashRefused."""
        found = _BETTER_AUTH_STORED.fullmatch(text)
        if found is None:
            raise unsupported("it starts like a hash of better-auth and does not go on like one")
        cost = Cost.checked(n=1 << int(found["ln"]), r=found["r"], p=found["p"])
        # better-auth salts with the text of the hexadecimal digits, not with the bytes that they stand for.
        return cls(text, cost, found["salt"].encode(), bytes.fromhex(found["key"]), is_nfkc=True)

    def matches(self, password: str) -> bool:
        return any(
            hmac.compare_digest(self.cost.derive(secret, self.salt, len(self.key)), self.key)
            for secret in self._spellings(password)
        )

    def _spellings(self, password: str) -> list[bytes]:
        return [unicodedata.normalize("NFKC", password).encode()] if self.is_nfkc else spellings(password)


def name_better_auth(text: str) -> str | None:
    """better-auth's bare `salt:key` with what it leaves unsaid, or None where it is none."""
    found = _BETTER_AUTH.fullmatch(text)
    return found and f"$better-auth-scrypt$ln=14,r=16,p=1${found['salt']}${found['key']}"
