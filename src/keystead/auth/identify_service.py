"""Which service account stands behind a token, at this moment."""

from dataclasses import dataclass

from keystead.applications.book import Applications
from keystead.auth.identity import Grant, Identity
from keystead.jwt.types import MachineClaims
from keystead.kernel.caller import Caller, CredentialKind, NotSignedIn
from keystead.kernel.db import Database
from keystead.kernel.ids import UserId
from keystead.roles.book import RoleBook

# Joins service accounts, their keys and roles: a key that was revoked takes the tokens that it got along, at once.
IDENTIFY_SERVICE = """
    SELECT a.client_id, k.scopes, keystead_now() AS now, (SELECT version FROM authorization_state) AS roles_version,
           ARRAY(SELECT r.role FROM service_account_roles r WHERE r.account_id = a.id ORDER BY r.role) AS roles
      FROM service_keys k
      JOIN service_accounts a ON a.id = k.account_id
     WHERE k.id = $1 AND a.id = $2 AND k.revoked_at IS NULL AND keystead_now() < k.expires_at
       AND a.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class IdentifyService:
    """The account, with what its roles, its key and the token's scope all permit.

    It proved itself when it got the token, which counts as `auth_time`. Raises NotSignedIn.
    """

    db: Database
    applications: Applications
    role_book: RoleBook

    async def __call__(self, claims: MachineClaims) -> Identity:
        row = await self.db.fetch_row(IDENTIFY_SERVICE, claims.key_id, claims.account_id)
        if row is None:
            raise NotSignedIn
        client_id, scopes, now, version, roles = row
        application = await self.applications.require(client_id)
        held = tuple(roles)
        permissions = await self.role_book.permissions_of(held, version)
        permissions &= frozenset(claims.scope.split())
        if scopes is not None:
            permissions &= frozenset(scopes)
        caller = Caller(
            user_id=UserId(claims.account_id),
            credential=CredentialKind.SERVICE,
            credential_id=claims.key_id,
            roles=held,
            permissions=permissions,
            own=frozenset(),
            auth_time=claims.issued_at,
            now=now,
        )
        grant = Grant(
            application=application,
            client_id=str(claims.account_id),
            audience=claims.audience,
            issued_at=claims.issued_at,
            expires_at=claims.expires_at,
            token_id=claims.token_id,
            roles=self.role_book.within(held, permissions),
        )
        return Identity(caller, grant, person=None)
