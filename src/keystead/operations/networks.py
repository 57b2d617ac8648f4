"""The lists of networks, as administrators and operators change them."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import ClassVar
from uuid import UUID

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Actor, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.kernel.ids import new_uuid
from keystead.limits.lists import store
from keystead.limits.lists.book import Networks
from keystead.limits.lists.types import (
    LEAST_WIDTH,
    MAX_BECAUSE_LENGTH,
    MAX_STORED,
    ListedNetwork,
    NetworkConfigured,
    NetworkNotFound,
    OwnNetwork,
    TooManyNetworks,
    Verdict,
)
from keystead.limits.networks import Network, NetworkFault, pack, read_network
from keystead.vault import Cursors, Page, PageWanted

MAX_LIFETIME = timedelta(days=3650)
_CURSOR = "networks"
_EVENTS = {Verdict.ALLOWED: EventName.NETWORK_ALLOWED, Verdict.DENIED: EventName.NETWORK_DENIED}


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """What is to be listed, as it was written. Without `lifetime` it is for good."""

    network: str
    verdict: Verdict
    because: str = ""
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ListNetworks:
    """What has not ended: that of the configuration first, then by network. Raises InvalidInput for a cursor."""

    networks: Networks
    cursors: Cursors
    requires: ClassVar = Permission.NETWORKS_READ
    refuses: ClassVar = (InvalidInput,)

    async def __call__(self, caller: Actor, wanted: PageWanted) -> Page[ListedNetwork]:
        caller.require(self.requires)
        await self.networks.refresh()
        entries = sorted(self.networks.entries, key=_place)
        start = 0
        if wanted.cursor:
            network, verdict, source = self.cursors.open(_CURSOR, wanted.cursor)
            after = ListedNetwork(ip_network(network), Verdict(verdict), id=UUID(source) if source else None)
            start = bisect_right(entries, _place(after), key=_place)
        items = entries[start : start + wanted.limit]
        more = start + wanted.limit < len(entries)
        return Page(items, self.cursors.seal(_CURSOR, *_position(items[-1])) if more else None)


@dataclass(frozen=True, slots=True)
class AddNetwork:
    """Lists a network. One that is in the same list already is renewed: reason and end are then the new ones.

    Whether it is new stands beside it. `address` is where the caller calls from; None: from the machine itself.
    Raises InvalidInput, NetworkConfigured, OwnNetwork, TooManyNetworks, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    networks: Networks
    requires: ClassVar = Permission.NETWORKS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (
        InvalidInput,
        NetworkConfigured,
        OwnNetwork,
        TooManyNetworks,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(
        self, caller: Actor, new: NewNetwork, *, address: str | None
    ) -> tuple[ListedNetwork, bool]:
        caller.require(self.requires)
        caller.require_fresh()
        network = _check(new)
        if self.networks.is_configured(network):
            raise NetworkConfigured
        new_id = new_uuid()
        async with self.db.begin() as tx:
            await store.lock(tx)
            await store.sweep(tx, older_than=timedelta(0), limit=MAX_STORED)
            added = await store.add(
                tx,
                new_id,
                network,
                new.verdict,
                because=new.because,
                by=caller.user_id,
                lifetime=new.lifetime,
            )
            if await store.count(tx) > MAX_STORED:
                raise TooManyNetworks(max_networks=MAX_STORED)
            await _require_open(tx, self.networks, address)
            await _record(tx, caller, _EVENTS[new.verdict], added)
        await self.networks.refresh()
        return added, added.id == new_id


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    """Raises NetworkNotFound, OwnNetwork (where only this entry lets the caller in), PermissionMissing,
    ReauthenticationRequired."""

    db: Database
    networks: Networks
    requires: ClassVar = Permission.NETWORKS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (NetworkNotFound, OwnNetwork, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Actor, network_id: UUID, *, address: str | None) -> None:
        caller.require(self.requires)
        caller.require_fresh()
        async with self.db.begin() as tx:
            await store.lock(tx)
            removed = await store.remove(tx, network_id)
            if removed is None:
                raise NetworkNotFound
            await _require_open(tx, self.networks, address)
            await _record(tx, caller, EventName.NETWORK_REMOVED, removed)
        await self.networks.refresh()

    async def by_network(self, caller: Actor, text: str) -> list[ListedNetwork]:
        """From both lists, for who knows the network only, and calls from the machine itself.

        Raises InvalidInput and NetworkConfigured, too.
        """
        caller.require(self.requires)
        caller.require_fresh()
        network = _read(text)
        async with self.db.begin() as tx:
            await store.lock(tx)
            removed = await store.remove_network(tx, network)
            for each in removed:
                await _record(tx, caller, EventName.NETWORK_REMOVED, each)
        await self.networks.refresh()
        if not removed:
            raise NetworkConfigured if self.networks.is_configured(network) else NetworkNotFound
        return removed


def _check(new: NewNetwork) -> Network:
    """Raises InvalidInput with every bad field."""
    complaints = Complaints()
    with complaints.noted():
        network = _read(new.network)
        if network.prefixlen < (least := LEAST_WIDTH[network.version]):
            message = f"Networks wider than /{least} are listed in the configuration only."
            raise InvalidInput(FieldError("/network", "network_too_wide", message))
    with complaints.noted():
        if len(new.because) > MAX_BECAUSE_LENGTH or not new.because.isprintable():
            message = f"Use at most {MAX_BECAUSE_LENGTH} characters that print, on one line."
            raise InvalidInput(FieldError("/because", "because_invalid", message))
    with complaints.noted():
        if new.lifetime is not None and not timedelta(0) < new.lifetime <= MAX_LIFETIME:
            message = f"A time of at most {MAX_LIFETIME.days} days, or none: for good."
            raise InvalidInput(FieldError("/ttl_secs", "ttl_invalid", message))
    complaints.raise_any()
    return network


def _read(text: str) -> Network:
    try:
        return read_network(text)
    except NetworkFault as fault:
        raise InvalidInput(FieldError("/network", fault.code, fault.message)) from fault


async def _require_open(tx: Tx, networks: Networks, address: str | None) -> None:
    """As the lists are now, in this transaction: whoever changed them must still get in. Raises OwnNetwork."""
    if address is None or pack(address) is None:
        return
    around = [*await store.list_around(tx, address), *networks.configured_around(address)]
    if around and max(around, key=lambda each: each.weight).verdict is Verdict.DENIED:
        raise OwnNetwork(address=address)


def _place(entry: ListedNetwork) -> tuple[bool, int, int, int, str]:
    network = entry.network
    first = int(network.network_address)
    return not entry.is_configured, network.version, first, network.prefixlen, entry.verdict.value


def _position(entry: ListedNetwork) -> Iterable[str]:
    return str(entry.network), entry.verdict.value, "" if entry.id is None else str(entry.id)


async def _record(tx: Tx, caller: Actor, event: EventName, entry: ListedNetwork) -> None:
    detail: dict[str, str | int | bool] = {"network": str(entry.network), "verdict": entry.verdict.value}
    if entry.because:
        detail["because"] = entry.because
    if entry.expires_at is not None:
        detail["expires_at"] = entry.expires_at.isoformat()
    await trail.record(
        tx, Event(event, actor_id=caller.user_id, session_id=caller.credential_id, detail=detail)
    )
