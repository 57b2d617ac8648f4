"""The key set as it is published at this moment."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.jwt.jwks import jwk_set
from keystead.jwt.keyring import Keyring
from keystead.kernel.caller import Access
from keystead.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class ReadKeySet:
    """The JWK set of every key that verifies now or soon."""

    keyring: Keyring
    clock: Clock
    requires: ClassVar = Access.PUBLIC

    def __call__(self) -> bytes:
        return jwk_set(self.keyring.public_keys(self.clock.now()).values())
