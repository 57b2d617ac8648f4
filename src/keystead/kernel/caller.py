"""Who asks, from where, and with what rights."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from keystead.kernel.errors import Refusal
from keystead.kernel.ids import SessionId, UserId

FRESH_FOR = timedelta(minutes=5)


class Permission(StrEnum):
    """What a role may grant. The text is what is stored and shown."""

    HEALTH_READ = "health:read"
    USERS_READ = "users:read"
    USERS_CREATE = "users:create"
    USERS_IMPORT = "users:import"
    USERS_UPDATE = "users:update"
    USERS_DISABLE = "users:disable"
    USERS_DELETE = "users:delete"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    ROLES_GRANT = "roles:grant"
    APPLICATIONS_READ = "applications:read"
    APPLICATIONS_WRITE = "applications:write"
    SERVICE_ACCOUNTS_READ = "service_accounts:read"
    SERVICE_ACCOUNTS_WRITE = "service_accounts:write"
    NETWORKS_READ = "networks:read"
    NETWORKS_WRITE = "networks:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_ISSUE = "sessions:issue"
    SESSIONS_END = "sessions:end"
    TOKENS_INTROSPECT = "tokens:introspect"
    TOKENS_REVOKE = "tokens:revoke"


class OwnScope(StrEnum):
    """What an API key may do with its owner's own account. A session may do both, and more."""

    READ = "account:read"
    WRITE = "account:write"


class CredentialKind(StrEnum):
    """What a caller shows: the access token of a session, an API key of theirs, or a service account's token."""

    SESSION = "session"
    API_KEY = "api_key"
    SERVICE = "service"


class Access(StrEnum):
    """What a verb asks of its caller when it asks for no particular permission. `SIGNED_IN` is a person in a session of
    theirs, `CLIENT` a service account that proves itself in the request, `BEARER` whoever shows a credential."""

    PUBLIC = "public"
    BEARER = "bearer"
    CLIENT = "client"
    SIGNED_IN = "signed_in"
    SIGNED_IN_WITH_PASSWORD = "signed_in_with_password"
    REFRESH_TOKEN = "refresh_token"
    REFRESH_COOKIE = "refresh_cookie"
    SIGNED_IN_OR_REFRESH_TOKEN = "signed_in_or_refresh_token"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class OwnerOr:
    """The person that it is about, or whoever has the permission; to everybody else it does not exist."""

    permission: Permission

    def __str__(self) -> str:
        return f"owner or {self.permission}"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several permissions; the verb says which of them what it was asked for needs."""

    permissions: tuple[Permission, ...]

    def __str__(self) -> str:
        return " or ".join(self.permissions)


Requirement = Access | OwnScope | Permission | OwnerOr | AnyOf


class NotSignedIn(Refusal):
    """No credential, or one that does not hold: deliberately one refusal for all of its causes."""

    code = "unauthorized"
    message = "Sign in: the access token is missing, expired, revoked or not valid here."


class SessionRequired(Refusal):
    """What only a person does, in a session of theirs: neither an API key nor a service account may do it."""

    code = "session_required"
    message = "Sign in for this: an API key or a service account may not do it."


class PermissionMissing(Refusal):
    """Also said where the account that it is about may do more than the caller: nobody rises by acting on others."""

    code = "forbidden"
    message = "Your account lacks the permission that this needs."


class ReauthenticationRequired(Refusal):
    """A sensitive act needs a proof of identity within the last five minutes: POST /api/v1/auth/reauthenticate."""

    code = "reauthentication_required"
    message = "Prove once more who you are: this needs a sign-in within the last five minutes."


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from: the client's address, and what it calls itself (untrusted)."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, with what the database permits them at this moment (`now`).

    `user_id` is the person, or the service account: nobody else has its id. `credential_id` is the session, the API key
    or the service account's key: the trail names it. `permissions` are no wider than the credential's scopes, in which
    `own` are those on the person's own account. `auth_time` is when they last proved who they are: of a service
    account, when it got its token; of an API key, never.
    """

    user_id: UserId
    credential: CredentialKind
    credential_id: UUID
    roles: tuple[str, ...]
    permissions: frozenset[str]
    own: frozenset[OwnScope]
    auth_time: datetime | None
    now: datetime

    @property
    def session_id(self) -> SessionId:
        """Raises SessionRequired."""
        self.require_session()
        return SessionId(self.credential_id)

    def require_session(self) -> None:
        """Raises SessionRequired."""
        if self.credential is not CredentialKind.SESSION:
            raise SessionRequired

    def owns(self, user_id: UserId) -> bool:
        """Whether they are the person, in a session: an API key acts on accounts by its permissions only."""
        return self.credential is CredentialKind.SESSION and self.user_id == user_id

    def require_own(self, scope: OwnScope) -> None:
        """Raises SessionRequired for who has no account, PermissionMissing for a key without the scope."""
        if self.credential is CredentialKind.SERVICE:
            raise SessionRequired
        if scope not in self.own:
            raise PermissionMissing(permission=scope.value)

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raises PermissionMissing, naming the permission."""
        if permission not in self.permissions:
            raise PermissionMissing(permission=permission.value)

    def require_fresh(self) -> None:
        """Raises ReauthenticationRequired. A session that nobody's proof started is never fresh."""
        if self.auth_time is None or self.now - self.auth_time > FRESH_FOR:
            raise ReauthenticationRequired(max_age=int(FRESH_FOR.total_seconds()))

    def require_covering(self, permissions: Iterable[str]) -> None:
        """Raises PermissionMissing unless the caller holds all of them: acting on an account never lifts the actor."""
        if missing := sorted(set(permissions) - self.permissions):
            raise PermissionMissing(permission=missing[0])


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever runs a command on the machine: they hold the root secret, so nothing is asked of them."""

    user_id: None = None
    credential_id: None = None

    def may(self, _permission: Permission) -> bool:
        return True

    def require(self, _permission: Permission) -> None:
        """Never raises."""

    def require_fresh(self) -> None:
        """Never raises."""

    def require_covering(self, _permissions: Iterable[str]) -> None:
        """Never raises."""


Actor = Caller | Operator
