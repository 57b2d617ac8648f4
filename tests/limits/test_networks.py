"""Which addresses share a key."""

import random
from ipaddress import IPv6Address, IPv6Network
from itertools import pairwise

import pytest

from keystead.limits.networks import NetworkFault, network_of, read_network, tiers

SIXTY_FOUR = IPv6Network("2001:db8:1:2::/64")


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("203.0.113.9", ("203.0.113.9", "203.0.113.0/24")),
        ("::ffff:203.0.113.9", ("203.0.113.9", "203.0.113.0/24")),
        ("::FFFF:CB00:7109", ("203.0.113.9", "203.0.113.0/24")),
        ("2001:db8:1:2ff:3:4:5:6", ("2001:db8:1:2ff::/64", "2001:db8:1:200::/56", "2001:db8:1::/48")),
        ("2001:DB8:1:2FF::", ("2001:db8:1:2ff::/64", "2001:db8:1:200::/56", "2001:db8:1::/48")),
        ("::1", ("::/64", "::/56", "::/48")),
        ("fe80::1%eth0", ("fe80::/64", "fe80::/56", "fe80::/48")),
    ],
)
def test_the_networks_of_an_address_narrowest_first(address, networks):
    assert tiers(address) == networks
    assert network_of(address) == networks[0]


def test_cve_class_52_ten_thousand_addresses_of_one_64_share_a_key():
    chance = random.Random(52)
    first = int(SIXTY_FOUR.network_address)
    spellings = [IPv6Address(first + chance.getrandbits(64)) for _ in range(10_000)]

    keys = {network_of(text) for address in spellings for text in (str(address), address.exploded.upper())}

    assert keys == {str(SIXTY_FOUR)}


def test_every_network_holds_the_one_before():
    chance = random.Random(7)
    for _ in range(500):
        address = IPv6Address(chance.getrandbits(128))
        networks = [IPv6Network(text) for text in tiers(str(address))]
        assert address in networks[0]
        assert all(narrow.subnet_of(wide) for narrow, wide in pairwise(networks))


@pytest.mark.parametrize(
    "peer", ["unix", "", "a", "1.2.3", "999.1.1.1", "1.2.3.4\0", "x" * 10_000, ":", "1.2.3.4:80"]
)
def test_what_is_no_address_is_a_network_of_its_own(peer):
    assert tiers(peer) == (peer,)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.9", "203.0.113.9/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.9/32"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_is_read_in_each_of_its_spellings(text, network):
    assert str(read_network(text)) == network


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("203.0.113.9/24", "host_bits_set", "203.0.113.0/24"),
        ("2001:db8::1/48", "host_bits_set", "2001:db8::/48"),
        ("::ffff:203.0.113.9/120", "host_bits_set", "203.0.113.0/24"),
        *(
            (text, "network_invalid", "like 203.0.113.0/24")
            for text in (
                *(
                    "",
                    "a",
                    "203.0.113.0/33",
                    "2001:db8::/129",
                    "203.0.113/24",
                    "203.0.113.0/",
                    "/24",
                    "203.0.113.0/-1",
                ),
                *(
                    "203.0.113.0/255.255.255.0",
                    "203.0.113.0/0.0.0.255",
                    "fe80::1%eth0",
                    "fe80::%1/64",
                    " 203.0.113.9",
                ),
                *(
                    "203.0.113.9 ",
                    "203.0.113.0/24/24",
                    "203.0.113.0/024",
                    "203.0.113.\u0660",
                    "1" * 10_000,
                    "\x00",
                ),
                *("[2001:db8::]/32", "203.0.113.1-203.0.113.9", "0x7f.0.0.1", "01.2.3.4"),
            )
        ),
    ],
)
def test_what_is_no_network_is_named_with_its_mend(text, code, word):
    with pytest.raises(NetworkFault) as caught:
        read_network(text)
    assert (caught.value.code, word in caught.value.message) == (code, True)
