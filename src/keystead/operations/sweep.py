"""Sweep: what has had its time goes, what an older version left is sealed, and erasures are written to their log."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from keystead.kernel.db import Database
from keystead.notices import store as mails
from keystead.sessions import store as sessions
from keystead.tickets import store as tickets
from keystead.users import erasures, store
from keystead.users.email import parse_email
from keystead.users.erasures import Erasure
from keystead.users.profile import open_user, seal_object
from keystead.vault import Vault

BATCH = 500
KEEP_KEYS = timedelta(hours=24)  # how long a creating request may be repeated


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
                await _all(lambda: sessions.sweep(self.db, older_than=keep.sessions, limit=BATCH)),
                await _all(lambda: tickets.sweep(self.db, older_than=keep.mails, limit=BATCH)),
                await _all(lambda: tickets.sweep_keys(self.db, older_than=KEEP_KEYS, limit=BATCH)),
                await _all(lambda: mails.sweep(self.db, older_than=keep.mails, limit=BATCH)),
                await _all(self._sweep_attempts),
                await _all(self._seal),
                await _all(self._log_erasures),
            ]
        )

    async def _sweep_attempts(self) -> int:
        async with self.db.begin() as tx:
            gone = await store.sweep_pending(tx, older_than=self.retention.attempts, limit=BATCH)
            for user_id in gone:
                await self.vault.shred(tx, user_id)
        return len(gone)

    async def _seal(self) -> int:
        """What version 0.1 stored in the clear or without its index; done once, on an upgrade."""
        async with self.db.begin() as tx:
            found = await store.list_unsealed(tx, limit=BATCH)
            for stored in found:
                data_key = self.vault.open_data_key(stored.id, stored.data_key_wrapped)
                user = open_user(data_key, stored)
                domain = parse_email(user.email).domain
                await store.seal(
                    tx,
                    stored.id,
                    email_domain_index=self.vault.index(domain, purpose="email_domain_index"),
                    preferences_sealed=seal_object(data_key, "preferences", user.preferences),
                )
        return len(found)

    async def _log_erasures(self) -> int:
        """A line is written before it is noted as written: it may stand there twice, and is never missing."""
        if self.erasure_log is None:
            return 0
        async with self.db.begin() as tx:
            found = await erasures.list_unlogged(tx, limit=BATCH)
            if found:
                await asyncio.to_thread(_append, self.erasure_log, found)
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
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, lines.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
