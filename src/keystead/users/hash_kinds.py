"""What kind of hash is stored, and what it costs to guess at: for reports, which show nothing else of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HashKind:
    """`work` orders the costs of one kind, and means nothing between two of them."""

    name: str
    cost: str = ""
    work: int = 0


NONE = HashKind("none")


@dataclass(frozen=True, slots=True)
class _Form:
    """`pattern` takes the numbers of the cost out of a hash, and nothing that is secret."""

    name: str
    pattern: re.Pattern[str]
    cost: str
    work: Callable[[_Numbers], int]

    def find(self, stored: str) -> HashKind | None:
        found = self.pattern.match(stored)
        if found is None:
            return None
        numbers = tuple(map(int, found.groups()))
        return HashKind(self.name, self.cost.format(*numbers), self.work(numbers))


def _form(name: str, pattern: str, cost: str, work: Callable[[_Numbers], int]) -> _Form:
    return _Form(name, re.compile(pattern), cost, work)


def _memory_times_passes(numbers: _Numbers) -> int:
    return numbers[0] * numbers[1]


def _power_of_two(numbers: _Numbers) -> int:
    return (1 << numbers[0]) * numbers[1]


def _first(numbers: _Numbers) -> int:
    return numbers[0]


_FORMS = (
    *(
        _form(
            name,
            rf"\${name}\$v=[0-9]+\$m=([0-9]+),t=([0-9]+),p=([0-9]+)",
            "m={},t={},p={}",
            _memory_times_passes,
        )
        for name in ("argon2id", "argon2i")
    ),
    _form("bcrypt", r"\$2[aby]\$([0-9]{2})\$", "cost {}", _first),
    _form("bcrypt_sha256", r"bcrypt_sha256\$\$2[aby]\$([0-9]{2})\$", "cost {}", _first),
    _form("pbkdf2-sha256", r"pbkdf2_sha256\$([0-9]+)\$", "{} iterations", _first),
    _form("pbkdf2-sha256", r"\$pbkdf2-sha256\$i=([0-9]+)", "{} iterations", _first),
    _form("pbkdf2-sha512", r"\$pbkdf2-sha512\$i=([0-9]+)", "{} iterations", _first),
    _form("scrypt", r"scrypt\$([0-9]+)\$[^$]*\$([0-9]+)\$([0-9]+)\$", "n={},r={},p={}", _memory_times_passes),
    *(
        _form(name, rf"\${name}\$ln=([0-9]+),r=([0-9]+)", "n=2^{},r={}", _power_of_two)
        for name in ("scrypt", "better-auth-scrypt", "firebase-scrypt")
    ),
)


def kind_of(stored: str | None) -> HashKind:
    """Of a hash as it is stored; `none` where there is no password."""
    if stored is None or stored.startswith("!"):
        return NONE
    return next((kind for form in _FORMS if (kind := form.find(stored))), HashKind("other"))
