"""Which addresses a hook may reach: a name is resolved once, every address judged, and a judged one connected to."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream, ConnectError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215
_LAST_32_BITS = (1 << 32) - 1


class AddressForbidden(Exception):
    """A name that leads, at least in part, to where a hook must not go."""


async def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver; also of what only looks like a name, as `2130706433` does."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: Address) -> bool:
    """Whether it is an address of the open internet, whatever form it is written in."""
    if any(not is_public(inner) for inner in _inside(address)):
        return False
    if isinstance(address, IPv6Address) and address in _NAT64_LOCAL:
        return False
    return address.is_global and not address.is_multicast


def _inside(address: Address) -> Iterable[IPv4Address]:
    """IPv4 addresses that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield IPv4Address(int(address) & _LAST_32_BITS)


@dataclass(frozen=True, slots=True)
class Destinations:
    """Public addresses, and the networks that are allowed though private."""

    allowed: tuple[Network, ...] = ()
    resolve: Resolve = resolve

    async def choose(self, host: str, port: int) -> str:
        """An address to connect to. Raises AddressForbidden if any of the name's addresses is one to keep away from."""
        addresses = [ip_address(text.partition("%")[0]) for text in await self.resolve(host, port)]
        if not addresses or not all(map(self.admits, addresses)):
            raise AddressForbidden(f"{host} leads to an address that is not public")
        return str(addresses[0])

    def admits(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        judged = mapped or address
        return is_public(address) or any(
            judged.version == network.version and judged in network for network in self.allowed
        )


class GuardedBackend(AsyncNetworkBackend):
    """Connects to the address that was judged, so that no second look-up can lead elsewhere; TLS is for the name."""

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations
        self._inner = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class's
        local_address: str | None = None,
        socket_options: Iterable[object] | None = None,
    ) -> AsyncNetworkStream:
        try:
            address = await self._destinations.choose(host, port)
        except OSError as error:
            raise ConnectError(str(error)) from error
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)  # type: ignore[arg-type]

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
