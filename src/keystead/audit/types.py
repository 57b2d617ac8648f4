"""The catalogue of events."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class EventName(StrEnum):
    USER_REGISTERED = "user.registered"
    USER_CREATED = "user.created"
    USER_IMPORTED = "user.imported"
    USER_INVITED = "user.invited"
    USER_VERIFIED = "user.verified"
    USER_UPDATED = "user.updated"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_LOCKED = "user.locked"
    USER_UNLOCKED = "user.unlocked"
    USER_ERASED = "user.erased"
    USER_EXPORTED = "user.exported"
    USERS_EXPORTED = "users.exported"
    PASSWORD_CHANGED = "password.changed"
    PASSWORD_RESET = "password.reset"
    RECOVERY_REQUESTED = "recovery.requested"
    VERIFICATION_REQUESTED = "verification.requested"
    EMAIL_CHANGE_REQUESTED = "email.change_requested"
    EMAIL_CHANGED = "email.changed"
    ROLE_ADDED = "role.added"
    ROLE_CHANGED = "role.changed"
    ROLE_DELETED = "role.deleted"
    ROLE_GRANTED = "role.granted"
    ROLE_REVOKED = "role.revoked"
    LOGIN_FAILED = "login.failed"
    LOGIN_BLOCKED = "login.blocked"
    LOGIN_UNBLOCKED = "login.unblocked"
    REAUTHENTICATION_FAILED = "reauthentication.failed"
    SESSION_STARTED = "session.started"
    SESSION_ISSUED = "session.issued"
    SESSION_REFRESHED = "session.refreshed"
    SESSION_REFRESH_REPEATED = "session.refresh_repeated"
    SESSION_ENDED = "session.ended"
    TOKEN_REUSED = "token.reused"
    TOKEN_FROM_THE_FUTURE = "token.from_the_future"
    APPLICATION_ADDED = "application.added"
    APPLICATION_CHANGED = "application.changed"
    APPLICATION_DELETED = "application.deleted"
    SERVICE_ACCOUNT_ADDED = "service_account.added"
    SERVICE_ACCOUNT_CHANGED = "service_account.changed"
    SERVICE_ACCOUNT_DELETED = "service_account.deleted"
    SERVICE_KEY_ADDED = "service_key.added"
    SERVICE_KEY_REVOKED = "service_key.revoked"
    CLIENT_REFUSED = "client.refused"
    API_KEY_ADDED = "api_key.added"
    API_KEY_REVOKED = "api_key.revoked"
    NETWORK_ALLOWED = "network.allowed"
    NETWORK_DENIED = "network.denied"
    NETWORK_REMOVED = "network.removed"
    KEY_ADDED = "key.added"
    KEY_REVOKED = "key.revoked"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened (`name`), by whom (`actor_id`, None: an operator or nobody known), to whom (`subject_id`)."""

    name: EventName
    actor_id: UUID | None = None
    subject_id: UUID | None = None
    session_id: UUID | None = None
    detail: dict[str, str | int | bool] = field(default_factory=dict)
