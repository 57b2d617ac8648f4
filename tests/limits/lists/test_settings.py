"""The lists in the settings: what is wrong with them, with its mend."""

import pytest

from keystead.kernel.config import ConfigError
from keystead.limits.lists.types import ListedNetwork, Verdict
from keystead.limits.networks import read_network
from keystead.settings import configured_networks, load


def settings_of(tmp_path, **limits):
    return load(tmp_path, {f"APP_LIMITS__{name}": value for name, value in limits.items()}).settings


def test_lists_are_read_in_every_spelling(tmp_path):
    settings = settings_of(
        tmp_path, ALLOW="203.0.113.9, 2001:DB8::/32", DENY="0.0.0.0/0,::ffff:198.51.100.0/120"
    )
    assert configured_networks(settings) == (
        ListedNetwork(read_network("203.0.113.9/32"), Verdict.ALLOWED),
        ListedNetwork(read_network("2001:db8::/32"), Verdict.ALLOWED),
        ListedNetwork(read_network("0.0.0.0/0"), Verdict.DENIED),
        ListedNetwork(read_network("198.51.100.0/24"), Verdict.DENIED),
    )


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (
            {"ALLOW": "203.0.113.9/24"},
            "limits.allow: '203.0.113.9/24': 203.0.113.9/24 is an address within a network. The network is 203",
        ),
        ({"DENY": "somewhere"}, "limits.deny: 'somewhere': This is no network: write it like 203.0.113.0/24"),
        (
            {"ALLOW": "203.0.113.0/24", "DENY": "::ffff:203.0.113.0/120"},
            "limits.deny: 203.0.113.0/24 stands in limits.allow, too: take it out of one of them.",
        ),
        ({"DENY_COUNTRIES": "xa", "PLACES_FILES": "p"}, "limits.deny_countries: 'xa' is no country"),
        ({"DENY_COUNTRIES": "XA"}, "limits.deny_countries is set and limits.places_files is not"),
        ({"PLACES_FILES": "a,b,c,d,e"}, "limits.places_files (from APP_LIMITS__PLACES_FILES): "),
        ({"DENY": ",".join(["203.0.113.0/24"] * 1001)}, "limits.deny (from APP_LIMITS__DENY): "),
    ],
)
def test_a_mistake_is_named_with_its_mend(tmp_path, limits, problem):
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, **limits)
    assert [each for each in caught.value.problems if each.startswith(problem)], caught.value.problems
