"""Networks: which addresses count as one, so that nobody has more of them than they pay for."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

Network = IPv4Network | IPv6Network

WIDTHS_4 = (32, 24)
WIDTHS_6 = (64, 56, 48)  # a household, a site, a customer: whoever has one address of a /64 has all of them
_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_WIDTH = 96
_CACHED = 4096
_WRITTEN = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/(?:0|[1-9][0-9]{0,2}))?", re.ASCII)


class NetworkFault(ValueError):
    """Why a text is no network: a stable code, and a sentence that names the mend."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def network_of(address: str) -> str:
    """The narrowest network that one party surely holds: an IPv4 address, or an IPv6 /64.

    What is no address (the peer of a Unix socket) is a network of its own.
    """
    return tiers(address)[0]


@lru_cache(maxsize=_CACHED)
def tiers(address: str) -> tuple[str, ...]:
    """The networks that the address is in, narrowest first: IPv4 itself and /24; IPv6 /64, /56 and /48."""
    packed = pack(address)
    if packed is None:
        return (address,)
    if len(packed) == 4:
        return (inet_ntop(AF_INET, packed), *(_network(packed, width) for width in WIDTHS_4[1:]))
    return tuple(_network(packed, width) for width in WIDTHS_6)


def pack(address: str) -> bytes | None:
    """4 or 16 bytes; an IPv4 address that is written as an IPv6 one is an IPv4 address. None for what is none.

    The zone of a link-local address is the name of one of our own interfaces, and counts for nothing.
    """
    address, _, _ = address.partition("%")
    try:
        if ":" not in address:
            return inet_pton(AF_INET, address)
        packed = inet_pton(AF_INET6, address)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def read_network(text: str) -> Network:
    """A network in CIDR notation, or one address; IPv4 that is written as IPv6 is IPv4. Raises NetworkFault."""
    if _WRITTEN.fullmatch(text):
        try:
            return _fold(ip_network(text))
        except ValueError:
            pass
        try:
            meant = _fold(ip_network(text, strict=False))
        except ValueError:
            pass
        else:
            raise NetworkFault(
                "host_bits_set", f"{text} is an address within a network. The network is {meant}."
            )
    raise NetworkFault(
        "network_invalid", "This is no network: write it like 203.0.113.0/24 or 2001:db8::/48."
    )


def _fold(network: Network) -> Network:
    packed = network.network_address.packed
    if network.version == 6 and network.prefixlen >= _MAPPED_WIDTH and packed.startswith(_MAPPED):
        return IPv4Network((packed[12:], network.prefixlen - _MAPPED_WIDTH))
    return network


def _network(packed: bytes, width: int) -> str:
    kept = width // 8
    family = AF_INET if len(packed) == 4 else AF_INET6
    return f"{inet_ntop(family, packed[:kept] + bytes(len(packed) - kept))}/{width}"
