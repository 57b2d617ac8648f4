"""`make bench-verifier`: the package's rate beside that of the bare signature of `cryptography`, and of its cache.

Both sides verify the same tokens in turns, so whatever else the machine does meets both; the ratio is the median's.
"""

import os
import platform
import statistics
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ROOT = Path(__file__).parents[1]
for package in ("keystead-verify", "pytest-keystead"):
    sys.path.insert(0, str(ROOT / "packages" / package / "src"))

from bench import procfs  # noqa: E402 - from a checkout
from keystead.jwt.jwks import jwk_set  # noqa: E402
from keystead.jwt.keys import generate_key  # noqa: E402
from keystead.jwt.types import Algorithm, KeySpec, SigningKey  # noqa: E402
from tests.jwt.forging import OfflineVerifier, claims, compact, header, signer  # noqa: E402

TOKENS, HITS, ROUNDS = 400, 400_000, 31
SPECS = (
    KeySpec(Algorithm.RS256, 3072),  # Keystead's own choice, unless it is told another
    KeySpec(Algorithm.RS256, 2048),
    KeySpec(Algorithm.RS256, 4096),
    KeySpec(Algorithm.ES256, None),
    KeySpec(Algorithm.EDDSA, None),
)
WORDS = "algorithm", "bare /s", "verify /s", "ratio", "hits /s"


def main() -> None:
    load = os.getloadavg()[0]
    print(
        f"{procfs.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}"
    )
    print("{:<12}{:>10}{:>12}{:>8}{:>12}".format(*WORDS))
    for spec in SPECS:
        measure(spec)


def measure(spec: KeySpec) -> None:
    key = generate_key(spec)
    verifier = OfflineVerifier(jwk_set([key.public()]))
    tokens = [compact(header(key), claims(jti=f"t{n}"), signer(key)) for n in range(TOKENS)]
    bare = [bare_call(key, token) for token in tokens]

    def misses() -> None:
        verifier._remembered.entries.clear()
        for token in tokens:
            verifier.verify(token)

    def raw() -> None:
        for verify in bare:
            verify()

    def hits() -> None:
        for _ in range(HITS // TOKENS):
            for token in tokens:
                verifier.verify(token[:1] + token[1:])  # a new text each time, as a server gets it

    for _ in range(3):
        misses()
        raw()
    pairs = [(seconds(raw), seconds(misses)) for _ in range(ROUNDS)]
    ratio = statistics.median(alone / whole for alone, whole in pairs)
    alone, whole = (TOKENS / statistics.median(each) for each in zip(*pairs, strict=True))
    hit_rate = HITS / statistics.median(seconds(hits) for _ in range(5))
    name = f"{spec.algorithm}-{spec.rsa_bits}" if spec.rsa_bits else str(spec.algorithm)
    print(f"{name:<12}{alone:>10,.0f}{whole:>12,.0f}{ratio:>8.2f}{hit_rate:>12,.0f}")


def bare_call(key: SigningKey, token: str) -> Callable[[], None]:
    """The library's own call, with everything that it wants at hand."""
    signed, _, segment = token.rpartition(".")
    data, signature = signed.encode(), urlsafe_b64decode(segment + "==")
    sha256, pkcs1, ecdsa = SHA256(), PKCS1v15(), ECDSA(SHA256())
    match key.key.public_key():
        case RSAPublicKey() as rsa:
            return lambda: rsa.verify(signature, data, pkcs1, sha256)
        case EllipticCurvePublicKey() as ec:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            der = encode_dss_signature(r, s)
            return lambda: ec.verify(der, data, ecdsa)
        case Ed25519PublicKey() as ed:
            return lambda: ed.verify(signature, data)
        case other:
            raise TypeError(other)


def seconds(work: Callable[[], None]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


if __name__ == "__main__":
    main()
