"""The verbs over signing keys: one at the start of every process, the rest for operators."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from keystead.jwt import store
from keystead.jwt.keys import generate_key, wrap_key
from keystead.jwt.store import KeyHistory, NewKey
from keystead.jwt.types import PUBLISH_LEAD, KeyRecord, KeySpec
from keystead.kernel.db import Database, Runner
from keystead.kernel.errors import Refusal
from keystead.vault import Vault


class UnknownSigningKey(Refusal):
    """No signing key has that id."""

    code = "signing_key_unknown"
    message = "No signing key has that id: `keystead keys list` shows them."


class KeyChange(StrEnum):
    ADDED = "added"
    REVOKED = "revoked"


# Writes a change to the trail in the transaction that makes it.
RecordChange = Callable[[Runner, KeyChange, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AddKeys:
    """Adds keys of one kind. What the other verbs are built on."""

    db: Database
    vault: Vault
    spec: KeySpec
    record: RecordChange

    async def make(self) -> NewKey:
        """A key of the kind, not stored yet."""
        key = await asyncio.to_thread(generate_key, self.spec)
        return NewKey(key.kid, self.spec, wrap_key(self.vault, key))

    async def add(self, tx: Runner, new: NewKey, *, after: KeyHistory) -> bool:
        """False where a key was added since `after` was read: read again and think again.

        The new key waits until everybody knows it, except where no key is active that could sign meanwhile.
        """
        lead = PUBLISH_LEAD if after.active else timedelta(0)
        if not await store.add(tx, new, number=after.next_number, lead=lead):
            return False
        await self.record(tx, KeyChange.ADDED, new.kid)
        return True

    async def obtain(self, find: Callable[[KeyHistory], KeyRecord | None]) -> KeyRecord:
        """The key that `find` picks; where it picks none, one is added first."""
        if found := find(await store.load_history(self.db)):
            return found
        new = await self.make()
        while True:
            history = await store.load_history(self.db)
            if found := history.find(new.kid) or find(history):
                return found
            async with self.db.begin() as tx:
                await self.add(tx, new, after=history)


@dataclass(frozen=True, slots=True)
class EnsureKey:
    """At the start of every process: there is a key, and the latest is of the kind that the settings ask for.

    The first key of an installation is active at once. After a change of `auth.signing_algorithm` or
    `auth.rsa_bits`, the next key is added as by a rotation, so tokens of the old one stay valid. Processes
    that start together add one key, not one each. Processes with different settings each add theirs: roll a
    change out to all of them.
    """

    keys: AddKeys

    async def __call__(self) -> KeyRecord:
        return await self.keys.obtain(self._latest_if_it_suits)

    def _latest_if_it_suits(self, history: KeyHistory) -> KeyRecord | None:
        latest = history.upcoming or history.active
        return latest if latest and latest.spec == self.keys.spec else None


@dataclass(frozen=True, slots=True)
class RotateKeys:
    """Adds the next key, which becomes active once everybody knows it.

    Safe to repeat: while a key of the right kind waits for its turn, it is answered and none is added.
    """

    keys: AddKeys

    async def __call__(self) -> KeyRecord:
        return await self.keys.obtain(self._waiting_one)

    def _waiting_one(self, history: KeyHistory) -> KeyRecord | None:
        waiting = history.upcoming
        return waiting if waiting and waiting.spec == self.keys.spec else None


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """For a key that has leaked. Where no key is left that could sign, a new one is active at once.

    Its tokens are refused by every process of ours within one refresh interval (10 s), and by verifiers
    elsewhere once they read the key set again (30 s more). Revoking twice is no error.

    Raises UnknownSigningKey.
    """

    keys: AddKeys

    async def __call__(self, kid: str) -> None:
        if (await store.load_history(self.keys.db)).find(kid) is None:
            raise UnknownSigningKey
        replacement = await self.keys.make()  # before the transaction, needed or not: it is slow
        async with self.keys.db.begin() as tx:
            if await store.revoke(tx, kid):
                await self.keys.record(tx, KeyChange.REVOKED, kid)
            while (history := await store.load_history(tx)).active is None:
                await self.keys.add(tx, replacement, after=history)


@dataclass(frozen=True, slots=True)
class ListKeys:
    """Every key there ever was; `key.state(history.now)` is its state."""

    db: Database

    async def __call__(self) -> KeyHistory:
        return await store.load_history(self.db)
