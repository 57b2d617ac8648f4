"""The table of networks: whatever lies within whatever, the heaviest entry around an address decides."""

import random
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from math import inf
from uuid import UUID

import pytest

from keystead.limits.lists.table import NetworkTable
from keystead.limits.lists.types import ListedNetwork, Verdict
from keystead.limits.networks import pack

ALLOWED, DENIED, NEITHER = Verdict.ALLOWED, Verdict.DENIED, Verdict.NEITHER
STORED = UUID(int=1)
NOW = datetime(2031, 1, 1, 12, tzinfo=UTC)


def stored(network, verdict, **more):
    return ListedNetwork(ip_network(network), verdict, id=STORED, **more)


def configured(network, verdict):
    return ListedNetwork(ip_network(network), verdict)


def judge(entries, address, now=NOW):
    packed = pack(address)
    assert packed is not None
    return NetworkTable(entries).find(packed, now.timestamp())


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("203.0.113.9", ALLOWED),
        ("203.0.113.8", DENIED),
        ("203.0.113.255", DENIED),
        ("203.0.112.255", NEITHER),
        ("203.0.114.0", NEITHER),
        ("0.0.0.0", NEITHER),
        ("255.255.255.255", DENIED),
        ("2001:db8::", DENIED),
        ("2001:db8:0:ffff:ffff:ffff:ffff:ffff", DENIED),
        ("2001:db8:1::", ALLOWED),
        ("::cb00:7109", NEITHER),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NEITHER),
    ],
)
def test_the_narrowest_network_decides(address, verdict):
    entries = [
        stored("203.0.113.0/24", DENIED),
        stored("203.0.113.9/32", ALLOWED),
        stored("255.255.255.255/32", DENIED),
        stored("2001:db8::/32", ALLOWED),
        stored("2001:db8::/48", DENIED),
    ]
    assert judge(entries, address) == verdict
    assert judge(reversed(entries), address) == verdict


def test_what_allows_beats_what_denies_the_same_network_and_the_configuration_beats_both():
    allow, deny = stored("203.0.113.0/24", ALLOWED), stored("203.0.113.0/24", DENIED)
    for entries in ([allow, deny], [deny, allow]):
        assert judge(entries, "203.0.113.9") is ALLOWED
        assert judge([*entries, configured("203.0.113.0/24", DENIED)], "203.0.113.9") is DENIED
    assert judge([deny, configured("203.0.113.0/24", ALLOWED)], "203.0.113.9") is ALLOWED
    assert judge([configured("203.0.0.0/16", DENIED), allow], "203.0.113.9") is ALLOWED


def test_what_has_ended_counts_no_more_to_the_microsecond_and_what_lies_around_it_decides():
    moment = timedelta(microseconds=1)
    entries = [
        stored("203.0.0.0/16", DENIED),
        stored("203.0.113.0/24", ALLOWED, expires_at=NOW + moment),
        stored("203.0.113.9/32", DENIED, expires_at=NOW),
    ]
    assert judge(entries, "203.0.113.9", NOW - moment) is DENIED
    assert judge(entries, "203.0.113.9", NOW) is ALLOWED
    assert judge(entries, "203.0.113.9", NOW + moment) is DENIED
    assert judge(entries[1:], "203.0.113.9", NOW + moment) is NEITHER


def by_looking_at_each(entries, packed, now):
    address = (IPv4Address if len(packed) == 4 else IPv6Address)(packed)
    around = [
        each
        for each in entries
        if address in each.network and (each.expires_at is None or now < each.expires_at)
    ]
    return max(around, key=lambda each: each.weight).verdict if around else NEITHER


@pytest.mark.parametrize("seed", range(20))
def test_any_lists_say_what_looking_at_each_entry_says(seed):
    chance = random.Random(seed)
    entries = []
    for _ in range(200):
        bits = chance.choice((32, 128))
        width = chance.randrange(bits + 1)
        # Few bits differ, so that networks lie within one another and at the ends of the range.
        number = (chance.getrandbits(6) << (bits - 6)) | chance.getrandbits(3)
        number = number >> (bits - width) << (bits - width)
        make = chance.choice((stored, configured))
        more = (
            {}
            if make is configured
            else {"expires_at": chance.choice((None, NOW, NOW + timedelta(seconds=1)))}
        )
        packed = number.to_bytes(bits // 8, "big")
        entries.append(make((packed, width), chance.choice((ALLOWED, DENIED)), **more))
    table = NetworkTable(entries)
    for _ in range(500):
        bits = chance.choice((32, 128))
        packed = ((chance.getrandbits(6) << (bits - 6)) | chance.getrandbits(3)).to_bytes(bits // 8, "big")
        assert table.find(packed, NOW.timestamp()) == by_looking_at_each(entries, packed, NOW)


def test_an_empty_table_knows_no_address():
    for address in ("0.0.0.0", "255.255.255.255", "::", "2001:db8::1"):
        assert judge([], address) is NEITHER


def test_ten_thousand_entries_are_told_apart():
    chance = random.Random(7)
    numbers = chance.sample(range(1 << 32), 5000)
    entries = [stored(IPv4Address(number), DENIED) for number in numbers]
    entries += [
        stored(IPv6Network((number << 96, 48 + number % 80), strict=False), DENIED) for number in numbers
    ]
    table = NetworkTable(entries)
    taken = set(numbers)
    for number in (*numbers, *(number + 1 for number in numbers if number + 1 < 1 << 32)):
        packed = number.to_bytes(4, "big")
        assert table.find(packed, -inf) is (DENIED if number in taken else NEITHER)
        assert table.find((number << 96).to_bytes(16, "big"), -inf) is (
            DENIED if number in taken else NEITHER
        )
