"""Wire types that several routes share."""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from keystead.accounts.account import Account
from keystead.auth.token_pair import TokenPair
from keystead.kernel.errors import FieldError, InvalidInput
from keystead.sessions.types import SessionRecord
from keystead.users.profile import MAX_NAME_LENGTH
from keystead.users.types import User
from keystead.vault import PageWanted

T = TypeVar("T")

# Longer than any password that could be right, so that its length is judged by the rules and not by the decoder.
Password = Annotated[str, Meta(min_length=1, max_length=8192)]
Email = Annotated[
    str, Meta(min_length=3, max_length=320, description="name@domain", extra_json_schema={"format": "email"})
]
FullName = Annotated[
    str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, description="Characters that print.")
]
ClientId = Annotated[
    str, Meta(min_length=1, max_length=64, description="The application; the default one without.")
]
RoleName = Annotated[str, Meta(min_length=1, max_length=63, pattern="^[a-z][a-z0-9_-]*$")]
TicketText = Annotated[str, Meta(min_length=1, max_length=256, description="The token in the link.")]
# RFC 3339, with its offset.
_MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
Moment = Annotated[datetime, Meta(tz=True, extra_json_schema={"pattern": _MOMENT})]
# In a URL, where a number would be taken for seconds.
MomentText = Annotated[str, Meta(pattern=_MOMENT, extra_json_schema={"format": "date-time"})]
Limit = Annotated[int, Meta(ge=1, le=200)]
Cursor = Annotated[str, Meta(min_length=1, max_length=1024)]


class UserBody(msgspec.Struct, kw_only=True):
    id: UUID
    email: str
    email_verified: bool
    full_name: str | None
    status: str
    preferences: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, user: User) -> "UserBody":
        return cls(**_user_fields(user))


class AccountBody(UserBody, kw_only=True):
    """A user with roles, and with what applications keep about them."""

    app_metadata: dict[str, Any]
    roles: tuple[str, ...]

    @classmethod
    def of_account(cls, account: Account) -> "AccountBody":
        return cls(**_user_fields(account.user), app_metadata=account.user.app_metadata, roles=account.roles)


class DeviceBody(msgspec.Struct, kw_only=True):
    """As it described itself at sign-in."""

    name: str
    address: str


class SessionBody(msgspec.Struct, kw_only=True):
    """A live session. `last_seen_at` is its last sign-in or refresh; `actor_id` who started it in the user's name."""

    id: UUID
    user_id: UUID
    client_id: str
    device: DeviceBody | None
    auth_methods: tuple[str, ...]
    auth_time: datetime | None
    actor_id: UUID | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool

    @classmethod
    def of(cls, record: SessionRecord, *, current: UUID | None) -> "SessionBody":
        device = record.device
        return cls(
            id=record.id,
            user_id=record.user_id,
            client_id=record.client_id,
            device=None if device is None else DeviceBody(name=device.name, address=device.address),
            auth_methods=record.amr,
            auth_time=record.auth_time,
            actor_id=record.actor_id,
            created_at=record.created_at,
            last_seen_at=record.last_seen_at,
            expires_at=record.expires_at,
            is_current=record.id == current,
        )


class TokenPairBody(msgspec.Struct, kw_only=True):
    """In cookie mode the refresh token is in its cookie, and not here."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    refresh_expires_in: int
    session_id: str

    @classmethod
    def of(cls, pair: TokenPair, *, in_cookie: bool = False) -> "TokenPairBody":
        return cls(
            access_token=pair.access_token.reveal(),
            expires_in=pair.expires_in,
            refresh_token=msgspec.UNSET if in_cookie else pair.refresh_token.reveal(),
            refresh_expires_in=pair.refresh_expires_in,
            session_id=str(pair.session_id),
        )


class PageQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Limit = 50
    cursor: Cursor | msgspec.UnsetType = msgspec.UNSET

    def wanted(self) -> PageWanted:
        return PageWanted(self.limit, given(self.cursor))


def moment_of(name: str, value: str | msgspec.UnsetType) -> datetime | None:
    """The moment of a parameter, if it is there. Raises InvalidInput."""
    if isinstance(value, msgspec.UnsetType):
        return None
    try:
        moment: datetime = msgspec.convert(value, Annotated[datetime, Meta(tz=True)])
        return moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError) as error:
        raise InvalidInput(FieldError(f"/{name}", "time_invalid", "There is no such time.")) from error


def given(value: T | msgspec.UnsetType) -> T | None:
    """A parameter of a URL, or None where it is not there. (`null` in a URL is a word like any other.)"""
    return None if isinstance(value, msgspec.UnsetType) else value


def etag_of(user: User) -> dict[str, str]:
    return {"etag": f'"{user.version}"'}


def _user_fields(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "email_verified": user.email_verified,
        "full_name": user.full_name,
        "status": user.status.value,
        "preferences": user.preferences,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
