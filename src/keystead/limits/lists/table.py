"""The table in which a worker looks addresses up: the narrowest network around one, in a microsecond."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from keystead.limits.lists.types import ListedNetwork, Verdict

_BITS = {4: 32, 6: 128}


@dataclass(slots=True)
class _Node:
    """An entry, and the next one to decide where it has ended."""

    verdict: Verdict
    last: int
    ends: float
    around: "_Node | None"


class NetworkTable:
    """Networks lie within one another or apart: laid out once as ranges, each with the entry that decides there.

    However many entries there are, and of however many widths, an address is found by one bisection.
    """

    def __init__(self, entries: Iterable[ListedNetwork]) -> None:
        entries = tuple(entries)
        self._ranges = {
            bits // 8: _lay_out(each for each in entries if each.network.version == version)
            for version, bits in _BITS.items()
        }

    def find(self, packed: bytes, now: float) -> Verdict:
        """Of an address, at a time (of POSIX)."""
        starts, nodes = self._ranges[len(packed)]
        node = nodes[bisect_right(starts, int.from_bytes(packed, "big")) - 1]
        while node is not None:
            if now < node.ends:
                return node.verdict
            node = node.around
        return Verdict.NEITHER


def _lay_out(entries: Iterable[ListedNetwork]) -> tuple[list[int], list[_Node | None]]:
    """Where each range starts, and what decides in it."""
    starts: list[int] = [0]
    nodes: list[_Node | None] = [None]
    open_nodes: list[_Node] = []

    def start(first: int, node: _Node | None) -> None:
        if starts[-1] == first:
            nodes[-1] = node
        else:
            starts.append(first)
            nodes.append(node)

    def close() -> None:
        last = open_nodes.pop().last
        start(last + 1, open_nodes[-1] if open_nodes else None)

    for each in sorted(entries, key=lambda each: (int(each.network.network_address), each.weight)):
        first = int(each.network.network_address)
        while open_nodes and open_nodes[-1].last < first:
            close()
        ends = inf if each.expires_at is None else each.expires_at.timestamp()
        node = _Node(
            each.verdict,
            last=int(each.network.broadcast_address),
            ends=ends,
            around=open_nodes[-1] if open_nodes else None,
        )
        start(first, node)
        open_nodes.append(node)
    while open_nodes:
        close()
    return starts, nodes
