"""A writer of MaxMind's file format (version 2.0 of its specification), for a handful of networks."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

_MARKER = b"\xab\xcd\xefMaxMind.com"
_RECORD_BITS = 24


def write_places(path: Path, networks: dict[str, Any], *, ip_version: int = 6) -> None:
    """What each network's record is. IPv4 networks stand where a file for IPv6 has them: in ::/96."""
    data, offsets = b"", {}
    for text, record in networks.items():
        offsets[text] = len(data)
        data += _encode(record)
    tree = _grow(offsets, ip_version)
    nodes = bytearray()
    for node in tree:
        for branch in node:
            value = len(tree) if branch is None else branch
            if isinstance(branch, str):
                value = len(tree) + 16 + offsets[branch]
            nodes += value.to_bytes(_RECORD_BITS // 8, "big")
    metadata = {
        "node_count": len(tree),
        "record_size": _RECORD_BITS,
        "ip_version": ip_version,
        "database_type": "Tests",
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_900_000_000,
        "description": {"en": "For tests"},
    }
    path.write_bytes(bytes(nodes) + bytes(16) + data + _MARKER + _encode(metadata))


def _grow(networks: dict[str, int], ip_version: int) -> list[list[Any]]:
    """A node has two branches: the number of another node, a network, or None."""
    tree: list[list[Any]] = [[None, None]]
    for text in networks:
        network = ip_network(text)
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
        if network.version == 4 and ip_version == 6:
            bits = "0" * 96 + bits
        node = 0
        for bit in map(int, bits[:-1]):
            if tree[node][bit] is None:
                tree.append([None, None])
                tree[node][bit] = len(tree) - 1
            node = tree[node][bit]
        tree[node][int(bits[-1])] = text
    return tree


def _encode(value: Any) -> bytes:
    match value:
        case str():
            return _control(2, len(value.encode())) + value.encode()
        case int():
            packed = value.to_bytes((value.bit_length() + 7) // 8, "big")
            return _control(6 if len(packed) <= 4 else 9, len(packed)) + packed
        case dict():
            pairs = (_encode(key) + _encode(member) for key, member in value.items())
            return _control(7, len(value)) + b"".join(pairs)
        case list():
            return _control(11, len(value)) + b"".join(map(_encode, value))
        case _:
            raise TypeError(type(value))


def _control(kind: int, size: int) -> bytes:
    """The types above 7 stand in a byte of their own."""
    length = bytes([size]) if size < 29 else bytes([29, size - 29])
    if kind <= 7:
        return bytes([kind << 5 | length[0]]) + length[1:]
    return bytes([length[0], kind - 7]) + length[1:]
