"""Export all users, with the hashes of their passwords: whoever wants to leave takes everybody along."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from keystead.accounts.moving.keystead import FORMAT, VERSION, Header, Row
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Operator
from keystead.kernel.db import Database
from keystead.roles import store as roles
from keystead.users import store as users
from keystead.users.profile import ShowProfile
from keystead.users.types import NO_PASSWORD, User, UserStatus

PAGE = 1000
_FIRST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class ExportUsers:
    """The lines of a file that `accounts.moving` reads: a header, then one user each, by id. They hold hashes.

    A page at a time, each read when it is asked for: every account that exists from the first page to the last is in
    it once, as it was when its page was read. Attempts to register and erased accounts are not.
    """

    db: Database
    show_profile: ShowProfile

    async def __call__(self, operator: Operator) -> AsyncIterator[list[bytes]]:
        await trail.record(self.db, Event(EventName.USERS_EXPORTED, actor_id=operator.user_id))
        yield [_line(Header(format=FORMAT, version=VERSION))]
        first: UUID | None = _FIRST_ID
        while first is not None:
            page = await users.list_from(self.db, first, limit=PAGE + 1)
            first = page[PAGE][0].id if len(page) > PAGE else None
            page = page[:PAGE]
            held = await roles.list_of_users(self.db, [stored.id for stored, _ in page])
            yield [
                _line(_row(self.show_profile(stored), hashed, of_user))
                for (stored, hashed), of_user in zip(page, held, strict=True)
            ]

    async def estimate(self) -> int:
        """About how many there will be."""
        return await users.estimate(self.db)


def _row(user: User, password_hash: str, of_user: tuple[str, ...]) -> Row:
    return Row(
        id=str(user.id),
        email=user.email,
        email_verified=user.email_verified,
        full_name=user.full_name,
        # A locked account, whose owner has to prove the mailbox again, is none that may be signed in to.
        status="active" if user.status is UserStatus.ACTIVE else "disabled",
        password_hash=None if password_hash.startswith(NO_PASSWORD) else password_hash,
        preferences=user.preferences,
        app_metadata=user.app_metadata,
        roles=of_user,
        created_at=_utc(user.created_at),
        updated_at=_utc(user.updated_at),
    )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _line(struct: msgspec.Struct) -> bytes:
    return msgspec.json.encode(struct) + b"\n"
