"""`keystead networks`, as it is typed."""

import pytest

pytestmark = pytest.mark.anyio


async def test_a_network_from_its_listing_to_its_removal(keystead):
    denied = await keystead("networks", "deny", "203.0.113.0/24", "--for", "7d", "--because", "scans")
    assert denied.returncode == 0, denied.stderr
    assert denied.stdout.startswith("denied  203.0.113.0/24  until 20")
    assert denied.stdout.endswith(" UTC  scans\n")
    assert (
        await keystead("networks", "allow", "203.0.113.9")
    ).stdout == "allowed  203.0.113.9/32  for good\n"
    assert (await keystead("networks", "allow", "203.0.113.0/24")).returncode == 0
    listed = await keystead("networks", "list", APP_LIMITS__DENY="0.0.0.0/0")
    assert [line.split("  ")[:2] for line in listed.stdout.splitlines()] == [
        ["denied", "0.0.0.0/0"],
        ["allowed", "203.0.113.0/24"],
        ["denied", "203.0.113.0/24"],
        ["allowed", "203.0.113.9/32"],
    ]
    assert "by the configuration" in listed.stdout
    removed = await keystead("networks", "remove", "203.0.113.0/24")
    assert sorted(removed.stdout.splitlines()) == [
        "removed 203.0.113.0/24, which was allowed",
        "removed 203.0.113.0/24, which was denied",
    ]
    gone = await keystead("networks", "remove", "203.0.113.0/24")
    assert (gone.returncode, "no such entry" in gone.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (
            ("deny", "203.0.113.9/24"),
            1,
            "network: 203.0.113.9/24 is an address within a network. The network is 203",
        ),
        (("deny", "somewhere"), 1, "network: "),
        (("deny", "0.0.0.0/0"), 1, "configuration only"),
        (("allow", "::/0"), 1, "configuration only"),
        (("deny", "203.0.113.0/24", "--for", "ever"), 2, "--for ever: write it like 90d"),
        (("deny", "203.0.113.0/24", "--for", "0d"), 1, "ttl_secs: "),
        (("deny", "203.0.113.0/24", "--for", "9999d"), 1, "ttl_secs: "),
        (("deny", "203.0.113.0/24", "--because", "a\nb"), 1, "because: "),
        (("remove", "203.0.113.9/24"), 1, "network: "),
        (("remove", "192.0.2.0/24"), 1, "stands in the configuration"),
        (("deny", "192.0.2.0/24"), 1, "stands in the configuration"),
    ],
)
async def test_a_mistake_is_named_with_its_mend(keystead, arguments, code, word):
    done = await keystead("networks", *arguments, APP_LIMITS__ALLOW="192.0.2.0/24")
    assert (done.returncode, word in done.stderr) == (code, True), done.stderr
