"""Incoming users, one at a time: which can be taken, with what left out, and the row that each becomes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from keystead.accounts.moving import Format, IncomingUser, Unreadable
from keystead.kernel.errors import InvalidInput
from keystead.kernel.ids import UserId
from keystead.roles.types import USER
from keystead.users.add_user import NewUser, new_row
from keystead.users.email import parse_email
from keystead.users.hash_kinds import HashKind, kind_of
from keystead.users.profile import check_name, check_object
from keystead.users.store import NewRow
from keystead.users.types import NO_PASSWORD, UserStatus
from keystead.vault import DataKey, Vault

_UUID_VERSION = 0x8 << 76
_UUID_VARIANT = 0b10 << 62
_UUID_BITS = ~(0xF << 76 | 0b11 << 62)


class Outcome(StrEnum):
    """`already_there`: a user with this id exists. `email_taken`: another account has the address."""

    IMPORTED = "imported"
    ALREADY_THERE = "already_there"
    EMAIL_TAKEN = "email_taken"
    REFUSED = "refused"


class Omission(StrEnum):
    """What was left out of a user who was taken all the same."""

    NAME = "names that cannot be shown or are too long"
    TIME = "times before 1970 or after 9998"
    ROLE = "roles that are not defined here"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that became no user. `record` counts the rows as they were read; `line`, where the row could not be read,
    is its place in the file. Holds no hash, and of the address only what the source uses as an id."""

    record: int
    source_id: str | None
    outcome: Outcome
    reason: str
    line: int | None = None


@dataclass(slots=True)
class Tally:
    """What became of some rows. `hashes` and `omissions` are of those that were, or would be, imported."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    omissions: Counter[Omission] = field(default_factory=Counter)
    hashes: Counter[HashKind] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)

    def reject(self, rejected: Rejected) -> None:
        self.outcomes[rejected.outcome] += 1
        self.rejected.append(rejected)


@dataclass(frozen=True, slots=True)
class Acceptable:
    """A user whose row could be added, if nobody has the id or the address."""

    record: int
    source_id: str
    row: NewRow
    data_key: DataKey
    roles: tuple[str, ...]
    omissions: tuple[Omission, ...]

    @property
    def hash_kind(self) -> HashKind:
        return kind_of(self.row.password_hash)

    def rejected(self, outcome: Outcome, reason: str) -> Rejected:
        return Rejected(self.record, self.source_id, outcome, reason)


@dataclass(frozen=True, slots=True)
class JudgeIncoming:
    """Whether a row that was read can become a user. A name, a time or a role that does not fit is left out: nobody
    loses an account for them. An address, preferences or metadata that do not fit refuse the row."""

    vault: Vault

    def __call__(
        self, incoming: IncomingUser | Unreadable, *, record: int, source: Format
    ) -> Acceptable | Rejected:
        if isinstance(incoming, Unreadable):
            return Rejected(record, incoming.source_id, Outcome.REFUSED, incoming.reason, line=incoming.line)
        try:
            return self._accept(incoming, record, source)
        except InvalidInput as refused:
            reason = " ".join(f"{error.pointer[1:]}: {error.message}" for error in refused.errors)
        except UnicodeError:
            reason = "it holds characters that are half of a surrogate pair"
        return Rejected(record, incoming.source_id, Outcome.REFUSED, reason)

    def _accept(self, incoming: IncomingUser, record: int, source: Format) -> Acceptable:
        """Raises InvalidInput, UnicodeError."""
        email = parse_email(incoming.email)
        check_object("preferences", incoming.preferences)
        check_object("app_metadata", incoming.app_metadata)
        user_id = UserId(incoming.id or self._derive_id(source, incoming.source_id))
        full_name = incoming.full_name if _is_showable(incoming.full_name) else None
        created_at, updated_at = _plausible(incoming.created_at), _plausible(incoming.updated_at)
        data_key = self.vault.new_data_key(user_id)
        new = NewUser(
            id=user_id,
            email=email,
            full_name=full_name,
            password_hash=incoming.password_hash or NO_PASSWORD,
            status=UserStatus.DISABLED if incoming.is_disabled else UserStatus.ACTIVE,
            is_verified=incoming.email_verified,
            preferences=incoming.preferences,
            app_metadata=incoming.app_metadata,
            created_at=created_at,
            updated_at=updated_at,
        )
        times = (created_at, updated_at) != (incoming.created_at, incoming.updated_at)
        omissions = (Omission.NAME,) * (full_name != incoming.full_name) + (Omission.TIME,) * times
        roles = tuple(sorted({USER, *incoming.roles}))
        row = new_row(self.vault, data_key, new)
        return Acceptable(record, incoming.source_id, row, data_key, roles, omissions)

    def _derive_id(self, source: Format, source_id: str) -> UUID:
        """The same for the same user of the same system, so that a second run finds what the first one added.

        Keyed, unlike a UUIDv5: the id of an erased account stays, and where a system names its users by address or
        number, anybody could try out whose it was.
        """
        mac = self.vault.index(f"{source}\0{source_id}", purpose="import_id")
        bits = int.from_bytes(mac[-16:]) & _UUID_BITS
        return UUID(int=bits | _UUID_VERSION | _UUID_VARIANT)  # RFC 9562 §5.8


def roles_named(accepted: Iterable[Acceptable]) -> frozenset[str]:
    return frozenset(role for each in accepted for role in each.roles)


def _is_showable(full_name: str | None) -> bool:
    try:
        check_name(full_name)
    except InvalidInput:
        return False
    return True


def _plausible(moment: datetime | None) -> datetime | None:
    return moment if moment is not None and 1970 <= moment.year < 9999 else None
