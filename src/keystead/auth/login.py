"""Login: an e-mail address and a password for a session."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.end_refused import ended_if_refused
from keystead.auth.refusals import EmailUnverified, LoginRefused
from keystead.auth.start_session import Holder, StartSession
from keystead.auth.token_pair import TOKEN_REFUSALS, IssueTokenPair, TokenPair
from keystead.hooks.call import Hooks
from keystead.hooks.types import HookPoint
from keystead.kernel.application import Application
from keystead.kernel.caller import Access, Origin
from keystead.kernel.db import Database
from keystead.kernel.errors import InvalidInput, Overloaded
from keystead.kernel.secrets import Secret
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.limits.guesses import Attempt, Guesses, TooManyAttempts
from keystead.limits.sources import GuessSources
from keystead.limits.types import RouteClass
from keystead.notices import queue
from keystead.notices.queue import RequestKind
from keystead.sessions.types import LiveSession
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.passwords import Hasher, Place, require_hashable
from keystead.users.types import Credential, UserStatus
from keystead.vault import Vault

_CLOSED = (UserStatus.DISABLED, UserStatus.LOCKED)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session's tokens, and what its device shows at the next login."""

    token_pair: TokenPair
    device_token: Secret


@dataclass(frozen=True, slots=True)
class Login:
    """Unknown address, wrong password, disabled and locked account cost the same work and raise the same LoginRefused.
    Each try is reserved before anything is looked up; after too many that failed, TooManyAttempts for all alike.

    Raises EmailUnverified for the right password of an attempt to register an address that is not proven, InvalidInput
    for what is no address or no password, Overloaded when too many hashes wait. Where a hook says no, or must be asked
    and is not there (HookRefused, HookUnavailable), the session has ended.
    """

    db: Database
    vault: Vault
    applications: Applications
    hasher: Hasher
    guesses: Guesses
    sources: GuessSources
    start_session: StartSession
    issue_token_pair: IssueTokenPair
    hooks: Hooks
    requires: ClassVar = Access.PUBLIC
    limited_as: ClassVar = RouteClass.LOGIN
    refuses: ClassVar = (
        LoginRefused,
        EmailUnverified,
        InvalidInput,
        Overloaded,
        TooManyAttempts,
        *TOKEN_REFUSALS,
    )

    def require_room(self, *, may_be_known: bool) -> None:
        """Refuses at once what would be refused before it is hashed, so that a flood costs next to nothing, and leaves
        the processors to what is hashed. Raises Overloaded."""
        self.hasher.require_room(is_known=may_be_known)

    async def __call__(
        self,
        *,
        email: str,
        password: str,
        origin: Origin,
        client_id: str | None = None,
        device_token: str | None = None,
    ) -> SignedIn:
        application = await self.applications.choose(client_id)
        address = parse_email(email)
        require_hashable(password)
        account = self.vault.index(address.canonical, purpose="email_index")
        guess = self.sources.of_login(account, address=origin.address, device_token=device_token)
        async with self.guesses.line(guess):
            with self.hasher.place(is_known=guess.is_known) as place:
                async with self.guesses.attempt(guess) as attempt:
                    session = await self._try(attempt, account, password, place, origin, application)
        async with ended_if_refused(self.db, session, "login"):
            await self._tell(session, origin)
            token_pair = await self.issue_token_pair(session)
        AUTH_ATTEMPTS.labels("login", "admitted").inc()
        return SignedIn(token_pair, self.sources.device_token(account, device_token))

    async def _try(
        self,
        attempt: Attempt,
        account: bytes,
        password: str,
        place: Place,
        origin: Origin,
        application: Application,
    ) -> LiveSession:
        credential, pending = await self._find(account)
        is_right, is_pending = await self._check(credential, pending, password, place)
        if credential is None or not is_right or credential.status in _CLOSED:
            if is_pending and not (credential is not None and is_right):
                AUTH_ATTEMPTS.labels("login", "unverified").inc()
                raise EmailUnverified
            raise await self._refusal(attempt, credential, application)
        session = await self._admit(attempt, credential, origin, application)
        if session is None:  # disabled, locked, or the password changed while this one was being hashed
            raise await self._refusal(attempt, credential, application)
        if self.hasher.is_outdated(credential.password_hash):
            await self._renew(credential, password)
        return session

    async def _check(
        self, credential: Credential | None, pending: Credential | None, password: str, place: Place
    ) -> tuple[bool, bool]:
        """Whether it is the account's password, and whether it is that of the attempt: for the work of one, whatever
        there is. An attempt at a taken address is told what one at a free address is told, so that whoever makes one
        does not learn which it was.
        """
        if pending is None:
            stored = credential.password_hash if credential else self.hasher.decoy
            return await self.hasher.verify(stored, password, place=place), False
        if credential is None:
            return False, await self.hasher.verify(pending.password_hash, password, place=place)
        return await self.hasher.verify_either(
            credential.password_hash, pending.password_hash, password, place=place
        )

    async def _find(self, account: bytes) -> tuple[Credential | None, Credential | None]:
        """The account, and the newest attempt to register its address."""
        found = await store.list_credentials(self.db, account)
        owner = next((each for each in found if each.status != UserStatus.PENDING), None)
        return owner, next((each for each in found if each.status == UserStatus.PENDING), None)

    async def _admit(
        self, attempt: Attempt, credential: Credential, origin: Origin, application: Application
    ) -> LiveSession | None:
        holder = Holder(credential.user_id, credential.data_key_wrapped, credential.password_version)
        async with self.db.begin() as tx:
            session = await self.start_session(
                tx, holder, origin=origin, application=application, amr=("pwd",)
            )
            if session is not None:
                await attempt.succeed(tx)
        return session

    async def _tell(self, session: LiveSession, origin: Origin) -> None:
        if self.hooks.has(HookPoint.AFTER_LOGIN):
            facts = {
                "application": session.client_id,
                "user": {"id": session.user_id},
                "session": {"id": session.id, "address": origin.address, "user_agent": origin.user_agent},
            }
            await self.hooks(HookPoint.AFTER_LOGIN, facts)

    async def _renew(self, credential: Credential, password: str) -> None:
        with suppress(Overloaded):  # another login will do it
            renewed = await self.hasher.hash(password)
            await store.replace_hash(self.db, credential.user_id, old=credential.password_hash, new=renewed)

    async def _refusal(
        self, attempt: Attempt, credential: Credential | None, application: Application
    ) -> LoginRefused:
        """Counted, recorded and, where it was one too many, told to the owner: committed before anybody is answered."""
        AUTH_ATTEMPTS.labels("login", "refused").inc()
        subject = credential.user_id if credential else None
        async with self.db.begin() as tx:
            blocks = await attempt.fail(tx)
            await trail.record(tx, Event(EventName.LOGIN_FAILED, subject_id=subject))
            if blocks.blocks_source or blocks.blocks_account:
                blocked = Event(
                    EventName.LOGIN_BLOCKED,
                    subject_id=subject,
                    detail={"whole_account": blocks.blocks_account},
                )
                await trail.record(tx, blocked)
            if blocks.owner_is_due:
                await queue.request(
                    tx, RequestKind.GUESSING, client_id=application.client_id, email_index=attempt.account
                )
        return LoginRefused()
