"""Who asks, and with what rights."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keystead.kernel.errors import Refusal
from keystead.kernel.ids import SessionId, UserId


class Permission(StrEnum):
    """What a role may grant. The text is what is stored and shown."""

    HEALTH_READ = "health:read"


class Access(StrEnum):
    """What a verb asks of its caller when it asks for no particular permission."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    REFRESH_TOKEN = "refresh_token"
    SIGNED_IN_OR_REFRESH_TOKEN = "signed_in_or_refresh_token"


Requirement = Access | Permission


class NotSignedIn(Refusal):
    """No credential, or one that does not hold: deliberately one refusal for all of its causes."""

    code = "unauthorized"
    message = "Sign in: the access token is missing, expired, revoked or not valid here."


class PermissionMissing(Refusal):
    code = "forbidden"
    message = "Your account lacks the permission that this needs."


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user in one session, with the permissions that the database holds at this moment."""

    user_id: UserId
    session_id: SessionId
    roles: tuple[str, ...]
    permissions: frozenset[str]
    auth_time: datetime

    def require(self, permission: Permission) -> None:
        """Raises PermissionMissing, naming the permission."""
        if permission not in self.permissions:
            raise PermissionMissing(permission=permission.value)
