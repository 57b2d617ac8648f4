"""Identify: who stands behind an access token or an API key, at this moment."""

from dataclasses import dataclass

from keystead.applications.book import Applications
from keystead.auth.identify_api_key import IdentifyApiKey
from keystead.auth.identify_service import IdentifyService
from keystead.auth.identity import Grant, Identity
from keystead.jwt.types import AccessClaims, MachineClaims
from keystead.jwt.verifier import TokenVerifier
from keystead.kernel.caller import Caller, CredentialKind, NotSignedIn, OwnScope, Permission
from keystead.kernel.clock import Clock
from keystead.kernel.db import Database
from keystead.machines.secret_text import SecretKind
from keystead.roles.book import RoleBook
from keystead.users.store import STORED_USER_COLUMNS
from keystead.users.types import StoredUser

ALL_OWN_SCOPES = frozenset(OwnScope)

# Joins sessions, users, roles, data keys and the installation: every request of a signed-in user reads the state of
# its session with the user, in one round trip, so that a revocation or a lost role holds at once on every worker; the
# version of what roles permit comes with them, so that a changed role does, too. A session that somebody else started
# needs them active and still allowed to, and permits what both may do.
IDENTIFY = f"""
    SELECT s.auth_time, s.actor_id, keystead_now() AS now, (SELECT version FROM authorization_state) AS roles_version,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role) AS roles,
           CASE WHEN s.actor_id IS NOT NULL
                THEN ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.actor_id ORDER BY r.role)
            END AS actor_roles,
           {STORED_USER_COLUMNS}
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      JOIN data_keys k ON k.owner_id = u.id
      JOIN installation i ON i.epoch = s.epoch
     WHERE s.id = $1 AND s.user_id = $2 AND s.ended_at IS NULL AND u.status = 'active'
       AND keystead_now() < least(s.idle_expires_at, s.absolute_expires_at)
       AND (s.actor_id IS NULL OR EXISTS (SELECT FROM users a WHERE a.id = s.actor_id AND a.status = 'active'))
"""  # noqa: S608 - constants of ours


@dataclass(frozen=True, slots=True)
class IdentifySession:
    """Raises NotSignedIn, whatever is wrong with the session or its application."""

    db: Database
    applications: Applications
    role_book: RoleBook

    async def __call__(self, claims: AccessClaims) -> Identity:
        application = await self.applications.require(claims.client_id)
        row = await self.db.fetch_row(IDENTIFY, claims.session_id, claims.user_id)
        if row is None:
            raise NotSignedIn
        auth_time, actor_id, now, roles_version, roles, actor_roles, *account = row
        held = tuple(roles)
        permissions = await self.role_book.permissions_of(held, roles_version)
        if actor_roles is not None:
            of_actor = await self.role_book.permissions_of(tuple(actor_roles), roles_version)
            if Permission.SESSIONS_ISSUE not in of_actor:
                raise NotSignedIn
            permissions &= of_actor
        caller = Caller(
            user_id=claims.user_id,
            credential=CredentialKind.SESSION,
            credential_id=claims.session_id,
            roles=held,
            permissions=permissions,
            own=ALL_OWN_SCOPES,
            auth_time=auth_time,
            now=now,
        )
        grant = Grant(
            application=application,
            client_id=claims.client_id,
            audience=claims.audience,
            issued_at=claims.issued_at,
            expires_at=claims.expires_at,
            token_id=claims.token_id,
            roles=held,
            amr=claims.amr,
            actor_id=actor_id,
        )
        return Identity(caller, grant, StoredUser(*account))


@dataclass(frozen=True, slots=True)
class Identify:
    """Raises NotSignedIn or TokenRejected, which are one to whoever asks, whatever is wrong with the credential."""

    verifier: TokenVerifier
    clock: Clock
    identify_session: IdentifySession
    identify_service: IdentifyService
    identify_api_key: IdentifyApiKey

    async def __call__(self, credential: str) -> Identity:
        if credential.startswith(SecretKind.API_KEY):
            return await self.identify_api_key(credential)
        claims = await self.verifier.verify(credential, now=self.clock.now())
        if isinstance(claims, MachineClaims):
            return await self.identify_service(claims)
        return await self.identify_session(claims)
