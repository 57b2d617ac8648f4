"""Tokens as an attacker, another library or a broken issuer would make them, on `cryptography` alone."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from weakref import WeakKeyDictionary

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keystead.jwt.jwks import jwk_set
from keystead.jwt.jws import Reason, TokenRejected
from keystead.jwt.keyring import HeldKey, Keyring
from keystead.jwt.types import AccessClaims, Algorithm, KeyRecord, PublicKey, SigningKey
from keystead.jwt.verifier import TokenVerifier
from keystead_verify import Claims, InvalidToken, Verifier
from keystead_verify.http import Answer
from keystead_verify.key_set import KeySet

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ISSUER = "https://id.example"
AUDIENCE = "https://api.example"
USER = "0198a9c1-7d3e-7c11-9a52-0c1d2e3f4a5b"
SESSION = "0198a9c1-7d3e-7c11-9a52-000000000001"


@dataclass(frozen=True, slots=True)
class FixedAudiences:
    """Audiences that never change."""

    accepted: frozenset[str]

    async def look_again(self) -> bool:
        return False


AUDIENCES = FixedAudiences(frozenset({AUDIENCE, "https://other.example"}))
Sign = Callable[[bytes], bytes]


def at(seconds: float) -> int:
    """Unix seconds, so many after NOW."""
    return int(NOW.timestamp() + seconds)


def claims(**changes: object) -> dict[str, object]:
    """What an access token of ours says, with `changes`; `...` drops a claim."""
    whole: dict[str, object] = {
        "iss": ISSUER,
        "sub": USER,
        "aud": AUDIENCE,
        "client_id": "default",
        "exp": at(300),
        "iat": at(0),
        "jti": "0198a9c1-7d3e-7c11-9a52-000000000002",
        "sid": SESSION,
        "amr": ["pwd"],
        "roles": ["user"],
        "scope": "",
        "auth_time": at(-60),
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def header(key: SigningKey, **changes: object) -> dict[str, object]:
    whole: dict[str, object] = {"alg": key.algorithm.value, "kid": key.kid, "typ": "at+jwt", **changes}
    return {name: value for name, value in whole.items() if value is not ...}


def compact(head: Mapping[str, object] | bytes, payload: Mapping[str, object] | bytes, sign: Sign) -> str:
    signing_input = f"{b64(_bytes(head))}.{b64(_bytes(payload))}"
    return f"{signing_input}.{b64(sign(signing_input.encode()))}"


def signer(key: SigningKey, algorithm: Algorithm | None = None) -> Sign:
    """Signs with the key, in the way of `algorithm` where that is not the key's own."""

    def sign(data: bytes) -> bytes:
        match key.key:
            case rsa.RSAPrivateKey() as private if (algorithm or key.algorithm) is Algorithm.PS256:
                return private.sign(data, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
            case rsa.RSAPrivateKey() as private:
                return private.sign(data, padding.PKCS1v15(), SHA256())
            case ec.EllipticCurvePrivateKey() as private:
                r, s = decode_dss_signature(private.sign(data, ec.ECDSA(SHA256())))
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")
            case ed25519.Ed25519PrivateKey() as private:
                return private.sign(data)
            case _:
                raise AssertionError

    return sign


def token(key: SigningKey, head: Mapping[str, object] | None = None, /, **changes: object) -> str:
    """A token that `key` did sign, whatever it says."""
    return compact(head or header(key), claims(**changes), signer(key))


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(part: Mapping[str, object] | bytes) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()


def held(key: SigningKey, *, number: int = 1, **times: datetime | None) -> HeldKey:
    """`key` in memory, active for an hour unless `times` say otherwise."""
    start = NOW - timedelta(hours=1)
    moments = {"created_at": start, "active_from": start, "replaced_at": None, "revoked_at": None, **times}
    record = KeyRecord(
        number=number,
        kid=key.kid,
        algorithm=key.algorithm,
        rsa_bits=2048 if key.algorithm.is_rsa else None,
        **moments,  # type: ignore[arg-type]
    )
    return HeldKey(record, key, key.public())


class Source:
    """Where a keyring reads its keys in tests without a database; counts how often it was asked."""

    def __init__(self, *keys: HeldKey) -> None:
        self.keys = keys
        self.reads = 0
        self.most_at_once = self._at_once = 0
        self.fails_with: Exception | None = None
        self._read = asyncio.Event()

    async def is_read(self) -> None:
        """Returns once the keys are asked for anew."""
        self._read.clear()
        await self._read.wait()

    async def __call__(self, _held: Mapping[str, HeldKey]) -> tuple[HeldKey, ...]:
        self.reads += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self._read.set()
        await asyncio.sleep(0)
        self._at_once -= 1
        if self.fails_with is not None:
            raise self.fails_with
        return self.keys


def keyring_of(*keys: SigningKey) -> Keyring:
    keyring = Keyring(Source(*(held(key, number=number) for number, key in enumerate(keys, start=1))))
    asyncio.run(keyring.refresh())
    return keyring


def verifier_of(*keys: SigningKey) -> TokenVerifier:
    return TokenVerifier(keyring_of(*keys), issuer=ISSUER, audiences=AUDIENCES)


def read_session(verifier: TokenVerifier, token: str, now: datetime = NOW) -> AccessClaims:
    """What the token of a session says."""
    claims = verifier.check(token, now=now)
    assert isinstance(claims, AccessClaims)
    return claims


def verdict(verifier: TokenVerifier, forged: str | bytes, now: datetime = NOW) -> Reason | None:
    """Why the token was rejected; None: it was accepted."""
    ours = _verdict_of_server(verifier, forged, now)
    # The package that others verify with must say the same of every token here, and for the same reason.
    assert _verdict_of_package(verifier, forged, now) == ours, forged
    return ours


def _verdict_of_server(verifier: TokenVerifier, forged: str | bytes, now: datetime) -> Reason | None:
    try:
        verifier.check(forged, now=now)
    except TokenRejected as rejected:
        return _told_nothing(rejected)
    return None


def _verdict_of_package(verifier: TokenVerifier, forged: str | bytes, now: datetime) -> Reason | None:
    text = forged if isinstance(forged, str) else forged[: 16 * 1024].decode("latin-1")
    try:
        package_of(verifier, now).verify_at(text, now)
    except InvalidToken as refusal:
        return Reason(refusal.reason.value)
    return None


class OfflineVerifier(Verifier):
    """The package's verifier with keys at hand, at a moment of the test's choice."""

    def __init__(self, document: bytes, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        self.moment = NOW.timestamp()
        super().__init__(issuer, audience, clock=lambda: self.moment)
        self.keys = KeySet(lambda: Answer(200, {}, document), max_stale=3600)

    def verify_at(self, token: str, now: datetime) -> Claims:
        self.moment = now.timestamp()
        return self.verify(token)


_packages: WeakKeyDictionary[TokenVerifier, tuple[Mapping[str, PublicKey], OfflineVerifier]] = (
    WeakKeyDictionary()
)


def package_of(verifier: TokenVerifier, now: datetime) -> OfflineVerifier:
    """The package's verifier for the same issuer, with the same keys and one of the audiences."""
    keys, accepted = verifier._keyring.public_keys(now), verifier._audiences.accepted
    known = _packages.get(verifier)
    if known is None or known[0] is not keys:
        audience = AUDIENCE if AUDIENCE in accepted else min(accepted)
        made = OfflineVerifier(jwk_set(keys.values()), issuer=verifier._issuer, audience=audience)
        known = _packages[verifier] = (keys, made)
    return known[1]


def _told_nothing(rejected: TokenRejected) -> Reason:
    """The reason, having seen that whoever sent the token cannot see it, and that it is not a broken check."""
    assert rejected.reason is not Reason.BROKEN_CHECK, repr(rejected.__cause__)
    assert (rejected.code, rejected.detail, str(rejected)) == ("token_invalid", {}, "The token is not valid.")
    return rejected.reason
