"""The first administrator, and one who lost the way in: what an operator does on the machine."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from keystead.accounts.create_user import AccountWanted, CreateUser
from keystead.accounts.set_roles import give_role
from keystead.accounts.set_status import StatusMismatch
from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Operator
from keystead.kernel.db import Database, Tx
from keystead.roles.types import ADMIN, USER
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.types import EmailTaken, StoredUser, UserNotFound, UserStatus
from keystead.vault import Vault


class Outcome(StrEnum):
    CREATED = "created"
    PROMOTED = "promoted"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class BootstrapAdministrator:
    """An administrator of this address, made if there is none. Run again, it changes nothing, the password neither.

    Raises InvalidInput.
    """

    db: Database
    vault: Vault
    create_user: CreateUser

    async def __call__(self, *, email: str, password: str) -> Outcome:
        outcome = await self.promote(email)
        if outcome is not None:
            return outcome
        wanted = AccountWanted(email=email, password=password, roles=(USER, ADMIN))
        try:
            await self.create_user(Operator(), wanted)
        except EmailTaken:  # another run of this command was faster
            return await self.promote(email) or Outcome.UNCHANGED
        return Outcome.CREATED

    async def promote(self, email: str) -> Outcome | None:
        """None where the address has no account. Raises InvalidInput, StatusMismatch."""
        async with self.db.begin() as tx:
            account = await find_account(tx, self.vault, email)
            if account is None:
                return None
            if account.status != UserStatus.ACTIVE:
                raise StatusMismatch(account_status=account.status)
            is_promoted = await give_role(tx, Operator(), account.id, ADMIN)
            return Outcome.PROMOTED if is_promoted else Outcome.UNCHANGED


@dataclass(frozen=True, slots=True)
class Recover:
    """A link to set a new password, handed to the operator, for an account that nobody gets into; it is enabled and
    made an administrator again as wanted. Raises InvalidInput, UserNotFound."""

    db: Database
    vault: Vault
    desk: Desk
    applications: Applications

    async def __call__(self, *, email: str, make_admin: bool) -> UUID:
        """The ticket of the link."""
        async with self.db.begin() as tx:
            account = await find_account(tx, self.vault, email)
            if account is None:
                raise UserNotFound
            await self._open(tx, account)
            if make_admin:
                await give_role(tx, Operator(), account.id, ADMIN)
            ticket_id = await self.desk.issue(
                tx,
                Purpose.RESET_PASSWORD,
                user_id=account.id,
                client_id=self.applications.default.client_id,
                password_version=account.password_version,
            )
            await trail.record(tx, Event(EventName.RECOVERY_REQUESTED, subject_id=account.id))
        return ticket_id

    async def _open(self, tx: Tx, account: StoredUser) -> None:
        closed = (UserStatus.DISABLED, UserStatus.LOCKED)
        if await store.change_status(tx, account.id, allowed=closed, new=UserStatus.ACTIVE):
            await trail.record(tx, Event(EventName.USER_ENABLED, subject_id=account.id))


async def find_account(tx: Tx, vault: Vault, email: str) -> StoredUser | None:
    """The account of an address, locked; attempts to register it are none. Raises InvalidInput."""
    index = vault.index(parse_email(email).canonical, purpose="email_index")
    found = await store.list_by_email_for_update(tx, index)
    return next((user for user in found if user.status != UserStatus.PENDING), None)
