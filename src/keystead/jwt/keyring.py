"""The signing keys as one process holds them: read again every few seconds, and when one is unknown."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from types import MappingProxyType
from typing import Never

import structlog

from keystead.jwt import store
from keystead.jwt.keys import unwrap_key
from keystead.jwt.types import REFRESH_INTERVAL, KeyRecord, KeyState, PublicKey, SigningKey
from keystead.kernel.db import Database
from keystead.kernel.errors import Unavailable
from keystead.vault import Unreadable, Vault

log = structlog.get_logger("jwt")

LOOK_AGAIN_INTERVAL = timedelta(seconds=2)

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
        self._look_again_from = 0.0
        self._flight: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read the keys. Raises DatabaseUnavailable, and then holds what it held before."""
        self._held = {key.record.kid: key for key in await self._load(self._held)}
        self._published_until = _LONG_AGO

    async def keep_fresh(self) -> Never:
        """Refresh for ever. A failure is logged and the keys stay as they are: resource servers go on too."""
        while True:
            await asyncio.sleep(REFRESH_INTERVAL.total_seconds())
            await self._join_flight()

    async def look_again(self) -> bool:
        """Refresh because a token names a key that is unknown here; whether that was tried.

        One refresh at a time, however many ask, and none within two seconds of the last that was asked for.
        """
        if self._flight is None:
            if monotonic() < self._look_again_from:
                return False
            self._look_again_from = monotonic() + LOOK_AGAIN_INTERVAL.total_seconds()
        await self._join_flight()
        return True

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

    async def _join_flight(self) -> None:
        """The one refresh that is under way: of two, the slower could bring back what the faster saw revoked."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._try_to_refresh())
            self._flight.add_done_callback(self._land)
        await asyncio.shield(self._flight)  # one request that goes away does not stop the others' refresh

    async def _try_to_refresh(self) -> None:
        try:
            await self.refresh()
        except Unavailable:
            log.warning("keyring.not_refreshed")
        except Exception:
            log.exception("keyring.refresh_broke")

    def _land(self, _flight: "asyncio.Task[None]") -> None:
        self._flight = None
