"""Firebase's own scrypt: the project's signer key, encrypted under what scrypt makes of the password."""

import hmac
import re
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from keystead.users.foreign_hashes.scrypt import Cost
from keystead.users.foreign_hashes.types import (
    BASE64,
    NUMBER,
    from_base64,
    salt_from,
    spellings,
    to_base64,
    unsupported,
)

_STORED = re.compile(
    rf"\$firebase-scrypt\$ln=(?P<ln>[0-9]{{1,2}}),r=(?P<r>{NUMBER}),ss=(?P<ss>(?:{BASE64})?),sk=(?P<sk>{BASE64})"
    rf"\$(?P<salt>{BASE64})\$(?P<hash>{BASE64})"
)
# How Supabase keeps users that it took over from Firebase; its `n` is the exponent too.
_SUPABASE = re.compile(
    rf"\$fbscrypt\$v=1,n=(?P<ln>[0-9]{{1,2}}),r=(?P<r>{NUMBER}),p=1,ss=(?P<ss>(?:{BASE64})?),sk=(?P<sk>{BASE64})"
    rf"\$(?P<salt>{BASE64})\$(?P<hash>{BASE64})"
)
_AES_KEY_BYTES, _NO_NONCE = 32, bytes(16)


@dataclass(frozen=True, slots=True)
class FirebaseScrypt:
    """The password hash parameters of a Firebase project, as its console shows them; both texts in base64."""

    signer_key: str = field(repr=False)
    salt_separator: str
    rounds: int
    mem_cost: int

    def stored(self, *, salt: str, password_hash: str) -> str:
        """What `recognise` takes for one user of the project."""
        parameters = f"ln={self.mem_cost},r={self.rounds},ss={self.salt_separator},sk={self.signer_key}"
        return f"$firebase-scrypt${parameters}${salt}${password_hash}"


@dataclass(frozen=True, slots=True)
class FirebaseHash:
    canonical: str = field(repr=False)
    cost: Cost
    salt: bytes = field(repr=False)
    signer_key: bytes = field(repr=False)
    encrypted: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "FirebaseHash":
        """Raises HashRefused."""
        found = _STORED.fullmatch(text) or _SUPABASE.fullmatch(text)
        if found is None:
            raise unsupported("it starts like a hash of Firebase and does not go on like one")
        cost = Cost.checked(n=1 << int(found["ln"]), r=found["r"], p="1")
        salt = salt_from(found["salt"])
        separator = from_base64(found["ss"], "salt separator", shortest=0, longest=64)
        signer_key = from_base64(found["sk"], "signer key", shortest=16, longest=128)
        encrypted = from_base64(found["hash"], "hash", shortest=16, longest=128)
        if len(encrypted) != len(signer_key):
            raise unsupported("its hash is not as long as the signer key of the project")
        canonical = (
            f"$firebase-scrypt$ln={cost.n.bit_length() - 1},r={cost.r}"
            f",ss={to_base64(separator)},sk={to_base64(signer_key)}${to_base64(salt)}${to_base64(encrypted)}"
        )
        return cls(canonical, cost, salt + separator, signer_key, encrypted)

    def matches(self, password: str) -> bool:
        return any(
            hmac.compare_digest(self._encrypt(secret), self.encrypted) for secret in spellings(password)
        )

    def _encrypt(self, secret: bytes) -> bytes:
        key = self.cost.derive(secret, self.salt, _AES_KEY_BYTES)
        encryptor = Cipher(AES(key), CTR(_NO_NONCE)).encryptor()
        return encryptor.update(self.signer_key) + encryptor.finalize()
