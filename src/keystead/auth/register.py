"""Register: a new account, or an attempt at one that waits for proof of its address."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.end_refused import ended_if_refused
from keystead.auth.start_session import Holder, StartSession
from keystead.auth.token_pair import TOKEN_REFUSALS, IssueTokenPair, TokenPair
from keystead.hooks.call import Hooks
from keystead.hooks.types import HookPoint
from keystead.kernel.application import Application
from keystead.kernel.caller import Access, Origin
from keystead.kernel.db import Database, Tx
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.limits.types import RouteClass
from keystead.notices import queue
from keystead.notices.queue import RequestKind
from keystead.roles import store as roles
from keystead.roles.types import USER
from keystead.users import store
from keystead.users.add_user import AddUser, NewUser, check_new_user
from keystead.users.email import EmailAddress
from keystead.users.passwords import Hasher, PasswordRules
from keystead.users.profile import ShowProfile
from keystead.users.types import EmailTaken, StoredUser, User, UserStatus
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class Registered:
    """An account that is ready, signed in."""

    user: User
    token_pair: TokenPair


@dataclass(frozen=True, slots=True)
class VerificationRequired:
    """An attempt was noted. Said alike for a free and a taken address."""


@dataclass(frozen=True, slots=True)
class Register:
    """Where addresses must be proven, every call adds a pending attempt, does the same work and answers alike;
    otherwise the account is active at once. Raises InvalidInput, EmailTaken (the second case only), Overloaded, and
    HookRefused, HookUnavailable: before anything was done, or, where it was the token that was refused, with the
    account made and nobody signed in."""

    db: Database
    vault: Vault
    applications: Applications
    hasher: Hasher
    rules: PasswordRules
    add_user: AddUser
    show_profile: ShowProfile
    start_session: StartSession
    issue_token_pair: IssueTokenPair
    hooks: Hooks
    require_verified_email: bool
    requires: ClassVar = Access.PUBLIC
    limited_as: ClassVar = RouteClass.REGISTER
    refuses: ClassVar = (EmailTaken, *PasswordRules.refuses, *TOKEN_REFUSALS)

    def require_room(self) -> None:
        """Refuses at once what would be refused before it is hashed. Raises Overloaded."""
        self.hasher.require_room()

    async def __call__(
        self,
        *,
        email: str,
        password: str,
        full_name: str | None,
        origin: Origin,
        client_id: str | None = None,
    ) -> Registered | VerificationRequired:
        application = await self.applications.choose(client_id)
        address = await check_new_user(self.rules, email=email, password=password, full_name=full_name)
        # Asked before anything is looked up: it says the same of a free and of a taken address.
        await self._ask(address, full_name, application)
        status = UserStatus.PENDING if self.require_verified_email else UserStatus.ACTIVE
        hashed = await self._hash(password, address)
        new = NewUser(
            email=address, full_name=full_name, password_hash=hashed, status=status, is_verified=False
        )
        async with self.db.begin() as tx:
            stored = await self._add(tx, new, application)
            session = await self.start_session(
                tx,
                Holder(stored.id, stored.data_key_wrapped, stored.password_version),
                origin=origin,
                application=application,
                amr=("pwd",),
            )
        if session is None:  # an attempt: a session starts for an active user only
            return VerificationRequired()
        async with ended_if_refused(self.db, session, "register"):
            token_pair = await self.issue_token_pair(session)
        AUTH_ATTEMPTS.labels("register", "admitted").inc()
        return Registered(self.show_profile(stored), token_pair)

    async def _hash(self, password: str, address: EmailAddress) -> str:
        """An attempt at a taken address shares the salt of its owner's hash, so that a login checks both for one."""
        if not self.require_verified_email:
            return await self.hasher.hash(password)
        account = self.vault.index(address.canonical, purpose="email_index")
        found = await store.list_credentials(self.db, account)
        owner = next((each.password_hash for each in found if each.status != UserStatus.PENDING), None)
        return await self.hasher.hash(password, beside=owner)

    async def _ask(self, address: EmailAddress, full_name: str | None, application: Application) -> None:
        if self.hooks.has(HookPoint.BEFORE_REGISTRATION):
            # In its one form, so that no spelling of a domain slips past a list.
            user = {"email": address.canonical, "full_name": full_name}
            await self.hooks(
                HookPoint.BEFORE_REGISTRATION, {"application": application.client_id, "user": user}
            )

    async def _add(self, tx: Tx, new: NewUser, application: Application) -> StoredUser:
        user_id = await self.add_user(tx, new)
        await roles.grant(tx, user_id, USER)
        await trail.record(tx, Event(EventName.USER_REGISTERED, actor_id=user_id, subject_id=user_id))
        await queue.request(
            tx,
            RequestKind.REGISTRATION,
            client_id=application.client_id,
            email_index=self.vault.index(new.email.canonical, purpose="email_index"),
            user_id=user_id,
        )
        return await store.load(tx, user_id)
