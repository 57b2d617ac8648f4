"""Who stands behind an API key, at this moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from keystead.applications.book import Applications
from keystead.auth.identity import Grant, Identity
from keystead.kernel.caller import Caller, CredentialKind, NotSignedIn, OwnScope
from keystead.kernel.db import Database
from keystead.kernel.secrets import digest
from keystead.machines import store
from keystead.machines.secret_text import SecretKind, is_machine_secret
from keystead.roles.book import RoleBook
from keystead.users.store import STORED_USER_COLUMNS
from keystead.users.types import StoredUser

TOUCH_EVERY = timedelta(minutes=1)  # "last used" is as exact as a person needs, and a busy key writes seldom

# Joins the keys of people, users, roles and data keys, as IDENTIFY does for a session: one round trip.
IDENTIFY_API_KEY = f"""
    SELECT a.id AS key_id, a.client_id, a.scopes, a.created_at AS key_created_at, a.expires_at AS key_expires_at,
           a.last_used_at, keystead_now() AS now, (SELECT version FROM authorization_state) AS roles_version,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role) AS roles,
           {STORED_USER_COLUMNS}
      FROM api_keys a
      JOIN users u ON u.id = a.user_id
      JOIN data_keys k ON k.owner_id = u.id
     WHERE a.digest = $1 AND a.revoked_at IS NULL AND keystead_now() < a.expires_at AND u.status = 'active'
"""  # noqa: S608 - constants of ours


@dataclass(frozen=True, slots=True)
class IdentifyApiKey:
    """The owner, with what they may do and the key may. Raises NotSignedIn, whatever is wrong with the key."""

    db: Database
    applications: Applications
    role_book: RoleBook

    async def __call__(self, secret: str) -> Identity:
        if not is_machine_secret(secret, SecretKind.API_KEY):
            raise NotSignedIn
        row = await self.db.fetch_row(IDENTIFY_API_KEY, digest(secret))
        if row is None:
            raise NotSignedIn
        key_id, client_id, scopes, created_at, expires_at, last_used_at, now, version, roles, *account = row
        person = StoredUser(*account)
        application = await self.applications.require(client_id)
        await self._touch(key_id, last_used_at, now)
        held = tuple(roles)
        permissions = await self.role_book.permissions_of(held, version) & frozenset(scopes)
        caller = Caller(
            user_id=person.id,
            credential=CredentialKind.API_KEY,
            credential_id=key_id,
            roles=held,
            permissions=permissions,
            own=frozenset(scope for scope in OwnScope if scope in scopes),
            auth_time=None,
            now=now,
        )
        grant = Grant(
            application=application,
            client_id=client_id,
            audience=application.audience,
            issued_at=created_at,
            expires_at=expires_at,
            token_id=None,
            roles=self.role_book.within(held, permissions),
        )
        return Identity(caller, grant, person)

    async def _touch(self, key_id: UUID, last_used_at: datetime | None, now: datetime) -> None:
        if last_used_at is None or now - last_used_at >= TOUCH_EVERY:
            await store.touch_api_key(self.db, key_id, every=TOUCH_EVERY)
