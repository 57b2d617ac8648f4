"""Countries and networks of addresses, from files that the operator supplies and replaces."""

import os
import random

import pytest
from structlog.testing import capture_logs

from keystead.kernel.errors import CannotStart
from keystead.limits.places import NOWHERE, Place, Places
from tests.support.places_file import write_places

pytestmark = pytest.mark.anyio

COUNTRIES = {
    "203.0.113.0/24": {"country": {"iso_code": "XA"}, "registered_country": {"iso_code": "XC"}},
    "198.51.100.0/25": {"registered_country": {"iso_code": "XB", "names": {"en": "Somewhere " * 20}}},
    "2001:db8::/32": {"country": {"iso_code": "XA"}},
}
NUMBERS = {
    "203.0.113.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"},
    "2001:db8:1::/48": {"autonomous_system_number": 4_200_000_000},
}


@pytest.fixture
def countries(tmp_path):
    write_places(tmp_path / "countries.mmdb", COUNTRIES)
    return tmp_path / "countries.mmdb"


@pytest.fixture
def numbers(tmp_path):
    write_places(tmp_path / "numbers.mmdb", NUMBERS)
    return tmp_path / "numbers.mmdb"


def replace(path, networks):
    """As an updater does."""
    write_places(path.with_suffix(".new"), networks)
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.9", Place("XA", 64496)),
        ("::ffff:203.0.113.9", Place("XA", 64496)),
        ("198.51.100.127", Place("XB", None)),
        ("198.51.100.128", NOWHERE),
        ("2001:db8::1", Place("XA", None)),
        ("2001:db8:1::1", Place("XA", 4_200_000_000)),
        ("2001:db9::1", NOWHERE),
        ("fe80::1%eth0", NOWHERE),
        *((text, NOWHERE) for text in ("unix", "", "a", "999.1.1.1", "\0")),
    ],
)
def test_files_complete_one_another(countries, numbers, address, place):
    for paths in ((countries, numbers), (numbers, countries)):
        assert Places(paths).find(address) == place


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country": "XA", "asn": "AS64496"}, Place("XA", 64496)),
        ({"country_code": "XA", "as_number": "64496"}, Place("XA", 64496)),
        ({"country": {"iso_code": "xa"}, "asn": 0}, NOWHERE),
        ({"country": {"iso_code": 7}, "asn": "AS"}, NOWHERE),
        ({"country": "Somewhere", "asn": {"number": 1}}, NOWHERE),
        ({"autonomous_system_number": 1 << 32}, NOWHERE),
        ({}, NOWHERE),
        ("XA", NOWHERE),
        (["XA"], NOWHERE),
    ],
)
def test_records_of_different_makers_are_read_and_what_makes_no_sense_is_nowhere(tmp_path, record, place):
    write_places(tmp_path / "places.mmdb", {"203.0.113.0/24": record})
    assert Places((tmp_path / "places.mmdb",)).find("203.0.113.9") == place


def test_a_file_for_ipv4_alone_knows_nothing_of_ipv6(tmp_path):
    write_places(tmp_path / "places.mmdb", {"203.0.113.0/24": {"country": "XA"}}, ip_version=4)
    places = Places((tmp_path / "places.mmdb",))
    assert (places.find("203.0.113.9").country, places.find("2001:db8::1")) == ("XA", NOWHERE)


def test_without_files_everything_is_nowhere():
    assert Places(()).find("203.0.113.9") == NOWHERE


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "cannot be read: No such file"),
        (b"", "no whole database"),
        (b"\xab\xcd\xefMaxMind.com", "no whole database"),
        (b"\x00" * 4096, "no whole database"),
        (b'{"country": "XA"}', "no whole database"),
        ("cut", "no whole database"),
        ("folder", "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_missing_or_none_stops_the_start_and_is_named(tmp_path, countries, content, word):
    path = tmp_path / "places.mmdb"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(countries.read_bytes()[200:] if content == "cut" else content)
    with pytest.raises(CannotStart) as caught:
        Places((countries, path))
    assert f"limits.places_files: {path}" in str(caught.value)
    assert word in str(caught.value)


async def test_a_file_that_was_replaced_is_read_again_and_the_other_goes_on(countries, numbers):
    places = Places((countries, numbers))
    assert places.find("203.0.113.9") == Place("XA", 64496)
    replace(countries, {"203.0.113.0/24": {"country": {"iso_code": "XZ"}}})
    assert places.find("203.0.113.9") == Place("XA", 64496)
    await places.refresh()
    assert places.find("203.0.113.9") == Place("XZ", 64496)


@pytest.mark.parametrize("harm", ["gone", "cut", "overwritten"])
async def test_what_can_no_longer_be_read_stays_as_it_was_until_it_can(countries, harm):
    places = Places((countries,))
    whole = countries.read_bytes()
    if harm == "gone":
        countries.unlink()
    else:
        countries.write_bytes(whole[:-40] if harm == "cut" else b"\0" * len(whole))
    with capture_logs() as logs:
        await places.refresh()
    assert [entry["event"] for entry in logs] == ["places.not_refreshed"]
    assert str(countries) in logs[0]["reason"]
    assert places.find("203.0.113.9").country == "XA"
    assert places.find("2001:db8::7").country == "XA"  # not asked before
    replace(countries, {"203.0.113.0/24": {"country": {"iso_code": "XZ"}}})
    await places.refresh()
    assert places.find("203.0.113.9").country == "XZ"


async def test_a_file_that_did_not_change_is_not_read_again(countries):
    places = Places((countries,))
    mark = countries.stat()
    countries.write_bytes(b"\0" * mark.st_size)
    os.utime(countries, ns=(mark.st_atime_ns, mark.st_mtime_ns))
    with capture_logs() as logs:
        await places.refresh()
    assert not logs


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_broken_bytes_stops_the_start_or_tells_some_place_and_never_raises_later(countries, seed):
    chance = random.Random(seed)
    broken = bytearray(countries.read_bytes())
    for _ in range(chance.randrange(1, 30)):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    countries.write_bytes(broken)
    try:
        places = Places((countries,))
    except CannotStart:
        return
    for address in ("203.0.113.9", "198.51.100.1", "2001:db8::1", "::", "255.255.255.255"):
        assert isinstance(places.find(address), Place)
