"""Refresh tokens: made from the session's id and generation and a MAC, so that nothing reusable is stored."""

from dataclasses import dataclass
from uuid import UUID

from keystead.kernel.ids import SessionId
from keystead.kernel.secrets import Secret
from keystead.vault import MacTokens, Vault

_GENERATION_BYTES = 4


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """What a genuine token says. Whether it is the current one, only the database knows."""

    session_id: SessionId
    generation: int


class RefreshTokens:
    """Spells and reads refresh tokens with the vault's `refresh` keys."""

    def __init__(self, vault: Vault) -> None:
        self._tokens = MacTokens(vault, "refresh", prefix="rt_", body_bytes=16 + _GENERATION_BYTES)

    def make(self, session_id: SessionId, generation: int) -> Secret:
        """The same for the same arguments: a retry gets the same bytes and the chain cannot fork."""
        return self._tokens.make(session_id.bytes + generation.to_bytes(_GENERATION_BYTES))

    def read(self, token: str) -> RefreshClaim | None:
        """None for whatever we did not make, found out without asking the database."""
        body = self._tokens.read(token)
        if body is None:
            return None
        return RefreshClaim(SessionId(UUID(bytes=body[:16])), int.from_bytes(body[16:]))
