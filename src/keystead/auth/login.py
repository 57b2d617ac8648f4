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
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.sessions.types import LiveSession
from keystead.users import store
from keystead.users.email import EmailAddress, parse_email
from keystead.users.passwords import Hasher, require_hashable
from keystead.users.types import Credential, UserStatus
from keystead.vault import Vault

_CLOSED = (UserStatus.DISABLED, UserStatus.LOCKED)


@dataclass(frozen=True, slots=True)
class Login:
    """Unknown address, wrong password, disabled and locked account cost the same work and raise the same LoginRefused.

    Raises EmailUnverified for the right password of an attempt to register an address that is not proven, InvalidInput
    for what is no address or no password, Overloaded when too many hashes wait. Where a hook says no, or must be asked
    and is not there (HookRefused, HookUnavailable), the session has ended.
    """

    db: Database
    vault: Vault
    applications: Applications
    hasher: Hasher
    start_session: StartSession
    issue_token_pair: IssueTokenPair
    hooks: Hooks
    requires: ClassVar = Access.PUBLIC
    refuses: ClassVar = (
        LoginRefused,
        EmailUnverified,
        InvalidInput,
        Overloaded,
        *TOKEN_REFUSALS,
    )

    async def __call__(
        self, *, email: str, password: str, origin: Origin, client_id: str | None = None
    ) -> TokenPair:
        application = await self.applications.choose(client_id)
        address = parse_email(email)
        require_hashable(password)
        credential, attempt = await self._find(address)
        stored = credential.password_hash if credential else self.hasher.decoy
        is_right = await self.hasher.verify(stored, password)
        # An attempt at a taken address is told what one at a free address is told, for the same work: whoever makes one
        # does not learn which it was.
        is_attempt = attempt is not None and await self.hasher.verify(attempt.password_hash, password)
        if credential is None or not is_right or credential.status in _CLOSED:
            if is_attempt and not (credential is not None and is_right):
                AUTH_ATTEMPTS.labels("login", "unverified").inc()
                raise EmailUnverified
            raise await self._refusal(credential)
        session = await self._admit(credential, origin, application)
        if session is None:  # disabled, locked, or the password changed while this one was being hashed
            raise await self._refusal(credential)
        if self.hasher.is_outdated(credential.password_hash):
            await self._renew(credential, password)
        async with ended_if_refused(self.db, session, "login"):
            await self._tell(session, origin)
            token_pair = await self.issue_token_pair(session)
        AUTH_ATTEMPTS.labels("login", "admitted").inc()
        return token_pair

    async def _find(self, address: EmailAddress) -> tuple[Credential | None, Credential | None]:
        """The account, and the newest attempt to register its address."""
        index = self.vault.index(address.canonical, purpose="email_index")
        found = await store.list_credentials(self.db, index)
        account = next((each for each in found if each.status != UserStatus.PENDING), None)
        return account, next((each for each in found if each.status == UserStatus.PENDING), None)

    async def _admit(
        self, credential: Credential, origin: Origin, application: Application
    ) -> LiveSession | None:
        holder = Holder(credential.user_id, credential.data_key_wrapped, credential.password_version)
        async with self.db.begin() as tx:
            return await self.start_session(tx, holder, origin=origin, application=application, amr=("pwd",))

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

    async def _refusal(self, credential: Credential | None) -> LoginRefused:
        AUTH_ATTEMPTS.labels("login", "refused").inc()
        subject = credential.user_id if credential else None
        await trail.record(self.db, Event(EventName.LOGIN_FAILED, subject_id=subject))
        return LoginRefused()
