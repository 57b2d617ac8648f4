"""The words of the lists of networks, and what is refused about them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from keystead.kernel.errors import Refusal
from keystead.limits.networks import Network

MAX_STORED = 10_000
MAX_BECAUSE_LENGTH = 200
LEAST_WIDTH = {4: 8, 6: 16}  # whoever means more of the world than that says so in the configuration


class AddressDenied(Refusal):
    """The client's address is in a network that this installation denies: nothing that it sends is looked at."""

    code = "address_denied"
    message = "Requests from this network are refused here."


class NetworkNotFound(Refusal):
    code = "network_not_found"
    message = "There is no such entry in the lists of networks."


class NetworkConfigured(Refusal):
    """What stands in the configuration wins; neither the API nor a command can change it."""

    code = "network_configured"
    message = "This network stands in the configuration: change it there."


class OwnNetwork(Refusal):
    """Whoever shuts themselves out cannot let themselves in again."""

    code = "own_network"
    message = "With this change, the network that you are calling from would be denied."


class TooManyNetworks(Refusal):
    code = "too_many_networks"
    message = (
        "There are as many entries as an installation can have: remove one first, or deny wider networks."
    )


class Verdict(StrEnum):
    """What the lists say about an address. An entry says one of the first two."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class ListedNetwork:
    """A network in one of the lists. An entry of the configuration has neither id nor times, and never ends."""

    network: Network
    verdict: Verdict
    because: str = ""
    id: UUID | None = None
    created_at: datetime | None = None
    created_by: UUID | None = None
    expires_at: datetime | None = None

    @property
    def is_configured(self) -> bool:
        return self.id is None

    @property
    def weight(self) -> tuple[int, bool, bool]:
        """Of all entries around an address, the heaviest decides: the narrowest network; of entries for the same one,
        that of the configuration; then the one that allows."""
        return self.network.prefixlen, self.is_configured, self.verdict is Verdict.ALLOWED

    def is_live(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at
