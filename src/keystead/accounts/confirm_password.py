"""Confirm the caller's current password, before what it protects is changed."""

from dataclasses import dataclass

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.refusals import LoginRefused
from keystead.kernel.caller import Caller, NotSignedIn
from keystead.kernel.db import Database
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.limits.guesses import Attempt, Guesses
from keystead.limits.sources import GuessSources
from keystead.users import store
from keystead.users.passwords import Hasher, require_hashable
from keystead.users.types import Credential


@dataclass(frozen=True, slots=True)
class ConfirmPassword:
    """The credential whose version guards the change.

    Raises LoginRefused, TooManyAttempts, InvalidInput, Overloaded, NotSignedIn.
    """

    db: Database
    hasher: Hasher
    guesses: Guesses
    sources: GuessSources

    async def __call__(self, caller: Caller, password: str) -> Credential:
        require_hashable(password)
        guess = self.sources.of_session(caller.user_id, caller.session_id)
        async with self.guesses.line(guess):
            with self.hasher.place(is_known=True) as place:
                credential = await store.find_credential_by_id(self.db, caller.user_id)
                if credential is None:
                    raise NotSignedIn
                async with self.guesses.attempt(guess) as attempt:
                    if await self.hasher.verify(credential.password_hash, password, place=place):
                        await attempt.succeed(self.db)
                        return credential
                    await self._note(attempt, caller)
        raise LoginRefused

    async def _note(self, attempt: Attempt, caller: Caller) -> None:
        AUTH_ATTEMPTS.labels("confirm", "refused").inc()
        async with self.db.begin() as tx:
            await attempt.fail(tx)
            await trail.record(
                tx,
                Event(
                    EventName.REAUTHENTICATION_FAILED,
                    actor_id=caller.user_id,
                    subject_id=caller.user_id,
                    session_id=caller.credential_id,
                ),
            )
