"""Argon2 in PHC strings: recognised here, verified by `users.passwords`."""

import re
from dataclasses import dataclass, field

from keystead.users.foreign_hashes.types import from_base64, too_costly, unsupported
from keystead.users.hash_ceilings import is_argon2_affordable

_PHC = re.compile(
    r"\$argon2(?P<kind>id|i|d)\$(?:v=(?:16|19)\$)?m=(?P<m>[1-9][0-9]{0,9}),t=(?P<t>[1-9][0-9]{0,9}),"
    r"p=(?P<p>[1-9][0-9]{0,9})\$(?P<salt>[A-Za-z0-9+/]+)\$(?P<hash>[A-Za-z0-9+/]+)"
)


@dataclass(frozen=True, slots=True)
class Argon2:
    canonical: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Argon2":
        """Raises HashRefused."""
        found = _PHC.fullmatch(text)
        if found is None:
            raise unsupported("it starts like an Argon2 hash and does not go on like one")
        if found["kind"] == "d":
            raise unsupported("Argon2d is not meant for passwords")
        memory, iterations, parallelism = int(found["m"]), int(found["t"]), int(found["p"])
        if not is_argon2_affordable(memory_kib=memory, iterations=iterations, parallelism=parallelism):
            raise too_costly("at most 256 MiB, 10 iterations and 8 lanes are accepted for Argon2")
        if memory < 8 * parallelism:
            raise unsupported("Argon2 needs 8 KiB of memory for each lane")
        from_base64(found["salt"], "salt", shortest=8, longest=64)
        from_base64(found["hash"], "hash", shortest=16, longest=64)
        return cls(text)

    def matches(self, password: str) -> bool:  # noqa: ARG002 - the Hasher's work, never done here
        return False
