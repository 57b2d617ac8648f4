"""Confirm the caller's current password, before what it protects is changed."""

from dataclasses import dataclass

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.refusals import LoginRefused
from keystead.kernel.caller import Caller, NotSignedIn
from keystead.kernel.db import Database
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.users import store
from keystead.users.passwords import Hasher, require_hashable
from keystead.users.types import Credential


@dataclass(frozen=True, slots=True)
class ConfirmPassword:
    """The credential whose version guards the change. Raises LoginRefused, InvalidInput, Overloaded, NotSignedIn."""

    db: Database
    hasher: Hasher

    async def __call__(self, caller: Caller, password: str) -> Credential:
        require_hashable(password)
        credential = await store.find_credential_by_id(self.db, caller.user_id)
        if credential is None:
            raise NotSignedIn
        if not await self.hasher.verify(credential.password_hash, password):
            AUTH_ATTEMPTS.labels("confirm", "refused").inc()
            await trail.record(
                self.db,
                Event(
                    EventName.REAUTHENTICATION_FAILED,
                    actor_id=caller.user_id,
                    subject_id=caller.user_id,
                    session_id=caller.credential_id,
                ),
            )
            raise LoginRefused
        return credential
