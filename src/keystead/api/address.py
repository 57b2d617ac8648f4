"""The client's address, as far as trusted proxies vouch for it."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class TrustedProxies:
    """Networks whose word on a client's address counts."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        """Raises ValueError for what is no network."""
        self._networks: tuple[Network, ...] = tuple(ip_network(text, strict=False) for text in networks)

    def client(self, peer: str, forwarded_for: str) -> str:
        """The nearest hop that is no trusted proxy, going back from the peer through `X-Forwarded-For`.

        An entry that is no address ends the walk at the hop that reported it: what cannot be read is not believed.
        """
        if not self._networks:
            return peer
        client = _parse(peer)
        if client is None:  # a Unix socket has no address
            return peer
        hops = [hop.strip() for hop in forwarded_for.split(",")] if forwarded_for else []
        while hops and self._trusts(client):
            hop = _parse(hops.pop())
            if hop is None:
                break
            client = hop
        return str(client)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks if network.version == address.version)


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
