"""The client's address, as far as trusted proxies vouch for it."""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import islice
from socket import AF_INET, AF_INET6, inet_ntop

from keystead.limits.networks import pack

Network = IPv4Network | IPv6Network

MAX_HOPS = 32
MAX_HOP_LENGTH = 1024  # of one proxy's words; an address with its port has 47 characters

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_PAIR = re.compile(
    rf"[ \t]*(?P<name>{_TOKEN}+)=(?:(?P<token>{_TOKEN}+)|\"(?P<quoted>(?:[^\"\\]|\\.)*)\")[ \t]*(?:;|$)",
    re.ASCII,
)
_ESCAPED = re.compile(r"\\(.)")


class ForwardedBy(StrEnum):
    """The header in which proxies say for whom they ask."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"  # RFC 7239


class TrustedProxies:
    """Networks whose word on a client's address counts, and the one header that they write.

    The other header means nothing, whatever it says: it comes from whoever asks, through proxies that do not know it.
    """

    def __init__(self, networks: tuple[str, ...], header: ForwardedBy = ForwardedBy.X_FORWARDED_FOR) -> None:
        """Raises ValueError for what is no network."""
        self.header = header.value
        self._read = _READERS[header]
        self._networks: tuple[Network, ...] = tuple(ip_network(text, strict=False) for text in networks)

    def client(self, peer: str, forwarded: str) -> str:
        """The nearest hop that is no trusted proxy, going back from the peer through the header.

        A hop that is no address (one that is hidden or unknown, too, or an IPv6 address with a zone) ends the walk at
        the proxy that reported it: what cannot be read is not believed. So does the MAX_HOPS-th. Never raises.
        """
        client = pack(peer)
        if client is None:  # a Unix socket has no address
            return peer
        if forwarded and self._networks:
            hops = islice(self._read(forwarded), MAX_HOPS)
            while self._trusts(client) and (hop := next(hops, None)) is not None:
                client = hop
        return inet_ntop(AF_INET if len(client) == 4 else AF_INET6, client)

    def _trusts(self, packed: bytes) -> bool:
        address = ip_address(packed)
        return any(address in network for network in self._networks if network.version == address.version)


def _read_x_forwarded_for(text: str) -> Iterator[bytes | None]:
    """From the nearest hop to the farthest."""
    for hop in reversed(text.rsplit(",", MAX_HOPS)):
        yield _read_hop(hop.strip(" \t"), allows_bare_ipv6=True)


def _read_forwarded(text: str) -> Iterator[bytes | None]:
    """From the nearest hop to the farthest.

    Read backwards: what stands before a proxy's words, which anybody may have written (a quote that is never closed,
    say), must not change how they are read.
    """
    end, is_quoted = len(text), False
    for mark in range(len(text) - 1, -1, -1):
        if end - mark > MAX_HOP_LENGTH:
            yield None
        if text[mark] == '"' and not _is_escaped(text, mark):
            is_quoted = not is_quoted
        elif text[mark] == "," and not is_quoted:
            yield _read_element(text[mark + 1 : end])
            end = mark
    yield _read_element(text[:end])


def _is_escaped(text: str, mark: int) -> bool:
    before = text[max(0, mark - MAX_HOP_LENGTH) : mark]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _read_element(text: str) -> bytes | None:
    """Its one `for`, which may stand among other pairs."""
    values, position = [], 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None:
            return None
        if pair["name"].lower() == "for":
            values.append(pair["token"] or _ESCAPED.sub(r"\1", pair["quoted"] or ""))
        position = pair.end()
    return _read_hop(values[0], allows_bare_ipv6=False) if len(values) == 1 else None


def _read_hop(text: str, *, allows_bare_ipv6: bool) -> bytes | None:
    """Without the port."""
    if len(text) > MAX_HOP_LENGTH or "%" in text:
        return None
    if (match := _WITH_PORT.fullmatch(text)) is not None:
        return pack(match[1] or match[2])
    return pack(text) if allows_bare_ipv6 else None


_READERS: dict[ForwardedBy, Callable[[str], Iterator[bytes | None]]] = {
    ForwardedBy.X_FORWARDED_FOR: _read_x_forwarded_for,
    ForwardedBy.FORWARDED: _read_forwarded,
}
