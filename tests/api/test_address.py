"""The client's address: believed only as far as trusted proxies vouch for it."""

import pytest

from keystead.api.address import TrustedProxies

PROXIES = TrustedProxies(("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("unix", "198.51.100.7", "unix"),
    ],
)
def test_the_nearest_hop_that_is_no_trusted_proxy(peer, forwarded, client):
    assert PROXIES.client(peer, forwarded) == client


@pytest.mark.parametrize(
    "forwarded", ["a", "1.2.3.4, a", "1.2.3.4, ,", "x" * 10_000, "1.2.3.4:80", "\x00", "999.1.1.1"]
)
def test_cve_class_53_what_cannot_be_read_is_not_believed(forwarded):
    assert PROXIES.client("10.0.0.1", forwarded) == "10.0.0.1"


def test_without_trusted_proxies_the_header_means_nothing():
    assert TrustedProxies(()).client("10.0.0.1", "1.2.3.4") == "10.0.0.1"


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="does not appear"):
        TrustedProxies(("somewhere",))
