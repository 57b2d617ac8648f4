"""Refresh tokens: made from the session's id and generation and a MAC, so that nothing reusable is stored."""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

from keystead.kernel.ids import SessionId
from keystead.kernel.secrets import Secret
from keystead.vault import Vault

_PREFIX = "rt_"
# version(2) ‖ session(16) ‖ generation(4) ‖ HMAC-SHA256(32): 54 bytes are 72 base64 characters without padding
# or spare bits, so that every token has exactly one spelling.
_SHAPE = re.compile(r"rt_[A-Za-z0-9_-]{72}", re.ASCII)
_MAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """What a genuine token says. Whether it is the current one, only the database knows."""

    session_id: SessionId
    generation: int


class RefreshTokens:
    """Spells and reads refresh tokens with the vault's `refresh` keys."""

    def __init__(self, vault: Vault) -> None:
        self._version, self._keys = vault.mac_keys("refresh")

    def make(self, session_id: SessionId, generation: int) -> Secret:
        """The same for the same arguments: a retry gets the same bytes and the chain cannot fork."""
        body = self._version.to_bytes(2) + session_id.bytes + generation.to_bytes(4)
        mac = hmac.digest(self._keys[self._version], body, "sha256")
        return Secret(_PREFIX + base64.urlsafe_b64encode(body + mac).decode())

    def read(self, token: str) -> RefreshClaim | None:
        """None for whatever we did not make, found out without asking the database."""
        if not _SHAPE.fullmatch(token):
            return None
        try:
            raw = base64.urlsafe_b64decode(token.removeprefix(_PREFIX))
        except binascii.Error:
            return None
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        key = self._keys.get(int.from_bytes(body[:2]))
        if key is None or not hmac.compare_digest(hmac.digest(key, body, "sha256"), mac):
            return None
        return RefreshClaim(SessionId(UUID(bytes=body[2:18])), int.from_bytes(body[18:]))
