"""Sweep: what has had its time goes, sessions of a deleted application end, what an older version left is sealed, and
erasures are written to their log."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from keystead.applications import store as applications
from keystead.kernel.db import Database, Tx
from keystead.limits import store as guesses
from keystead.limits.challenge import store as challenges
from keystead.limits.lists import store as networks
from keystead.machines import store as machines
from keystead.notices import store as mails
from keystead.roles import store as roles
from keystead.sessions import store as sessions
from keystead.sessions.listing import record_end
from keystead.sessions.types import EndReason
from keystead.tickets import store as tickets
from keystead.users import erasures, store
from keystead.users.email import parse_email
from keystead.users.erasures import Erasure
from keystead.users.profile import open_user, seal_object
from keystead.users.types import StoredUser
from keystead.vault import Unreadable, Vault

log = structlog.get_logger("sweep")

BATCH = 500
KEEP_KEYS = timedelta(hours=24)  # how long a creating request may be repeated
KEEP_ASSERTIONS = timedelta(hours=1)  # whoever read one just before it expired has long since noted its use
KEEP_CHALLENGES = timedelta(hours=1)  # a clock that is set back by less revives none
KEEP_NETWORKS = timedelta(hours=1)  # likewise
LOOK_FOR_DELETED = timedelta(days=1)  # all sessions are looked through for theirs, so not for ever
# Joins users and tickets: whoever was sent a link that still works has until it expires.
SWEEP_ATTEMPTS = """
    DELETE FROM users
     WHERE id IN (SELECT u.id FROM users u
                   WHERE u.status = 'pending' AND u.created_at < keystead_now() - $1::interval
                     AND NOT EXISTS (SELECT FROM tickets t
                                      WHERE t.user_id = u.id AND t.used_at IS NULL AND keystead_now() < t.expires_at)
                   ORDER BY u.created_at LIMIT $2 FOR UPDATE OF u SKIP LOCKED)
 RETURNING id
"""


class ErasureLogUnwritable(Exception):
    """`privacy.erasure_log` takes no line: the erasures wait until it does."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each kind of row outlives its use."""

    sessions: timedelta
    attempts: timedelta
    mails: timedelta


@dataclass(frozen=True, slots=True)
class Sweep:
    """One round over everything, in small transactions; several workers may do it at once. How many rows it took."""

    db: Database
    vault: Vault
    retention: Retention
    erasure_log: Path | None

    async def __call__(self) -> int:
        keep = self.retention
        return sum(
            [
                await _all(self._log_erasures),
                await _all(self._end_of_deleted),
                await _all(lambda: sessions.sweep(self.db, older_than=keep.sessions, limit=BATCH)),
                await _all(lambda: tickets.sweep(self.db, older_than=keep.mails, limit=BATCH)),
                await _all(lambda: tickets.sweep_keys(self.db, older_than=KEEP_KEYS, limit=BATCH)),
                await _all(
                    lambda: tickets.sweep_assertions(self.db, older_than=KEEP_ASSERTIONS, limit=BATCH)
                ),
                await _all(lambda: challenges.sweep(self.db, older_than=KEEP_CHALLENGES, limit=BATCH)),
                await _all(lambda: guesses.sweep(self.db, limit=BATCH)),
                await _all(lambda: networks.sweep(self.db, older_than=KEEP_NETWORKS, limit=BATCH)),
                await _all(lambda: machines.sweep(self.db, older_than=keep.sessions, limit=BATCH)),
                await _all(lambda: mails.sweep(self.db, older_than=keep.mails, limit=BATCH)),
                await _all(self._sweep_attempts),
                await _all(self._seal),
                await _all(lambda: roles.date_grants(self.db, limit=BATCH)),
            ]
        )

    async def _end_of_deleted(self) -> int:
        """Their tokens count for nothing already; ended, they do not come back to life either if somebody configures an
        application of that name."""
        because, total = EndReason.APPLICATION_DELETED, 0
        for deleted in await applications.list_deleted(self.db, within=LOOK_FOR_DELETED):
            async with self.db.begin() as tx:
                ended = await sessions.end_of_application(
                    tx, deleted.client_id, because, before=deleted.deleted_at, limit=BATCH
                )
                for each in ended:
                    await record_end(tx, each, because, actor_id=None)
            total += len(ended)
        return total

    async def _sweep_attempts(self) -> int:
        async with self.db.begin() as tx:
            gone = await tx.fetch(SWEEP_ATTEMPTS, self.retention.attempts, BATCH)
            for (user_id,) in gone:
                await self.vault.shred(tx, user_id)
        return len(gone)

    async def _seal(self) -> int:
        """What version 0.1 stored in the clear or without its index; done once, on an upgrade."""
        async with self.db.begin() as tx:
            found = await store.list_unsealed(tx, limit=BATCH)
            return sum([await self._seal_one(tx, stored) for stored in found])

    async def _seal_one(self, tx: Tx, stored: StoredUser) -> bool:
        try:
            data_key = self.vault.open_data_key(stored.id, stored.data_key_wrapped)
            user = open_user(data_key, stored)
        except Unreadable:
            log.error("seal.unreadable", user_id=str(stored.id))  # noqa: TRY400 - the id is the whole of it
            return False
        domain = parse_email(user.email).domain
        await store.seal(
            tx,
            stored.id,
            email_domain_index=self.vault.index(domain, purpose="email_domain_index"),
            preferences_sealed=seal_object(data_key, "preferences", user.preferences),
        )
        return True

    async def _log_erasures(self) -> int:
        """A line is written before it is noted as written: it may stand there twice, and is never missing."""
        if self.erasure_log is None:
            return 0
        async with self.db.begin() as tx:
            found = await erasures.list_unlogged(tx, limit=BATCH)
            if found:
                try:
                    await asyncio.to_thread(_append, self.erasure_log, found)
                except OSError as error:  # which the database would take for a failure of its own
                    raise ErasureLogUnwritable(f"{self.erasure_log}: {error}") from error
                await erasures.mark_logged(tx, [each.user_id for each in found])
        return len(found)


async def _all(step: Callable[[], Awaitable[int]]) -> int:
    """Until a step finds less than it would take."""
    total = 0
    while (count := await step()) > 0:
        total += count
        if count < BATCH:
            break
    return total


def _append(path: Path, found: list[Erasure]) -> None:
    lines = "".join(
        json.dumps({"user_id": str(each.user_id), "erased_at": each.erased_at.isoformat()}) + "\n"
        for each in found
    ).encode()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if _is_cut_short(descriptor):
            lines = b"\n" + lines
        if os.write(descriptor, lines) != len(lines):  # in one call: other workers write here, too
            raise OSError("it took only a part of what was written to it")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_cut_short(descriptor: int) -> bool:
    """By a full disk, or the end of whoever wrote last."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
