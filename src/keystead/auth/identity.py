"""Who stands behind a credential, and what the credential says."""

from dataclasses import dataclass
from datetime import datetime

from keystead.kernel.application import Application
from keystead.kernel.caller import Caller, SessionRequired
from keystead.kernel.ids import UserId
from keystead.users.types import StoredUser


@dataclass(frozen=True, slots=True)
class Grant:
    """The credential itself, for whoever asks about it, and the application that it was made in.

    `roles` are what it stands for where somebody else judges by them: of a narrowed credential, those that permit no
    more than it does. An API key has no `token_id`; `client_id` of a service account is its own id.
    """

    application: Application
    client_id: str
    audience: str
    issued_at: datetime
    expires_at: datetime
    token_id: str | None
    roles: tuple[str, ...]
    amr: tuple[str, ...] = ()
    actor_id: UserId | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller, what they showed, and the account of a person, read together."""

    caller: Caller
    grant: Grant
    person: StoredUser | None

    @property
    def account(self) -> StoredUser:
        """Raises SessionRequired: a service account has none."""
        if self.person is None:
            raise SessionRequired
        return self.person
