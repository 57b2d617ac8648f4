"""What a person may see and change of their own account."""

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Actor, Caller, NotSignedIn, OwnScope
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.kernel.merge_patch import merge_patch
from keystead.users import store
from keystead.users.email import EmailAddress
from keystead.users.types import StoredUser, User, UserStatus, VersionMismatch
from keystead.vault import DataKey, Vault

MAX_OBJECT_BYTES = 4096
MAX_OBJECT_DEPTH = 4
MAX_NAME_LENGTH = 200


class Unset:
    """The type of a field that the caller did not send."""


UNSET = Unset()


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What to change; a field left UNSET stays. `merge` applies objects as merge patches (RFC 7396); `version` is
    the only one that the change may be made to."""

    full_name: str | Unset | None = UNSET
    preferences: dict[str, Any] | Unset | None = UNSET
    app_metadata: dict[str, Any] | Unset | None = UNSET
    merge: bool = False
    version: int | None = None


@dataclass(frozen=True, slots=True)
class ShowProfile:
    vault: Vault
    requires: ClassVar = OwnScope.READ

    def __call__(self, stored: StoredUser) -> User:
        return open_user(self.vault.open_data_key(stored.id, stored.data_key_wrapped), stored)


@dataclass(frozen=True, slots=True)
class ApplyChange:
    """Changes a locked user in the caller's transaction. Raises InvalidInput, VersionMismatch."""

    vault: Vault

    async def __call__(self, tx: Tx, actor: Actor, stored: StoredUser, change: ProfileChange) -> User:
        if change.version not in (None, stored.version):
            raise VersionMismatch(version=stored.version)
        data_key = self.vault.open_data_key(stored.id, stored.data_key_wrapped)
        user = _changed(open_user(data_key, stored), change)
        check_details(user)
        updated_at = await store.replace_details(
            tx,
            user.id,
            full_name_sealed=seal_name(data_key, user.full_name),
            preferences_sealed=seal_object(data_key, "preferences", user.preferences),
            app_metadata_sealed=seal_object(data_key, "app_metadata", user.app_metadata),
        )
        await trail.record(
            tx,
            Event(
                EventName.USER_UPDATED,
                actor_id=actor.user_id,
                subject_id=user.id,
                session_id=actor.credential_id,
            ),
        )
        return replace(user, updated_at=updated_at, version=user.version + 1)


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    """Changes full name and preferences of the caller. Raises InvalidInput, VersionMismatch."""

    db: Database
    apply_change: ApplyChange
    requires: ClassVar = OwnScope.WRITE
    refuses: ClassVar = (InvalidInput, VersionMismatch)

    async def __call__(self, caller: Caller, change: ProfileChange) -> User:
        caller.require_own(self.requires)
        async with self.db.begin() as tx:
            stored = await store.load_for_update(tx, caller.user_id)
            if stored.status != UserStatus.ACTIVE:  # disabled or gone since the caller was identified
                raise NotSignedIn
            return await self.apply_change(tx, caller, stored, change)


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
        preferences=_preferences(data_key, stored),
        app_metadata=_open_object(data_key, "app_metadata", stored.app_metadata_sealed),
        version=stored.version,
        email_verified=stored.email_verified_at is not None,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _preferences(data_key: DataKey, stored: StoredUser) -> dict[str, Any]:
    """What the version before this one wrote in the plain column is newer than what was sealed: we empty it."""
    if stored.preferences != "{}":
        plain: dict[str, Any] = json.loads(stored.preferences)
        return plain
    return _open_object(data_key, "preferences", stored.preferences_sealed)


def _open_object(data_key: DataKey, column: str, sealed: bytes | None) -> dict[str, Any]:
    if sealed is None:
        return {}
    opened: dict[str, Any] = json.loads(data_key.open(sealed, table="users", column=column))
    return opened


def seal_object(data_key: DataKey, column: str, value: dict[str, Any]) -> bytes | None:
    """Nothing for nothing."""
    if not value:
        return None
    return data_key.seal(json.dumps(value, ensure_ascii=False), table="users", column=column)


def seal_email(data_key: DataKey, email: EmailAddress) -> bytes:
    return data_key.seal(email.display, table="users", column="email")


def seal_name(data_key: DataKey, full_name: str | None) -> bytes | None:
    return None if full_name is None else data_key.seal(full_name, table="users", column="full_name")


def check_name(full_name: str | None) -> None:
    """Raises InvalidInput."""
    if full_name is not None and not (
        0 < len(full_name.strip()) <= len(full_name) <= MAX_NAME_LENGTH and full_name.isprintable()
    ):
        message = f"Use 1 to {MAX_NAME_LENGTH} characters that print."
        raise InvalidInput(FieldError("/full_name", "full_name_invalid", message))


def check_details(user: User) -> None:
    """Raises InvalidInput with every bad one."""
    complaints = Complaints()
    with complaints.noted():
        check_name(user.full_name)
    for name, value in (("preferences", user.preferences), ("app_metadata", user.app_metadata)):
        with complaints.noted():
            check_object(name, value)
    complaints.raise_any()


def check_object(name: str, value: dict[str, Any]) -> None:
    """Raises InvalidInput for what is larger or deeper than preferences and metadata may be."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text.encode()) > MAX_OBJECT_BYTES or _depth(value) > MAX_OBJECT_DEPTH:
        message = f"Use at most {MAX_OBJECT_BYTES} bytes of JSON, {MAX_OBJECT_DEPTH} levels deep."
        raise InvalidInput(FieldError(f"/{name}", f"{name}_too_large", message))


def _changed(user: User, change: ProfileChange) -> User:
    return replace(
        user,
        full_name=user.full_name if isinstance(change.full_name, Unset) else change.full_name,
        preferences=_object(user.preferences, change.preferences, merge=change.merge),
        app_metadata=_object(user.app_metadata, change.app_metadata, merge=change.merge),
    )


def _object(old: dict[str, Any], new: dict[str, Any] | Unset | None, *, merge: bool) -> dict[str, Any]:
    if isinstance(new, dict):
        return merge_patch(old, new) if merge else new
    return {} if new is None else old


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
