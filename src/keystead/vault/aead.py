"""AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D), the one cipher of the vault."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Unreadable(Exception):
    """A sealed value that this key and context do not open: damaged, moved, or of another key."""


def encrypt(cipher: AESGCM, plaintext: bytes, context: bytes) -> bytes:
    """nonce ‖ ciphertext ‖ tag. At most 2^32 calls per key keep nonces from repeating."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plaintext, context)


def decrypt(cipher: AESGCM, blob: bytes, context: bytes) -> bytes:
    """Raises Unreadable, whatever the reason."""
    if len(blob) < _NONCE_BYTES + _TAG_BYTES:
        raise Unreadable
    try:
        return cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], context)
    except InvalidTag:
        raise Unreadable from None
