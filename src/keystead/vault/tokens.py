"""Tokens that prove themselves: a body and a MAC over it, so that nothing reusable is stored."""

import base64
import binascii
import hmac
import re

from keystead.kernel.secrets import Secret
from keystead.vault.vault import Vault

_VERSION_BYTES = 2
_MAC_BYTES = 32


class MacTokens:
    """Spells and reads `prefix` + base64url(version ‖ body ‖ HMAC-SHA256) with the vault's keys of `purpose`.

    The lengths must sum to a multiple of three, so that every token has exactly one spelling.
    """

    def __init__(self, vault: Vault, purpose: str, *, prefix: str, body_bytes: int) -> None:
        size = _VERSION_BYTES + body_bytes + _MAC_BYTES
        if size % 3:
            raise ValueError("base64 would leave spare bits")
        self._version, self._keys = vault.mac_keys(purpose)
        self._prefix = prefix
        self._shape = re.compile(rf"{prefix}[A-Za-z0-9_-]{{{size // 3 * 4}}}", re.ASCII)

    def make(self, body: bytes, *, context: bytes = b"") -> Secret:
        """The same for the same arguments. `context` is proven with the body, and not told."""
        head = self._version.to_bytes(_VERSION_BYTES) + body
        mac = hmac.digest(self._keys[self._version], head + context, "sha256")
        return Secret(self._prefix + base64.urlsafe_b64encode(head + mac).decode())

    def read(self, token: str, *, context: bytes = b"") -> bytes | None:
        """The body; None for whatever we did not make, found out without asking the database."""
        if not self._shape.fullmatch(token):
            return None
        try:
            raw = base64.urlsafe_b64decode(token.removeprefix(self._prefix))
        except binascii.Error:
            return None
        head, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        key = self._keys.get(int.from_bytes(head[:_VERSION_BYTES]))
        if key is None or not hmac.compare_digest(hmac.digest(key, head + context, "sha256"), mac):
            return None
        return head[_VERSION_BYTES:]
