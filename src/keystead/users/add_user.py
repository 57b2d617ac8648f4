"""Adding a user: the one way in which a row of `users` and its data key come to be."""

from dataclasses import dataclass

from keystead.kernel.db import Tx
from keystead.kernel.errors import Complaints
from keystead.kernel.ids import UserId, new_uuid
from keystead.users import store
from keystead.users.email import EmailAddress, parse_email
from keystead.users.passwords import PasswordRules
from keystead.users.profile import check_name, seal_name
from keystead.users.types import EmailTaken, UserStatus
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be, checked and hashed."""

    email: EmailAddress
    full_name: str | None
    password_hash: str
    status: UserStatus
    is_verified: bool


def check_new_user(rules: PasswordRules, *, email: str, password: str, full_name: str | None) -> EmailAddress:
    """The address, when everything can be accepted. Raises InvalidInput with every bad field."""
    complaints, address = Complaints(), None
    with complaints.noted():
        address = parse_email(email)
    with complaints.noted():
        check_name(full_name)
    with complaints.noted():
        rules.check(password, email=address, full_name=full_name)
    complaints.raise_any()
    return parse_email(email)


@dataclass(frozen=True, slots=True)
class AddUser:
    """Adds the row and its data key in the caller's transaction. Raises EmailTaken; pending users never collide."""

    vault: Vault

    async def __call__(self, tx: Tx, new: NewUser) -> UserId:
        user_id = UserId(new_uuid())
        data_key = self.vault.new_data_key(user_id)
        is_added = await store.add(
            tx,
            user_id,
            status=new.status,
            email_index=self.vault.index(new.email.canonical, purpose="email_index"),
            email_sealed=data_key.seal(new.email.display, table="users", column="email"),
            full_name_sealed=seal_name(data_key, new.full_name),
            password_hash=new.password_hash,
            is_verified=new.is_verified,
        )
        if not is_added:
            raise EmailTaken
        await self.vault.keep(tx, data_key)
        return user_id
