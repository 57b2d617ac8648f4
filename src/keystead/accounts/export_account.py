"""Export: everything that is held about a person, for that person."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from keystead.accounts.account import Account, ShowUser
from keystead.audit import store as events
from keystead.audit import trail
from keystead.audit.store import StoredEvent
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access, Caller, ReauthenticationRequired
from keystead.kernel.db import Database
from keystead.notices import store as mails
from keystead.notices.store import StoredMail
from keystead.notices.types import MailKind
from keystead.sessions import store as sessions
from keystead.sessions.listing import record_of
from keystead.sessions.types import SessionRecord
from keystead.tickets import store as tickets
from keystead.tickets.store import KeptKey, KeptTicket
from keystead.vault import Vault

MAX_EVENTS = 100_000  # the newest; a person with more asks the operator for the rest


@dataclass(frozen=True, slots=True)
class PastSession:
    record: SessionRecord
    ended_at: datetime | None
    ended_because: str | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is held: the account, and every row of every table that refers to it. Hashes, keys and tokens stay."""

    exported_at: datetime
    account: Account
    sessions: list[PastSession]
    tickets: list[KeptTicket]
    mails: list[StoredMail]
    requests: list[KeptKey]
    events: list[StoredEvent]


@dataclass(frozen=True, slots=True)
class ExportAccount:
    """Raises ReauthenticationRequired."""

    db: Database
    vault: Vault
    show_user: ShowUser
    requires: ClassVar = Access.SIGNED_IN
    is_sensitive: ClassVar = True
    refuses: ClassVar = (ReauthenticationRequired,)

    async def __call__(self, caller: Caller) -> Bundle:
        caller.require_fresh()
        user_id = caller.user_id
        async with self.db.begin() as tx:
            await trail.record(
                tx,
                Event(
                    EventName.USER_EXPORTED,
                    actor_id=user_id,
                    subject_id=user_id,
                    session_id=caller.session_id,
                ),
            )
            data_key = await self.vault.load_data_key(tx, user_id)
            return Bundle(
                exported_at=caller.now,
                account=await self.show_user.read(tx, user_id),
                sessions=[
                    PastSession(record_of(stored, data_key), stored.ended_at, stored.ended_because)
                    for stored in await sessions.list_of_user(tx, user_id)
                ],
                tickets=await tickets.list_of_user(tx, user_id),
                # A link to a new address says that it is free: that is told to its mailbox alone.
                mails=[
                    mail
                    for mail in await mails.list_of_user(tx, user_id)
                    if mail.kind != MailKind.CHANGE_EMAIL
                ],
                requests=await tickets.list_keys_of_user(tx, user_id),
                events=await events.list_of_person(tx, user_id, limit=MAX_EVENTS),
            )
