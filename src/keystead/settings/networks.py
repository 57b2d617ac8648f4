"""From the settings to the lists of networks."""

from keystead.limits.lists.types import ListedNetwork, Verdict
from keystead.limits.networks import read_network
from keystead.settings.sections import Settings


def configured_networks(settings: Settings) -> tuple[ListedNetwork, ...]:
    """Those that are allowed first."""
    section = settings.limits
    return (
        *(ListedNetwork(read_network(text), Verdict.ALLOWED) for text in section.allow),
        *(ListedNetwork(read_network(text), Verdict.DENIED) for text in section.deny),
    )
