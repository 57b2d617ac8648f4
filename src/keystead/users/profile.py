"""What a person may see and change of their own account."""

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access, Caller, NotSignedIn
from keystead.kernel.db import Database
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.users import store
from keystead.users.types import StoredUser, User, UserStatus
from keystead.vault import DataKey, Vault

MAX_PREFERENCES_BYTES = 4096
MAX_PREFERENCES_DEPTH = 4
MAX_NAME_LENGTH = 200


class Unset:
    """The type of a field that the caller did not send."""


UNSET = Unset()


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What to change; a field left UNSET stays. `merge` applies `preferences` as a merge patch (RFC 7396)."""

    full_name: str | Unset | None = UNSET
    preferences: dict[str, Any] | Unset | None = UNSET
    merge: bool = False


@dataclass(frozen=True, slots=True)
class ShowProfile:
    vault: Vault
    requires: ClassVar = Access.SIGNED_IN

    def __call__(self, stored: StoredUser) -> User:
        return open_user(self.vault.open_data_key(stored.id, stored.data_key_wrapped), stored)


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    """Changes full name and preferences of the caller. Raises InvalidInput."""

    db: Database
    vault: Vault
    requires: ClassVar = Access.SIGNED_IN

    async def __call__(self, caller: Caller, change: ProfileChange) -> User:
        async with self.db.begin() as tx:
            stored = await store.load_for_update(tx, caller.user_id)
            if stored is None:  # disabled or gone since the caller was identified
                raise NotSignedIn
            data_key = self.vault.open_data_key(stored.id, stored.data_key_wrapped)
            user = _changed(open_user(data_key, stored), change)
            complaints = Complaints()
            with complaints.noted():
                check_name(change.full_name)
            with complaints.noted():
                _check_preferences(user.preferences)
            complaints.raise_any()
            updated_at = await store.replace_profile(
                tx,
                user.id,
                full_name_sealed=seal_name(data_key, user.full_name),
                preferences=json.dumps(user.preferences),
            )
            await trail.record(
                tx,
                Event(
                    EventName.USER_UPDATED,
                    actor_id=caller.user_id,
                    subject_id=user.id,
                    session_id=caller.session_id,
                ),
            )
        return replace(user, updated_at=updated_at)


def open_user(data_key: DataKey, stored: StoredUser) -> User:
    """Raises vault.Unreadable."""
    return User(
        id=stored.id,
        status=UserStatus(stored.status),
        email=data_key.open(stored.email_sealed, table="users", column="email"),
        full_name=(
            None
            if stored.full_name_sealed is None
            else data_key.open(stored.full_name_sealed, table="users", column="full_name")
        ),
        preferences=json.loads(stored.preferences),
        email_verified=stored.email_verified_at is not None,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def seal_name(data_key: DataKey, full_name: str | None) -> bytes | None:
    return None if full_name is None else data_key.seal(full_name, table="users", column="full_name")


def check_name(full_name: str | Unset | None) -> None:
    """Raises InvalidInput."""
    if isinstance(full_name, str) and not (
        0 < len(full_name.strip()) <= len(full_name) <= MAX_NAME_LENGTH and full_name.isprintable()
    ):
        message = f"Use 1 to {MAX_NAME_LENGTH} characters that print."
        raise InvalidInput(FieldError("/full_name", "full_name_invalid", message))


def merge_patch(target: object, patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396 §2, for a patch that is an object."""
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value) if isinstance(value, dict) else value
    return merged


def _changed(user: User, change: ProfileChange) -> User:
    full_name = user.full_name if isinstance(change.full_name, Unset) else change.full_name
    preferences = user.preferences
    if isinstance(change.preferences, dict):
        preferences = (
            merge_patch(user.preferences, change.preferences) if change.merge else change.preferences
        )
    elif change.preferences is None:
        preferences = {}
    return replace(user, full_name=full_name, preferences=preferences)


def _check_preferences(preferences: dict[str, Any]) -> None:
    text = json.dumps(preferences, ensure_ascii=False)
    if len(text.encode()) > MAX_PREFERENCES_BYTES or _depth(preferences) > MAX_PREFERENCES_DEPTH:
        message = f"Use at most {MAX_PREFERENCES_BYTES} bytes of JSON, {MAX_PREFERENCES_DEPTH} levels deep."
        raise InvalidInput(FieldError("/preferences", "preferences_too_large", message))
    if _has_nul(preferences):
        message = "The character U+0000 cannot be stored."
        raise InvalidInput(FieldError("/preferences", "preferences_invalid", message))


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any("\0" in name or _has_nul(member) for name, member in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value
