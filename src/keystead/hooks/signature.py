"""The signature of a call, as Standard Webhooks has it: whoever is called can tell ours from everybody else's."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable

from keystead.kernel.secrets import Secret

_ENCODED = "whsec_"


def signature_headers(
    secrets: Iterable[Secret], *, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """One signature for each secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (hmac.new(_bytes(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{b64encode(each).decode()}" for each in signatures),
    }


def is_strong(secret: Secret) -> bool:
    """Whether it is base64 of 24 bytes or more, as the standard asks, or 32 characters or more of anything else."""
    try:
        return len(_bytes(secret)) >= (24 if secret.reveal().startswith(_ENCODED) else 32)
    except ValueError:  # no base64
        return False


def _bytes(secret: Secret) -> bytes:
    text = secret.reveal()
    if text.startswith(_ENCODED):
        return b64decode(text.removeprefix(_ENCODED), validate=True)
    return text.encode()
