"""Client assertions: tokens that a client signs to prove itself (RFC 7523 §2.2 and §3)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from keystead.jwt.jws import TokenRejected, header_of, verify_compact
from keystead.jwt.soundness import UnsoundKey, require_sound
from keystead.jwt.types import CLOCK_SKEW, Algorithm, PublicKey
from keystead.kernel import strict_json

MAX_ASSERTION_LIFE = timedelta(minutes=5)
MAX_ID_LENGTH = 255
MAX_PEM_CHARACTERS = 4096
_TYPES = frozenset({None, "JWT", "client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a genuine assertion says. `id` counts once, until `expires_at`."""

    client_id: str
    id: str
    expires_at: datetime


def key_named_by(token: str) -> UUID | None:
    """The key that an assertion names, before anything is verified: None where it names none of ours."""
    try:
        return UUID(header_of(token).kid)
    except (TokenRejected, ValueError):
        return None


def read_assertion(
    token: str, key: PublicKey, *, audiences: Collection[str], now: datetime
) -> Assertion | None:
    """None unless the key signed it, for us, for now, about its own client."""
    try:
        typ = header_of(token).typ
        payload = verify_compact(token, {key.kid: key}, typ=typ)
        members = strict_json.loads(payload, max_depth=4)
    except (TokenRejected, strict_json.JsonRejected):
        return None
    if typ not in _TYPES or not isinstance(members, dict):
        return None
    match members:
        # One audience, as text: a list could name somebody else's server beside ours, who would pass it on to us.
        case {"iss": str(iss), "sub": str(sub), "aud": str(aud), "exp": int(exp), "jti": str(jti)}:
            is_ours = iss == sub and aud in audiences and 0 < len(jti) <= MAX_ID_LENGTH
            if not is_ours or not _is_in_time(members, exp, now):
                return None
            return Assertion(sub, jti, datetime.fromtimestamp(exp, UTC) + CLOCK_SKEW)
        case _:
            return None


def parse_public_key(pem: str, algorithm: Algorithm | None) -> tuple[Algorithm, str]:
    """The algorithm (the usual one of its kind, unless named) and the key, spelled anew: what stood beside it is gone.

    Raises UnsoundKey, with a text that may be shown.
    """
    if "PRIVATE KEY-----" in pem:
        raise UnsoundKey("it is private; keep it to yourself, and send what openssl pkey -pubout makes of it")
    if len(pem) > MAX_PEM_CHARACTERS or not pem.lstrip().startswith("-----BEGIN PUBLIC KEY-----"):
        raise UnsoundKey("not a public key in PEM, such as openssl pkey -in private.pem -pubout makes")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UnsoundKey("not a public key in PEM that can be read") from None
    match key:
        case RSAPublicKey():
            usual = Algorithm.RS256
        case EllipticCurvePublicKey():
            usual = Algorithm.ES256
        case Ed25519PublicKey():
            usual = Algorithm.EDDSA
        case _:
            raise UnsoundKey("not an RSA, P-256 or Ed25519 key")
    chosen = usual if algorithm is None else algorithm
    require_sound(chosen.value, key)
    return chosen, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_key_of(kid: UUID, algorithm: str, pem: str) -> PublicKey:
    """A stored key, as one that verifies. Raises UnsoundKey."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise UnsoundKey("not an RSA, P-256 or Ed25519 key")
    return PublicKey(str(kid), Algorithm(algorithm), key)


def _is_in_time(members: dict[str, object], exp: int, now: datetime) -> bool:
    """Made lately, and to last not for long: what was signed to lie about until it is needed proves nothing now."""
    seconds, skew = now.timestamp(), CLOCK_SKEW.total_seconds()
    life = MAX_ASSERTION_LIFE.total_seconds()
    not_before, issued_at = members.get("nbf", 0), members.get("iat", int(seconds))
    if (
        type(exp) is not int or type(not_before) is not int or type(issued_at) is not int
    ):  # a bool is an int, too
        return False
    return (
        seconds - skew < exp <= seconds + life + skew
        and not_before <= seconds + skew
        and seconds - life - skew <= issued_at <= seconds + skew
    )
