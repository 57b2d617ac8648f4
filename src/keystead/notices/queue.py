"""The queue: mails are asked for in the transaction of their cause, and sent by somebody else."""

import json
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from keystead.kernel.db import Runner
from keystead.kernel.ids import UserId, new_uuid
from keystead.notices import store
from keystead.notices.store import MailRequest, StoredMail
from keystead.notices.types import MailKind
from keystead.vault import DataKey

NOTICE_LIFETIME = timedelta(days=3)  # a notice that comes later than this is no news


class RequestKind(StrEnum):
    """What may be asked of an address, whoever has it."""

    REGISTRATION = "registration"
    VERIFICATION = "verification"
    RECOVERY = "recovery"
    EMAIL_CHANGE = "email_change"
    GUESSING = "guessing"


async def request(
    db: Runner,
    kind: RequestKind,
    *,
    client_id: str,
    email_index: bytes,
    user_id: UserId | None = None,
    ticket_id: UUID | None = None,
) -> None:
    """Note that something was asked of an address: the same work whether or not anybody has it."""
    await store.add_request(
        db, MailRequest(new_uuid(), kind.value, client_id, email_index, user_id, ticket_id)
    )


async def enqueue(
    db: Runner,
    kind: MailKind,
    *,
    client_id: str,
    user_id: UserId,
    data_key: DataKey | None = None,
    facts: Mapping[str, str] | None = None,
    ticket_id: UUID | None = None,
) -> UUID:
    """A mail to the user's address, or to `facts["to"]`. Facts are about a person, so they need the data key."""
    sealed = None
    if facts and data_key:
        sealed = data_key.seal(json.dumps(facts, ensure_ascii=False), table="mails", column="content")
    mail_id = new_uuid()
    await store.add(
        db,
        mail_id,
        kind.value,
        client_id=client_id,
        user_id=user_id,
        ticket_id=ticket_id,
        content_sealed=sealed,
        lifetime=NOTICE_LIFETIME,
    )
    return mail_id


def open_facts(mail: StoredMail, data_key: DataKey) -> dict[str, str]:
    """Raises vault.Unreadable."""
    if mail.content_sealed is None:
        return {}
    facts: dict[str, str] = json.loads(data_key.open(mail.content_sealed, table="mails", column="content"))
    return facts
