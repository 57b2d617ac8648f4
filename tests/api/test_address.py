"""The client's address: believed only as far as trusted proxies vouch for it."""

import random

import pytest

from keystead.api.address import MAX_HOPS, ForwardedBy, TrustedProxies
from keystead.limits.networks import pack

NETWORKS = ("10.0.0.0/8", "fd00::/8")
PROXIES = TrustedProxies(NETWORKS)
RFC_7239 = TrustedProxies(NETWORKS, ForwardedBy.FORWARDED)


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
        ("10.0.0.1", "2001:DB8:0:0::7", "2001:db8::7"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
        ("unix", "198.51.100.7", "unix"),
    ],
)
def test_the_nearest_hop_that_is_no_trusted_proxy(peer, forwarded, client):
    assert PROXIES.client(peer, forwarded) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("for=198.51.100.7", "198.51.100.7"),
        ("For=198.51.100.7;Proto=https;BY=10.0.0.1", "198.51.100.7"),
        ('proto=https;for="198.51.100.7:4711"', "198.51.100.7"),
        ('for="[2001:db8::7]"', "2001:db8::7"),
        ('for="[2001:DB8::7]:4711";host=id.example', "2001:db8::7"),
        ('for="[::ffff:198.51.100.7]"', "198.51.100.7"),
        (r'for="198\.51.100.7"', "198.51.100.7"),
        ("for=1.1.1.1, for=198.51.100.7", "198.51.100.7"),
        ("for=1.1.1.1,for=198.51.100.7 , for=10.0.0.2", "198.51.100.7"),
        ('for=1.1.1.1, for=198.51.100.7;host="a,b;c"', "198.51.100.7"),
        ("for=_hidden, for=198.51.100.7", "198.51.100.7"),
        ("for=198.51.100.7, for=_hidden", "10.0.0.1"),
        ("for=198.51.100.7, for=unknown, for=10.0.0.2", "10.0.0.2"),
        ('for=198.51.100.7, for="_hidden:_port"', "10.0.0.1"),
    ],
)
def test_the_forwarded_header_by_hop(forwarded, client):
    assert RFC_7239.client("10.0.0.1", forwarded) == client
    assert RFC_7239.client("203.0.113.9", forwarded) == "203.0.113.9"


@pytest.mark.parametrize(
    "planted",
    ['for="', 'for=1.1.1.1;a="', 'for="1.1.1.1', "\\", '"\\', 'a="b, for=1.1.1.1;c="', "," * 10_000],
)
@pytest.mark.parametrize(
    "added", ["for=198.51.100.7", 'for="198.51.100.7:80";by="[::1]"', 'for=198.51.100.7;host="a\\"b,c"']
)
def test_cve_class_52_what_stands_before_a_proxys_words_changes_nothing_about_them(planted, added):
    assert RFC_7239.client("10.0.0.1", f"{planted}, {added}") == "198.51.100.7"


@pytest.mark.parametrize(
    "forwarded",
    [
        *("a", "1.2.3.4, a", "1.2.3.4, ,", "x" * 10_000, "\x00", "999.1.1.1", "1.2.3.4 5.6.7.8", "1.2.3.4:"),
        *(
            "fe80::1%eth0",
            "[fe80::1%25eth0]:80",
            "[1.2.3.4]",
            "[::1",
            "::1]",
            "1.2.3.4:999999",
            "1.2.3.4:80:80",
        ),
        *(
            "0x7f.0.0.1",
            "127.1",
            "2130706433",
            "01.2.3.4",
            "\u0661.2.3.4",
            "unknown",
            "_hidden",
            "for=1.2.3.4",
        ),
    ],
)
def test_cve_class_53_what_cannot_be_read_is_not_believed(forwarded):
    assert PROXIES.client("10.0.0.1", forwarded) == "10.0.0.1"
    assert PROXIES.client("10.0.0.1", f"1.1.1.1, {forwarded}, 10.0.0.2") == "10.0.0.2"


@pytest.mark.parametrize(
    "element",
    [
        *(
            "",
            "a",
            ",",
            "for",
            "for=",
            'for=""',
            "for=a",
            "for==1.2.3.4",
            "by=1.2.3.4",
            "1.2.3.4",
            "for=1.2.3.4:80",
        ),
        *(
            "for=1.2.3.4;for=1.2.3.4",
            "for=1.2.3.4 5",
            "for =1.2.3.4",
            'for="1.2.3.4',
            "for=[::1]",
            'for="::1"',
        ),
        *('for="[::1"', 'for="[fe80::1%eth0]"', 'for="[1.2.3.4]"', 'for="1.2.3.4"x', "for='1.2.3.4'", "\x00"),
        *("for=" + "1" * 10_000, 'for="' + "\\" * 10_001 + '"', "for=1.2.3.4;" + "a=b;" * 2000, '"' * 9_999),
    ],
)
def test_cve_class_53_a_forwarded_element_that_cannot_be_read_is_not_believed(element):
    assert RFC_7239.client("10.0.0.1", element) == "10.0.0.1"
    assert RFC_7239.client("10.0.0.1", f"for=1.1.1.1, {element}, for=10.0.0.2") == "10.0.0.2"


PIECES = ["1.2.3.4", "::1", "10.0.0.2", ":80", "for=", *'",;[]% =a\\\xff']


def test_cve_class_53_no_text_raises_and_whatever_comes_out_is_an_address():
    chance = random.Random(53)
    for _ in range(20_000):
        text = "".join(chance.choices(PIECES, k=chance.randrange(12)))
        for proxies in (PROXIES, RFC_7239):
            assert pack(proxies.client("10.0.0.1", text)) is not None


@pytest.mark.parametrize(("proxies", "form"), [(PROXIES, "{}"), (RFC_7239, "for={}")])
def test_no_more_hops_are_walked_than_are_bounded(proxies, form):
    hops = [form.format(f"10.0.1.{n}") for n in range(200)]
    assert proxies.client("10.0.0.1", ",".join(hops)) == f"10.0.1.{200 - MAX_HOPS}"


@pytest.mark.parametrize("proxies", [PROXIES, RFC_7239, TrustedProxies(())])
@pytest.mark.parametrize(
    ("peer", "client"),
    [("::ffff:203.0.113.9", "203.0.113.9"), ("2001:DB8:0::7", "2001:db8::7"), ("fe80::1%eth0", "fe80::1")],
)
def test_cve_class_52_an_address_has_one_spelling(proxies, peer, client):
    assert proxies.client(peer, "") == client


def test_without_trusted_proxies_the_headers_mean_nothing():
    assert TrustedProxies(()).client("10.0.0.1", "1.2.3.4") == "10.0.0.1"
    assert TrustedProxies((), ForwardedBy.FORWARDED).client("10.0.0.1", "for=1.2.3.4") == "10.0.0.1"


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="does not appear"):
        TrustedProxies(("somewhere",))
