"""Deliver mail: hands what is due to the mail server, and remembers what became of it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address

import structlog

from keystead.accounts.answer_mail_request import AnswerMailRequest
from keystead.accounts.write_mail import WriteMail, WrittenMail
from keystead.kernel.clock import Clock
from keystead.kernel.db import Database
from keystead.kernel.errors import Unavailable
from keystead.kernel.ids import new_uuid
from keystead.kernel.telemetry import MAILS
from keystead.notices import store
from keystead.notices.message import compose
from keystead.notices.render import Renderer
from keystead.notices.smtp import Connection, MailDeferred, MailRejected, MailServerDown, Smtp
from keystead.notices.store import StoredMail
from keystead.notices.types import MailKind

log = structlog.get_logger("mail")


class MailServerMissing(Exception):
    """mail.host is not set."""


BATCH = 20
# No mail is begun in the second half of its lease, which is longer than `mail.timeout_secs` lets one take: so nobody
# else gets it while we are at it.
LEASE = timedelta(minutes=10)
MAX_TRIES = 12
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DeliverMail:
    """One round: answers what was asked of addresses, then sends what is due. True where there may be more.

    A mail leaves the queue when the server has taken it. If we die between the two it is sent again, under the same
    Message-ID. Without a server, development takes a mail as sent, to be read at `/dev/mail`; elsewhere it waits.
    """

    db: Database
    answer_mail_request: AnswerMailRequest
    write_mail: WriteMail
    clock: Clock
    sender: Address
    smtp: Smtp | None
    captures: bool

    async def __call__(self) -> bool:
        answered = 0
        while answered < BATCH and await self.answer_mail_request():
            answered += 1
        sent = 0
        if self.smtp is not None or self.captures:
            end = self.clock.now() + LEASE / 2
            mails = await store.claim(self.db, limit=BATCH, lease=LEASE)
            sent = len(mails) if await self._send_all(mails, end) else 0
        return max(answered, sent) == BATCH

    async def _send_all(self, mails: Sequence[StoredMail], end: datetime) -> bool:
        """Those that can be begun before `end`. False where the server is not there: to ask again at once is no use."""
        if self.smtp is None:
            for mail in mails:
                await store.mark_sent(self.db, mail.id)
                MAILS.labels(mail.kind, "captured").inc()
            return True
        waiting = deque(mails)
        try:
            if waiting:
                async with self.smtp.connect() as connection:
                    while waiting and self.clock.now() < end:
                        await self._send(connection, waiting.popleft())
        except MailServerDown as error:
            log.warning("mail.server_down", reason=str(error), waiting=len(waiting))
            for mail in waiting:
                MAILS.labels(mail.kind, "server_down").inc()
                await store.postpone(self.db, mail.id, by=_pause(mail.tries), counts=False)
            return False
        for mail in waiting:
            await store.postpone(self.db, mail.id, by=timedelta(0), counts=False)
        return True

    async def _send(self, connection: Connection, mail: StoredMail) -> None:
        """Raises MailServerDown, for this mail and those after it."""
        if mail.is_expired or mail.tries > MAX_TRIES:
            await self._set_aside(mail, "expired" if mail.is_expired else "too_many_tries")
            return
        try:
            written = await self.write_mail(self.db, mail)
            if written is None:
                await store.discard(self.db, mail.id)
                return
            message = compose(
                written.words,
                mail_id=mail.id,
                sender=self.sender,
                recipient=written.to,
                sent_at=self.clock.now(),
            )
            await connection.send(message)
        except MailRejected as refusal:
            await self._set_aside(mail, f"refused: {refusal}")
        except MailDeferred as refusal:
            log.info("mail.deferred", mail_id=str(mail.id), kind=mail.kind, reason=str(refusal))
            MAILS.labels(mail.kind, "deferred").inc()
            await store.postpone(self.db, mail.id, by=_pause(mail.tries), counts=True)
        except MailServerDown:
            # Perhaps because of this mail: it counts as a try, so that those behind it go first next time.
            await store.postpone(self.db, mail.id, by=_pause(mail.tries), counts=True)
            raise
        except Unavailable:
            raise
        except Exception:  # whatever is wrong with this one, those behind it go out
            log.exception("mail.failed", mail_id=str(mail.id), kind=mail.kind)
            await self._set_aside(mail, "cannot be written")
        else:
            await store.mark_sent(self.db, mail.id)
            MAILS.labels(mail.kind, "sent").inc()

    async def _set_aside(self, mail: StoredMail, failure: str) -> None:
        log.warning("mail.set_aside", mail_id=str(mail.id), kind=mail.kind, reason=failure)
        MAILS.labels(mail.kind, "set_aside").inc()
        await store.set_aside(self.db, mail.id, failure=failure)


def _pause(tries: int) -> timedelta:
    """Twice as long after each try."""
    doublings = max(0, min(tries - 1, 20))
    return min(_FIRST_PAUSE * (1 << doublings), _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class SendTestMail:
    """A mail to an address, now and past the queue, to see whether the settings are right.

    Raises MailServerMissing, MailServerDown, MailDeferred, MailRejected.
    """

    renderer: Renderer
    clock: Clock
    sender: Address
    smtp: Smtp | None

    async def __call__(self, recipient: str) -> None:
        if self.smtp is None:
            raise MailServerMissing
        words = self.renderer.render(MailKind.TEST, locale=None, facts={})
        message = compose(
            words, mail_id=new_uuid(), sender=self.sender, recipient=recipient, sent_at=self.clock.now()
        )
        async with self.smtp.connect() as connection:
            await connection.send(message)


@dataclass(frozen=True, slots=True)
class ReadMail:
    """The latest mails as they read, links included: for the page of a development server, and no other."""

    db: Database
    write_mail: WriteMail

    async def __call__(self, *, limit: int = 50) -> list[tuple[StoredMail, WrittenMail | None]]:
        """The newest first; a mail that has nothing to say any more is None."""
        mails = await store.list_latest(self.db, limit=limit)
        return [(mail, await self.write_mail(self.db, mail)) for mail in mails]
