"""Adding a user: the one way in which a row of `users` and its data key come to be."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keystead.kernel.db import Tx
from keystead.kernel.errors import Complaints
from keystead.kernel.ids import UserId, new_uuid
from keystead.users import store
from keystead.users.email import EmailAddress, parse_email
from keystead.users.passwords import PasswordRules
from keystead.users.profile import check_name, seal_email, seal_name, seal_object
from keystead.users.types import EmailTaken, IdTaken, UserStatus
from keystead.vault import DataKey, Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A user to be, checked and hashed. Times that are not given are now."""

    email: EmailAddress
    full_name: str | None
    password_hash: str
    status: UserStatus
    is_verified: bool
    id: UserId = field(default_factory=lambda: UserId(new_uuid()))
    preferences: dict[str, Any] = field(default_factory=dict)
    app_metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


async def check_new_user(
    rules: PasswordRules, *, email: str, password: str, full_name: str | None
) -> EmailAddress:
    """The address, when everything can be accepted. Raises InvalidInput with every bad field, and what else the rules
    raise; no caller may be in a transaction."""
    complaints, address = Complaints(), None
    with complaints.noted():
        address = parse_email(email)
    with complaints.noted():
        check_name(full_name)
    with complaints.noted():
        await rules.check(password, email=address, full_name=full_name)
    complaints.raise_any()
    return parse_email(email)


@dataclass(frozen=True, slots=True)
class AddUser:
    """Adds the row and its data key in the caller's transaction.

    Raises EmailTaken (pending users never collide), and IdTaken for an id that came from outside.
    """

    vault: Vault

    async def __call__(self, tx: Tx, new: NewUser) -> UserId:
        data_key = self.vault.new_data_key(new.id)
        if not await store.add(tx, new_row(self.vault, data_key, new)):
            raise IdTaken if await store.id_exists(tx, new.id) else EmailTaken
        await self.vault.keep(tx, data_key)
        return new.id


def new_row(vault: Vault, data_key: DataKey, new: NewUser) -> store.NewRow:
    """What is stored of `new`: sealed, indexed."""
    return store.NewRow(
        id=new.id,
        status=new.status,
        email_index=vault.index(new.email.canonical, purpose="email_index"),
        email_domain_index=vault.index(new.email.domain, purpose="email_domain_index"),
        email_sealed=seal_email(data_key, new.email),
        full_name_sealed=seal_name(data_key, new.full_name),
        password_hash=new.password_hash,
        preferences_sealed=seal_object(data_key, "preferences", new.preferences),
        app_metadata_sealed=seal_object(data_key, "app_metadata", new.app_metadata),
        is_verified=new.is_verified,
        created_at=new.created_at,
        updated_at=new.updated_at,
    )
