"""Change one's password."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.accounts.confirm_password import ConfirmPassword
from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.refusals import LoginRefused
from keystead.kernel.caller import Access, Caller, NotSignedIn, ReauthenticationRequired
from keystead.kernel.db import Database
from keystead.kernel.errors import FieldError, InvalidInput
from keystead.limits.guesses import TooManyAttempts
from keystead.limits.types import RouteClass
from keystead.notices import queue
from keystead.notices.types import MailKind
from keystead.sessions.listing import end_all
from keystead.sessions.types import EndReason
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.passwords import Hasher, PasswordRules
from keystead.users.types import User


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """The caller's session goes on; the others end, unless they are to stay.

    Raises LoginRefused for a wrong current password, InvalidInput, Overloaded, ReauthenticationRequired; NotSignedIn
    where the password was changed meanwhile.
    """

    db: Database
    confirm_password: ConfirmPassword
    hasher: Hasher
    rules: PasswordRules
    applications: Applications
    requires: ClassVar = Access.SIGNED_IN
    is_sensitive: ClassVar = True
    limited_as: ClassVar = RouteClass.PROOF
    refuses: ClassVar = (LoginRefused, TooManyAttempts, ReauthenticationRequired, *PasswordRules.refuses)

    async def __call__(
        self, caller: Caller, user: User, *, current: str, new: str, end_other_sessions: bool
    ) -> None:
        caller.require_fresh()
        await self._check(user, current, new)
        credential = await self.confirm_password(caller, current)
        hashed = await self.hasher.hash(new)
        async with self.db.begin() as tx:
            is_replaced = await store.replace_password(
                tx,
                caller.user_id,
                password_version=credential.password_version,
                new=hashed,
                mailbox_proven=False,
            )
            if not is_replaced:
                raise NotSignedIn
            if end_other_sessions:
                await end_all(tx, caller, caller.user_id, EndReason.PASSWORD_CHANGED, but=caller.session_id)
            await trail.record(
                tx,
                Event(
                    EventName.PASSWORD_CHANGED,
                    actor_id=caller.user_id,
                    subject_id=caller.user_id,
                    session_id=caller.credential_id,
                ),
            )
            await queue.enqueue(
                tx,
                MailKind.PASSWORD_CHANGED,
                client_id=self.applications.default.client_id,
                user_id=caller.user_id,
            )

    async def _check(self, user: User, current: str, new: str) -> None:
        try:
            await self.rules.check(new, email=parse_email(user.email), full_name=user.full_name)
        except InvalidInput as refusal:
            raise InvalidInput(*(error.at("/new_password") for error in refusal.errors)) from refusal
        if new == current:
            message = "This is the password that you have."
            raise InvalidInput(FieldError("/new_password", "password_unchanged", message))
