"""Making a signing key, and how its private part is kept."""

import secrets

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from keystead.jwt.soundness import PUBLIC_EXPONENT
from keystead.jwt.types import Algorithm, KeySpec, PrivateKey, SigningKey
from keystead.vault import Vault

_PURPOSE = "signing"
_KID_BYTES = 8


def generate_key(spec: KeySpec) -> SigningKey:
    """A new key. Takes up to a second for RSA: call it in a thread. Raises UnsoundKey for too few bits."""
    # Hexadecimal: an id that starts with "-" would be an option to a command line.
    key = SigningKey(secrets.token_hex(_KID_BYTES), spec.algorithm, _generate(spec))
    key.public()  # what could not verify must not be stored
    return key


def wrap_key(vault: Vault, key: SigningKey) -> bytes:
    """The private part as it is stored, bound to the key's id and algorithm."""
    der = key.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return vault.wrap(der, purpose=_PURPOSE, context=_context(key.kid, key.algorithm))


def unwrap_key(vault: Vault, wrapped: bytes, *, kid: str, algorithm: Algorithm) -> SigningKey:
    """Raises Unreadable for what the vault did not wrap for this id and algorithm."""
    der = vault.unwrap(wrapped, purpose=_PURPOSE, context=_context(kid, algorithm))
    # The vault vouches that this is what was generated, so its primes are not tested again: that takes 0.1 s.
    key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise TypeError("a signing key is an RSA, EC or Ed25519 key")
    return SigningKey(kid, algorithm, key)


def _generate(spec: KeySpec) -> PrivateKey:
    match spec:
        case KeySpec(Algorithm.ES256):
            return generate_ec(SECP256R1())
        case KeySpec(Algorithm.EDDSA):
            return Ed25519PrivateKey.generate()
        case KeySpec(Algorithm.RS256 | Algorithm.PS256, int(bits)):
            return rsa.generate_private_key(PUBLIC_EXPONENT, bits)
        case _:
            raise ValueError("an RSA key needs a size")


def _context(kid: str, algorithm: Algorithm) -> bytes:
    return f"{kid}|{algorithm.value}".encode()
