"""CSRF tokens: what our pages can read and send along, and foreign ones cannot (OWASP: signed double submit)."""

import os

from keystead.kernel.ids import SessionId
from keystead.kernel.secrets import Secret
from keystead.sessions.refresh_token import RefreshTokens
from keystead.vault import MacTokens, Vault

_NONCE_BYTES = 14


class CsrfTokens:
    """Bound to a session: the token of one is worth nothing in another."""

    def __init__(self, vault: Vault, refresh_tokens: RefreshTokens) -> None:
        self._tokens = MacTokens(vault, "csrf", prefix="cs_", body_bytes=_NONCE_BYTES)
        self._refresh_tokens = refresh_tokens

    def make(self, session_id: SessionId) -> Secret:
        return self._tokens.make(os.urandom(_NONCE_BYTES), context=session_id.bytes)

    def fits(self, token: str, session_id: SessionId) -> bool:
        return self._tokens.read(token, context=session_id.bytes) is not None

    def session_of(self, refresh_token: str) -> SessionId | None:
        """None for a token that we did not make."""
        claim = self._refresh_tokens.read(refresh_token)
        return None if claim is None else claim.session_id
