"""Signing keys and their states, and what an access token says."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keystead.jwt.soundness import VerifyingKey, require_sound
from keystead.kernel.ids import ServiceAccountId, SessionId, UserId

ACCESS_TOKEN_TYPE = "at+jwt"  # RFC 9068; not "JWT", so no other token of ours passes for one
CLOCK_SKEW = timedelta(seconds=30)
JWKS_MAX_AGE = timedelta(seconds=30)
REFRESH_INTERVAL = timedelta(seconds=10)  # how often each process reads the keys again
# A new key is published for so long before it signs that whoever verifies has it by then.
PUBLISH_LEAD = JWKS_MAX_AGE + CLOCK_SKEW + REFRESH_INTERVAL
MAX_TOKEN_LIFE = timedelta(hours=24)  # no setting allows more, so a key replaced longer ago has no live token

KEY_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


class Algorithm(StrEnum):
    """What a key signs with: bound to the key for its life."""

    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"

    @property
    def is_rsa(self) -> bool:
        return self in (Algorithm.RS256, Algorithm.PS256)


class KeyState(StrEnum):
    NEXT = "next"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KeySpec:
    """What kind of key to make. `rsa_bits` is None for an algorithm that has no such choice: see `of`."""

    algorithm: Algorithm
    rsa_bits: int | None

    @staticmethod
    def of(algorithm: Algorithm, rsa_bits: int) -> "KeySpec":
        """From the settings, where a size stands whatever the algorithm."""
        return KeySpec(algorithm, rsa_bits if algorithm.is_rsa else None)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that may verify, with one algorithm. Making one of a weak or unfit key raises UnsoundKey."""

    kid: str
    algorithm: Algorithm
    key: VerifyingKey

    def __post_init__(self) -> None:
        if KEY_ID.fullmatch(self.kid) is None:
            raise ValueError("a key id is 8 to 64 letters, digits, - and _")
        require_sound(self.algorithm, self.key)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that may sign."""

    kid: str
    algorithm: Algorithm
    key: PrivateKey = field(repr=False)

    def public(self) -> PublicKey:
        return PublicKey(self.kid, self.algorithm, self.key.public_key())


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The life of one key. Its state follows from the time alone: nothing has to happen for it to change."""

    number: int
    kid: str
    algorithm: Algorithm
    rsa_bits: int | None
    created_at: datetime
    active_from: datetime
    replaced_at: datetime | None  # when its successor becomes active; perhaps in the future
    revoked_at: datetime | None

    @property
    def spec(self) -> KeySpec:
        return KeySpec(self.algorithm, self.rsa_bits)

    @property
    def retired_at(self) -> datetime | None:
        """From when on no token of this key can be alive."""
        return None if self.replaced_at is None else self.replaced_at + MAX_TOKEN_LIFE + CLOCK_SKEW

    def state(self, now: datetime) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if now < self.active_from:
            return KeyState.NEXT
        if self.replaced_at is None or now < self.replaced_at:
            return KeyState.ACTIVE
        if self.retired_at is None or now < self.retired_at:
            return KeyState.RETIRING
        return KeyState.RETIRED


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What the verified access token of a session says. It proves who signed it, not that the session still lives."""

    issuer: str
    user_id: UserId
    audience: str
    client_id: str
    session_id: SessionId
    token_id: str
    issued_at: datetime
    expires_at: datetime
    auth_time: datetime | None  # None: a session for which nobody proved anything
    amr: tuple[str, ...]
    roles: tuple[str, ...]
    scope: str


@dataclass(frozen=True, slots=True)
class MachineClaims:
    """As AccessClaims, of a service account: `key_id` is the key of its that the token was given for."""

    issuer: str
    account_id: ServiceAccountId
    audience: str
    key_id: UUID
    token_id: str
    issued_at: datetime
    expires_at: datetime
    roles: tuple[str, ...]
    scope: str
