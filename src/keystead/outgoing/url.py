"""The URL of a service, judged when Keystead starts: before any name is resolved, and once for all spellings."""

import re
from ipaddress import ip_address

from keystead.outgoing.destination import Address, Destinations, Network

_URL = re.compile(
    r"https?://(?P<host>\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:(?P<port>\d{1,5}))?(/[!\"$-\[\]-~]*)?",
    re.ASCII,
)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"\d+|0[xX][0-9A-Fa-f]*", re.ASCII)
_LOCALHOST = ip_address("127.0.0.1")
_EXAMPLE = "write it like https://service.example.com/keystead"


def find_fault(url: str, allowed: tuple[Network, ...], *, allowed_by: str) -> str | None:
    """What is wrong with it; `allowed_by` is the setting that has the networks.

    A name may still lead to where it must not: that is judged at each connection.
    """
    parts = _URL.fullmatch(url)
    if parts is None or len(url) > 2048 or int(parts["port"] or 443) not in range(1, 65536):
        return f"is no address: {_EXAMPLE}, without a user or a fragment"
    host, in_the_clear = parts["host"], url.startswith("http://")
    address = _address_of(host)
    if address is None and not _is_name(host):
        return f"has no host that can be called: {_EXAMPLE}"
    if in_the_clear and not allowed:
        return "is not https://: what it is told could be read, and its answer forged, on the way"
    if address is not None and not Destinations(allowed, includes_public=not in_the_clear).admits(address):
        return f"leads to {address}, where calls go only if {allowed_by} has its network"
    return None


def _address_of(host: str) -> Address | None:
    if host.lower() == "localhost":
        return _LOCALHOST
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """Not `2130706433`, `0x7f.1` or `127.1`, addresses to a resolver, nor `localhost.`, which is in no certificate."""
    labels = host.split(".")
    return all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])
