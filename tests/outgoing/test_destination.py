"""Where a hook may go: nowhere that is not public, in whatever spelling, however names resolve (SSRF)."""

import socket
from ipaddress import ip_address, ip_network

import httpcore2
import pytest

from keystead.outgoing.backend import GuardedBackend
from keystead.outgoing.destination import AddressForbidden, Destinations, is_public, resolve
from keystead.outgoing.url import find_fault

pytestmark = pytest.mark.anyio

PRIVATE = (
    "0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::", "2001:0:7f00:1:0:0:0:0", "100::1",
    "::ffff:8.8.8.8", "::127.0.0.1", "::10.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "3fff::1", "5f00::1", "4000::1",
    "192.0.0.192", "100.100.100.200", "168.63.129.16", "64:ff9b::a83f:8110", "192.88.99.1", "2002:808:808::1",
)  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.215.14",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::808:808",
]
SPELLINGS = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "localhost", "LOCALHOST",
    "localhost.", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.1.", "0", "0.0.0.0",
)  # fmt: skip


def fault_of(url, *allowed):
    return find_fault(url, allowed, allowed_by="a.setting")


@pytest.mark.parametrize("text", PRIVATE)
def test_what_is_not_of_the_open_internet_is_not_public(text):
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_is(text):
    assert is_public(ip_address(text))


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_this_machine_is_reached(host):
    with pytest.raises((AddressForbidden, OSError)):
        await Destinations().choose(host.strip("[]"), 80)


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("host", SPELLINGS)
def test_nor_does_keystead_start_with_one(scheme, host):
    assert fault_of(f"{scheme}://{host}/keystead") is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com@127.0.0.1/",
        "https://127.0.0.1#@hooks.example.com/",
        "https://127.0.0.1\\@hooks.example.com/",
        "https://user:pw@hooks.example.com/",
        "https://hooks.example.com\uff0flocalhost/",
        "https://127\u30020\u30020\u30021/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://loc\u00e4lhost/",
        "https://hooks..example.com/",
        "https://-hooks.example.com/",
        "https://hooks.example.com./",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:1:2/",
        "https://[::1",
        "https://][",
        "https://[fe80::1%25eth0]/",
        "https://[8.8.8.8]/",
        "https://./",
        "https:///keystead",
        "https:/hooks.example.com/",
        "//hooks.example.com/",
        "https://hooks.example.com/\x00",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\n",
        "https://hooks.example.com/\n\nHost: other",
        " https://hooks.example.com/",
        "file:///etc/passwd",
        "unix:///run/hook",
        "gopher://hooks.example.com/",
        "https://hooks.example.com/" + "a" * 3000,
        "",
    ],
)
def test_a_url_that_two_readers_could_read_in_two_ways_is_none(url):
    assert fault_of(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com:8443/keystead?tenant=1&x=%20",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
        "https://3com.example/",
    ],
)
def test_any_other_is_one(url):
    assert fault_of(url) is None


async def test_a_call_in_the_clear_goes_to_networks_that_are_allowed_and_nowhere_else():
    allowed = (ip_network("10.20.0.0/16"),)
    assert fault_of("http://hooks.internal/") is not None
    assert fault_of("http://hooks.internal/", *allowed) is None  # its addresses are judged when it is called
    assert fault_of("http://10.20.0.5:8080/", *allowed) is None
    assert fault_of("http://8.8.8.8/", *allowed) is not None
    in_the_clear = Destinations(allowed, includes_public=False)
    assert not in_the_clear.admits(ip_address("8.8.8.8"))
    assert in_the_clear.admits(ip_address("10.20.0.5"))


async def test_a_name_that_leads_to_one_private_address_is_not_used_at_all():
    async def mixed(_host, _port):
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(AddressForbidden):
        await Destinations(resolve=mixed).choose("mixed.example", 443)


async def test_a_name_is_resolved_once_so_that_it_cannot_change_its_mind():
    answers = iter([["127.0.0.1"], ["8.8.8.8"]])
    asked = []

    async def rebinding(host, _port):
        asked.append(host)
        return next(answers)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        backend = GuardedBackend(Destinations((ip_network("127.0.0.0/8"),), resolve=rebinding))
        stream = await backend.connect_tcp("rebinding.example", port, timeout=5)
        await stream.aclose()
    assert asked == ["rebinding.example"]


async def test_where_nobody_is_at_a_names_first_address_the_next_is_tried():
    async def two(_host, _port):
        return ["127.0.0.2", "127.0.0.1"]

    with socket.create_server(("127.0.0.1", 0)) as server:
        backend = GuardedBackend(Destinations((ip_network("127.0.0.0/8"),), resolve=two))
        stream = await backend.connect_tcp("two.example", server.getsockname()[1], timeout=5)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()


async def test_a_network_that_is_allowed_is_reached_and_no_other():
    allowed = Destinations((ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    for text, admitted in (
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("::1", False),
    ):
        assert allowed.admits(ip_address(text)) is admitted, text


async def test_a_name_that_nobody_knows_is_a_failure_to_connect():
    async def unknown(_host, _port):
        raise OSError("no such name")

    with pytest.raises(httpcore2.ConnectError):
        await GuardedBackend(Destinations(resolve=unknown)).connect_tcp("nowhere.example", 443)


async def test_the_systems_resolver_knows_this_machine():
    assert set(await resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
