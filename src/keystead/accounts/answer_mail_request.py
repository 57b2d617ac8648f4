"""What was asked of an address becomes a mail to whoever has it, or nothing."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from keystead.accounts.change_email import NewAddress
from keystead.accounts.write_mail import LINKS
from keystead.kernel.db import Database, Tx
from keystead.kernel.ids import UserId
from keystead.notices import queue, store
from keystead.notices.queue import RequestKind
from keystead.notices.store import MailRequest
from keystead.notices.types import MailKind
from keystead.tickets import store as tickets
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose, Ticket
from keystead.users import store as users
from keystead.users.types import StoredUser, UserStatus
from keystead.vault import Unreadable, Vault

log = structlog.get_logger("mail")

# So many mails of one kind in so long a time are enough for one mailbox, however often somebody asks.
MAX_MAILS = 5
WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and everybody who has its address: at most one account, attempts to register, the newest first, and
    those who were invited, perhaps with an invitation that still works."""

    request: MailRequest
    found: list[StoredUser]
    invited: set[UserId]
    invitation: Ticket | None

    @property
    def account(self) -> StoredUser | None:
        return next((user for user in self.found if user.status != UserStatus.PENDING), None)

    @property
    def attempts(self) -> list[StoredUser]:
        return [
            user for user in self.found if user.status == UserStatus.PENDING and user.id not in self.invited
        ]

    def attempt_too_many(self) -> UserId | None:
        """The attempt of this request, where so many were made before it that no mail would tell of it: those that
        stay are few. Judged by attempts alone: whether they stay must not tell whether the address has an account."""
        own = next((each for each in self.attempts if each.id == self.request.user_id), None)
        if own is None:
            return None
        recent = (
            each for each in self.attempts if own.created_at - WITHIN < each.created_at <= own.created_at
        )
        return own.id if sum(1 for _ in recent) > MAX_MAILS else None

    def answer(self) -> tuple[MailKind, StoredUser] | None:
        """Which mail goes to whom."""
        account = self.account
        if self.request.kind == RequestKind.GUESSING:
            is_open = account is not None and account.status == UserStatus.ACTIVE
            return (MailKind.LOGIN_BLOCKED, account) if account is not None and is_open else None
        if account is None:
            return self._answer_attempts()
        if account.status not in (UserStatus.ACTIVE, UserStatus.LOCKED):
            return None
        if self.request.kind == RequestKind.RECOVERY:
            return MailKind.RESET_PASSWORD, account
        if account.email_verified_at is None:
            return MailKind.VERIFY_EMAIL, account
        return MailKind.ALREADY_REGISTERED, account

    def _answer_attempts(self) -> tuple[MailKind, StoredUser] | None:
        attempts = self.attempts
        if self.request.kind == RequestKind.REGISTRATION:
            own = [each for each in attempts if each.id == self.request.user_id]
            return (MailKind.VERIFY_EMAIL, own[0]) if own else None
        if (invitation := self.invitation) is not None:
            return MailKind.INVITATION, next(each for each in self.found if each.id == invitation.user_id)
        if not attempts:
            return None
        if self.request.kind == RequestKind.VERIFICATION and len(attempts) == 1:
            return MailKind.VERIFY_EMAIL, attempts[0]
        # Whose attempt it was nobody knows, so the mailbox's owner sets a password of their own.
        return MailKind.COMPLETE_REGISTRATION, attempts[0]


@dataclass(frozen=True, slots=True)
class AnswerMailRequest:
    """Takes one request and answers it, in one transaction. False where there was none.

    Here, and not in the request that asked, is the address looked up: so nobody learns from an answer, or from how
    long it took, whether it has an account.
    """

    db: Database
    vault: Vault
    desk: Desk

    async def __call__(self) -> bool:
        async with self.db.begin() as tx:
            request = await store.take_request(tx)
            if request is None:
                return False
            asked = await self._look_up(tx, request)
            if request.kind == RequestKind.EMAIL_CHANGE:
                await self._answer_email_change(tx, asked)
            elif (attempt := asked.attempt_too_many()) is not None:
                await self._forget_attempt(tx, attempt)
            elif (answer := asked.answer()) is not None:
                await self._send(tx, asked, *answer)
        return True

    async def _look_up(self, tx: Tx, request: MailRequest) -> Asked:
        # Locked, so that of several workers each counts the mails that those before have written.
        found = await users.list_by_email_for_update(tx, request.email_index)
        pending = [user.id for user in found if user.status == UserStatus.PENDING]
        invited = await users.list_without_password(tx, pending) if pending else set()
        invitation = await tickets.find_live_of(tx, invited, Purpose.INVITATION) if invited else None
        return Asked(request, found, invited, invitation)

    async def _forget_attempt(self, tx: Tx, attempt: UserId) -> None:
        if await users.discard_pending(tx, attempt):
            await self.vault.shred(tx, attempt)

    async def _answer_email_change(self, tx: Tx, asked: Asked) -> None:
        """The link goes to the new address if it is free; if not, its owner is told, and nobody else."""
        request, account = asked.request, asked.account
        if account is not None:
            if account.id != request.user_id:
                await self._send(tx, asked, MailKind.EMAIL_IN_USE, account)
            return
        if request.ticket_id is None or request.user_id is None:
            return
        ticket = await tickets.find_live(tx, request.ticket_id, Purpose.CHANGE_EMAIL)
        # Whose the new address is nobody knows, so it is who asks that is held to few mails.
        if ticket is None or await _had_enough(tx, [request.user_id], MailKind.CHANGE_EMAIL):
            return
        try:
            data_key = await self.vault.load_data_key(tx, request.user_id)
            wanted = NewAddress.open(data_key, ticket) if data_key else None
        except Unreadable:  # a damaged row must not keep those behind it waiting
            log.exception("mail.request_unreadable", request_id=str(request.id))
            return
        if wanted is None:
            return
        await queue.enqueue(
            tx,
            MailKind.CHANGE_EMAIL,
            client_id=request.client_id,
            user_id=request.user_id,
            data_key=data_key,
            facts={"to": wanted.email},
            ticket_id=ticket.id,
        )

    async def _send(self, tx: Tx, asked: Asked, kind: MailKind, user: StoredUser) -> None:
        """Nothing where the mailbox has had enough of its kind."""
        if await _had_enough(tx, [each.id for each in asked.found], kind):
            return
        ticket_id = None
        if kind == MailKind.INVITATION and asked.invitation:
            ticket_id = asked.invitation.id  # the one of before: it lives no longer for being asked for again
        elif kind in LINKS:
            _, purpose = LINKS[kind]
            ticket_id = await self.desk.issue(
                tx,
                purpose,
                user_id=user.id,
                client_id=asked.request.client_id,
                password_version=user.password_version,
            )
        await queue.enqueue(tx, kind, client_id=asked.request.client_id, user_id=user.id, ticket_id=ticket_id)


async def _had_enough(tx: Tx, user_ids: list[UserId], kind: MailKind) -> bool:
    return await store.count_recent(tx, user_ids, kind.value, within=WITHIN) >= MAX_MAILS
