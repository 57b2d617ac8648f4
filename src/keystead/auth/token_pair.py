"""From a live session to the pair of tokens that its holder gets."""

from dataclasses import dataclass

from keystead.applications.book import Applications
from keystead.auth.mapped_claims import MapClaims
from keystead.jwt.issuer import TokenIssuer
from keystead.kernel.ids import SessionId
from keystead.kernel.secrets import Secret
from keystead.kernel.telemetry import JWT_TOKENS_ISSUED
from keystead.sessions.refresh_token import RefreshTokens
from keystead.sessions.types import LiveSession


@dataclass(frozen=True, slots=True)
class TokenPair:
    """`expires_in` and `refresh_expires_in` are whole seconds from the moment of issue."""

    access_token: Secret
    expires_in: int
    refresh_token: Secret
    refresh_expires_in: int
    session_id: SessionId
    client_id: str


@dataclass(frozen=True, slots=True)
class IssueTokenPair:
    """A fresh access token, and the refresh token of the session's generation.

    Raises NotSignedIn where the session's application is gone, TokenTooLarge.
    """

    issuer: TokenIssuer
    refresh_tokens: RefreshTokens
    applications: Applications
    map_claims: MapClaims

    async def __call__(self, session: LiveSession) -> TokenPair:
        application = await self.applications.require(session.client_id)
        access = self.issuer.issue(
            audience=application.audience,
            ttl=application.lifetimes.access_token,
            user_id=session.user_id,
            session_id=session.id,
            client_id=session.client_id,
            auth_time=session.auth_time,
            actor_id=session.actor_id,
            amr=session.amr,
            roles=application.claims.show(session.roles),
            now=session.now,
            more=await self.map_claims(session.user_id, application),
        )
        JWT_TOKENS_ISSUED.inc()
        return TokenPair(
            access_token=access.token,
            expires_in=access.expires_in,
            refresh_token=self.refresh_tokens.make(session.id, session.generation),
            refresh_expires_in=int((session.expires_at - session.now).total_seconds()),
            session_id=session.id,
            client_id=session.client_id,
        )
