"""Login: an e-mail address and a password for a session."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.refusals import EmailUnverified, LoginRefused
from keystead.auth.start_session import StartSession
from keystead.auth.token_pair import IssueTokenPair, TokenPair
from keystead.kernel.caller import Access
from keystead.kernel.db import Database
from keystead.kernel.errors import InvalidInput, Overloaded
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.users import store
from keystead.users.email import EmailAddress, parse_email
from keystead.users.passwords import Hasher, require_hashable
from keystead.users.types import Credential, UserStatus
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class Login:
    """Unknown address, wrong password and disabled account cost the same work and raise the same LoginRefused.

    Raises EmailUnverified for the right password of an unproven address, InvalidInput for what is no address or
    no password, Overloaded when too many hashes wait.
    """

    db: Database
    vault: Vault
    hasher: Hasher
    start_session: StartSession
    issue_token_pair: IssueTokenPair
    requires: ClassVar = Access.PUBLIC
    refuses: ClassVar = (LoginRefused, EmailUnverified, InvalidInput, Overloaded)

    async def __call__(self, *, email: str, password: str) -> TokenPair:
        address = parse_email(email)
        require_hashable(password)
        credential = await self._find(address)
        stored = credential.password_hash if credential else self.hasher.decoy
        is_right = await self.hasher.verify(stored, password)
        if credential is None or not is_right or credential.status == UserStatus.DISABLED:
            raise await self._refusal(credential)
        if credential.status == UserStatus.PENDING:
            AUTH_ATTEMPTS.labels("login", "unverified").inc()
            raise EmailUnverified
        return await self._admit(credential, password)

    async def _find(self, address: EmailAddress) -> Credential | None:
        return await store.find_credential(
            self.db, self.vault.index(address.canonical, purpose="email_index")
        )

    async def _admit(self, credential: Credential, password: str) -> TokenPair:
        session = await self.start_session(
            self.db, credential.user_id, password_version=credential.password_version, amr=("pwd",)
        )
        if session is None:  # disabled, or the password changed, while this one was being hashed
            raise await self._refusal(credential)
        AUTH_ATTEMPTS.labels("login", "admitted").inc()
        if self.hasher.is_outdated(credential.password_hash):
            await self._renew(credential, password)
        return self.issue_token_pair(session)

    async def _renew(self, credential: Credential, password: str) -> None:
        with suppress(Overloaded):  # another login will do it
            renewed = await self.hasher.hash(password)
            await store.replace_hash(self.db, credential.user_id, old=credential.password_hash, new=renewed)

    async def _refusal(self, credential: Credential | None) -> LoginRefused:
        AUTH_ATTEMPTS.labels("login", "refused").inc()
        subject = credential.user_id if credential else None
        await trail.record(self.db, Event(EventName.LOGIN_FAILED, subject_id=subject))
        return LoginRefused()
