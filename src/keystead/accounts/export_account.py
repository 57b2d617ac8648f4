"""Export: everything that is held about a person, for that person."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from keystead.accounts.account import Account, ShowUser
from keystead.accounts.change_email import NewAddress
from keystead.audit import store as events
from keystead.audit import trail
from keystead.audit.store import StoredEvent
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access, Caller, ReauthenticationRequired
from keystead.kernel.db import Database
from keystead.machines import store as machines
from keystead.machines.types import ApiKey
from keystead.notices import queue
from keystead.notices import store as mails
from keystead.notices.store import KeptRequest, StoredMail
from keystead.notices.types import MailKind
from keystead.sessions import store as sessions
from keystead.sessions.listing import record_of
from keystead.sessions.types import SessionRecord
from keystead.tickets import store as tickets
from keystead.tickets.store import KeptKey, KeptTicket
from keystead.users.types import UserNotFound
from keystead.vault import DataKey, Vault

MAX_EVENTS = 100_000  # the newest; a person with more asks the operator for the rest


@dataclass(frozen=True, slots=True)
class PastSession:
    record: SessionRecord
    ended_at: datetime | None
    ended_because: str | None


@dataclass(frozen=True, slots=True)
class KeptLink:
    """A link, and the address that it moves the account to."""

    ticket: KeptTicket
    new_email: str | None


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail, and what it says that the account does not."""

    mail: StoredMail
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is held: the account, and every row of every table that refers to it. Hashes, keys and tokens stay."""

    exported_at: datetime
    account: Account
    sessions: list[PastSession]
    api_keys: list[ApiKey]
    links: list[KeptLink]
    mails: list[KeptMail]
    mails_asked_for: list[KeptRequest]
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
                    session_id=caller.credential_id,
                ),
            )
            account = await self.show_user.read(tx, user_id)
            data_key = await self.vault.load_data_key(tx, user_id)
            if data_key is None:
                raise UserNotFound
            return Bundle(
                exported_at=caller.now,
                account=account,
                sessions=[
                    PastSession(record_of(stored, data_key), stored.ended_at, stored.ended_because)
                    for stored in await sessions.list_of_user(tx, user_id)
                ],
                api_keys=await machines.list_api_keys_kept(tx, user_id),
                links=[_link(kept, data_key) for kept in await tickets.list_of_user(tx, user_id)],
                # A link to a new address says that it is free: that is told to its mailbox alone.
                mails=[
                    KeptMail(mail, queue.open_facts(mail, data_key))
                    for mail in await mails.list_of_user(tx, user_id)
                    if mail.kind != MailKind.CHANGE_EMAIL
                ],
                mails_asked_for=await mails.list_requests_of_user(tx, user_id),
                requests=await tickets.list_keys_of_user(tx, user_id),
                events=await events.list_of_person(tx, user_id, limit=MAX_EVENTS),
            )


def _link(kept: KeptTicket, data_key: DataKey) -> KeptLink:
    has_address = kept.content_sealed is not None
    return KeptLink(kept, NewAddress.open(data_key, kept).email if has_address else None)
