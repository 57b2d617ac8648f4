"""The signing keys as one process holds them: read again every few seconds, and when one is unknown."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Never

import structlog

from keystead.jwt import store
from keystead.jwt.keys import unwrap_key
from keystead.jwt.types import REFRESH_INTERVAL, KeyRecord, KeyState, PublicKey, SigningKey
from keystead.kernel.db import Database
from keystead.kernel.errors import Unavailable
from keystead.kernel.fresh_copy import FreshCopy
from keystead.vault import Unreadable, Vault

log = structlog.get_logger("jwt")

# What may verify: also the next key, for a verifier whose clock is behind the signer's.
_PUBLISHED = frozenset({KeyState.NEXT, KeyState.ACTIVE, KeyState.RETIRING})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


class NoSigningKey(Unavailable):
    """No key is active, so nothing can be signed."""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key in memory, with the times that decide its state."""

    record: KeyRecord
    signing: SigningKey
    public: PublicKey


@dataclass(frozen=True, slots=True)
class LoadKeys:
    """Reads the live keys from the database. Those in `held` are not unwrapped again."""

    db: Database
    vault: Vault

    async def __call__(self, held: Mapping[str, HeldKey]) -> tuple[HeldKey, ...]:
        history = await store.load_history(self.db)
        live = [record for record in history.keys if record.state(history.now) in _PUBLISHED]
        fresh = {record.kid for record in live} - held.keys()
        wrapped = await store.load_wrapped(self.db, fresh) if fresh else {}
        keys = []
        for record in live:
            if record.kid in held:
                keys.append(replace(held[record.kid], record=record))
            elif (opened := self._open(record, wrapped[record.kid])) is not None:
                keys.append(opened)
        return tuple(keys)

    def _open(self, record: KeyRecord, wrapped: bytes) -> HeldKey | None:
        try:
            signing = unwrap_key(self.vault, wrapped, kid=record.kid, algorithm=record.algorithm)
            return HeldKey(record, signing, signing.public())
        except (Unreadable, TypeError, ValueError):
            # One damaged or forged row must not keep the process from learning about the others.
            log.exception("signing_key.unusable", kid=record.kid)
            return None


class Keyring:
    """Answers from memory, by the time that it is given: a key's turn comes with nobody doing anything."""

    def __init__(self, load: Callable[[Mapping[str, HeldKey]], Awaitable[tuple[HeldKey, ...]]]) -> None:
        self._load = load
        self._held: Mapping[str, HeldKey] = {}
        self._published: Mapping[str, PublicKey] = MappingProxyType({})
        self._published_until = _LONG_AGO
        self._copy = FreshCopy("signing keys", self.refresh, every=REFRESH_INTERVAL)

    async def refresh(self) -> None:
        """Read the keys. Raises DatabaseUnavailable, and then holds what it held before."""
        self._held = {key.record.kid: key for key in await self._load(self._held)}
        self._published_until = _LONG_AGO

    async def keep_fresh(self) -> Never:
        """Refresh for ever, whatever fails: resource servers go on too."""
        await self._copy.keep_fresh()

    async def look_again(self) -> bool:
        """Refresh because a token names a key that is unknown here; whether that was tried."""
        return await self._copy.look_again()

    def current(self, now: datetime) -> SigningKey:
        """The key that signs at `now`, which is the database's time. Raises NoSigningKey."""
        for key in self._held.values():
            if key.record.state(now) is KeyState.ACTIVE:
                return key.signing
        raise NoSigningKey

    def public_keys(self, now: datetime) -> Mapping[str, PublicKey]:
        """The keys that verify at `now`, by id: they are published too. The same object until changed."""
        if now >= self._published_until:
            self._publish(now)
        return self._published

    def _publish(self, now: datetime) -> None:
        published = {
            kid: key.public for kid, key in self._held.items() if key.record.state(now) in _PUBLISHED
        }
        if published != self._published:
            self._published = MappingProxyType(published)
        retirements = (self._held[kid].record.retired_at for kid in published)
        self._published_until = min((at for at in retirements if at is not None), default=_NEVER)
