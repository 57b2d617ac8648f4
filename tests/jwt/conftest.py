"""Keys for the tests of this room: made once per process, since RSA keys take their time."""

import sys
from collections.abc import Iterator

import pytest

from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec, SigningKey
from keystead.jwt.verifier import TokenVerifier
from tests.jwt.forging import verifier_of

Keys = dict[Algorithm, SigningKey]


@pytest.fixture(scope="session")
def keys() -> Keys:
    """One key of each algorithm."""
    return {algorithm: generate_key(KeySpec.of(algorithm, 2048)) for algorithm in Algorithm}


@pytest.fixture(scope="session")
def attacker() -> SigningKey:
    """A sound key that is not ours."""
    return generate_key(KeySpec(Algorithm.RS256, 2048))


@pytest.fixture
def verifier(keys: Keys) -> TokenVerifier:
    """Knows one key of each algorithm."""
    return verifier_of(*keys.values())


@pytest.fixture
def key(keys: Keys) -> SigningKey:
    return keys[Algorithm.RS256]


@pytest.fixture(params=list(Algorithm), ids=lambda algorithm: algorithm.value)
def any_key(request: pytest.FixtureRequest, keys: Keys) -> SigningKey:
    return keys[request.param]


_OUTSIDE = ("open", "socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "urllib.")
_events: list[str] | None = None


def _listen(event: str, _args: tuple[object, ...]) -> None:
    if _events is not None and event.startswith(_OUTSIDE):
        _events.append(event)


@pytest.fixture(scope="session")
def _hook() -> None:
    sys.addaudithook(_listen)


@pytest.fixture
def outside(_hook: None) -> Iterator[list[str]]:
    """Every socket, file and process that Python touches during the test."""
    global _events  # noqa: PLW0603 - an audit hook cannot be removed, so it asks whether anybody listens
    _events = []
    yield _events
    _events = None
