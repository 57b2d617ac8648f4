"""Revocation of a token by the service that holds it (RFC 7009)."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.identify import Identify
from keystead.auth.identity import Identity
from keystead.jwt.jws import TokenRejected
from keystead.kernel.application import Application
from keystead.kernel.caller import (
    Access,
    Caller,
    CredentialKind,
    NotSignedIn,
    Permission,
    PermissionMissing,
)
from keystead.kernel.db import Database
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import SessionId
from keystead.limits.types import RouteClass
from keystead.machines import store as machines
from keystead.sessions import store as sessions
from keystead.sessions.listing import record_end
from keystead.sessions.refresh_token import RefreshTokens
from keystead.sessions.types import EndReason


class NotRevocable(Refusal):
    """The access token of a service account: it lives for minutes, and ends with the key that it was given for."""

    code = "unsupported_token_type"
    message = "A service account's access token cannot be revoked: revoke its key."


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """Ends the session of an access or refresh token of the client's own application, or revokes the API key.

    Of any other token nothing is done and nothing is told (RFC 7009 §2.2). Raises NotRevocable, PermissionMissing.
    """

    db: Database
    identify: Identify
    refresh_tokens: RefreshTokens
    requires: ClassVar = Access.CLIENT
    limited_as: ClassVar = RouteClass.CLIENT
    refuses: ClassVar = (NotRevocable, PermissionMissing)

    async def __call__(self, client: Caller, application: Application, token: str) -> None:
        client.require(Permission.TOKENS_REVOKE)
        claim = self.refresh_tokens.read(token)
        if claim is not None:
            session = await sessions.find_live(self.db, claim.session_id, of=None)
            if session is not None and session.client_id == application.client_id:
                await self._end(client, session.id)
            return
        try:
            identity = await self.identify(token)
        except (NotSignedIn, TokenRejected):
            return
        await self._revoke(client, application, identity)

    async def _revoke(self, client: Caller, application: Application, identity: Identity) -> None:
        caller = identity.caller
        if identity.grant.application.client_id != application.client_id:
            return
        match caller.credential:
            case CredentialKind.SESSION:
                await self._end(client, caller.session_id)
            case CredentialKind.API_KEY:
                await self._revoke_api_key(client, caller)
            case CredentialKind.SERVICE:
                raise NotRevocable

    async def _end(self, client: Caller, session_id: SessionId) -> None:
        async with self.db.begin() as tx:
            ended = await sessions.end(tx, session_id, EndReason.REVOKED)
            if ended is not None:
                await record_end(tx, ended, EndReason.REVOKED, actor_id=client.user_id)

    async def _revoke_api_key(self, client: Caller, owner: Caller) -> None:
        async with self.db.begin() as tx:
            if await machines.revoke_api_key(tx, owner.credential_id, owner.user_id):
                event = Event(
                    EventName.API_KEY_REVOKED,
                    actor_id=client.user_id,
                    subject_id=owner.user_id,
                    session_id=client.credential_id,
                    detail={"key": str(owner.credential_id)},
                )
                await trail.record(tx, event)
