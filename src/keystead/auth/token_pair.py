"""From a live session to the pair of tokens that its holder gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keystead.applications.book import Applications
from keystead.auth.mapped_claims import MapClaims
from keystead.hooks.call import Hooks
from keystead.hooks.types import HookAnswer, HookPoint, HookRefused, HookUnavailable
from keystead.jwt.issuer import IssuedToken, TokenIssuer, TokenTooLarge
from keystead.kernel.application import Application
from keystead.kernel.ids import SessionId
from keystead.kernel.secrets import Secret
from keystead.kernel.telemetry import HOOK_CLAIMS_IGNORED, JWT_TOKENS_ISSUED
from keystead.sessions.refresh_token import RefreshTokens
from keystead.sessions.types import LiveSession

# What may be said wherever a pair is issued, beside what the verb itself says.
TOKEN_REFUSALS = (TokenTooLarge, HookRefused, HookUnavailable)


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

    Raises NotSignedIn where the session's application is gone, TokenTooLarge, and what the hook before a token does:
    HookRefused, HookUnavailable. A session that had begun goes on.
    """

    issuer: TokenIssuer
    refresh_tokens: RefreshTokens
    applications: Applications
    map_claims: MapClaims
    hooks: Hooks

    async def __call__(self, session: LiveSession, more: Mapping[str, Any] | None = None) -> TokenPair:
        """`more`: the claims beside ours, where they were gathered already."""
        access = await self._sign(session, await self.gather(session) if more is None else more)
        JWT_TOKENS_ISSUED.inc()
        return TokenPair(
            access_token=access.token,
            expires_in=access.expires_in,
            refresh_token=self.refresh_tokens.make(session.id, session.generation),
            refresh_expires_in=int((session.expires_at - session.now).total_seconds()),
            session_id=session.id,
            client_id=session.client_id,
        )

    @property
    def may_refuse(self) -> bool:
        """Whether something beside the session decides: what applications map, or the hook before a token."""
        return self.hooks.has(HookPoint.BEFORE_TOKEN) or self.applications.maps_claims

    async def try_out(self, session: LiveSession) -> Mapping[str, Any]:
        """The claims beside ours, having seen that a token holds them: it raises what issuing would."""
        more = await self.gather(session)
        await self._sign(session, more)
        return more

    async def gather(self, session: LiveSession) -> Mapping[str, Any]:
        application = await self.applications.require(session.client_id)
        mapped = await self.map_claims(session.user_id, application)
        return {**mapped, **_allowed(await self._ask(session), application)}

    async def _sign(self, session: LiveSession, more: Mapping[str, Any]) -> IssuedToken:
        application = await self.applications.require(session.client_id)
        return self.issuer.issue(
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
            more=more,
        )

    async def _ask(self, session: LiveSession) -> HookAnswer:
        if not self.hooks.has(HookPoint.BEFORE_TOKEN):
            return HookAnswer()
        return await self.hooks(
            HookPoint.BEFORE_TOKEN,
            {
                "application": session.client_id,
                "user": {"id": session.user_id, "roles": session.roles},
                "session": {
                    "id": session.id,
                    "amr": session.amr,
                    "auth_time": session.auth_time,
                    "actor_id": session.actor_id,
                },
            },
        )


def _allowed(answer: HookAnswer, application: Application) -> Mapping[str, Any]:
    """Claims of the hook's that the application lets it add."""
    allowed = application.claims.from_hook
    HOOK_CLAIMS_IGNORED.inc(len(answer.claims.keys() - allowed))
    return {name: value for name, value in answer.claims.items() if name in allowed and value is not None}
