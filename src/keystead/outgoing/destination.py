"""Which addresses a call may reach: a name is resolved once, and every address of it judged."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# IANA's registries of special-purpose addresses, written out: what Python's `is_global` says differs between its
# releases and has holes for us. Azure's metadata service is at 168.63.129.16, Oracle's at 192.0.0.192.
_SPECIAL_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_UNICAST_6 = IPv6Network("2000::/3")  # all that IANA gives out; whatever else there is leads elsewhere
_SPECIAL_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # of protocols, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries any IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: how a network without IPv4 reaches the rest of the world
_LAST_32_BITS = (1 << 32) - 1


class AddressForbidden(Exception):
    """A name that leads, at least in part, to where no call must go."""


async def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver; also of what only looks like a name, as `2130706433` does."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: Address) -> bool:
    """Whether it is an address of the open internet. One that carries another is what it carries, or is not."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & _LAST_32_BITS))
    return address in _UNICAST_6 and not any(address in network for network in _SPECIAL_6)


@dataclass(frozen=True, slots=True)
class Destinations:
    """The networks that are allowed though private, and, unless the call is in the clear, all that is public."""

    allowed: tuple[Network, ...] = ()
    includes_public: bool = True
    resolve: Resolve = resolve

    async def choose(self, host: str, port: int) -> list[Address]:
        """The addresses to try. Raises AddressForbidden if any of the name's addresses is one to keep away from."""
        found = [ip_address(text.partition("%")[0]) for text in await self.resolve(host, port)]
        if not found or not all(map(self.admits, found)):
            raise AddressForbidden(f"{host} leads to an address where this call may not go")
        return list(dict.fromkeys(found))

    def admits(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        judged = mapped or address
        return (self.includes_public and is_public(address)) or any(
            judged.version == network.version and judged in network for network in self.allowed
        )
