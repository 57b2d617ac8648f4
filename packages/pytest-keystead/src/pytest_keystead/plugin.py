"""The fixtures: `keystead_issuer`, which needs no Keystead, and `keystead`, which is one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_keystead.issuer import Clock, LocalIssuer

if TYPE_CHECKING:
    from pytest_keystead.server import ThrowAwayKeystead


@pytest.fixture(scope="session")
def _keystead_issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer() as issuer:
        yield issuer


@pytest.fixture
def keystead_issuer(_keystead_issuer: LocalIssuer) -> LocalIssuer:
    """A local issuer, as every test finds it: up, quick, and with the real time."""
    _keystead_issuer.come_back()
    _keystead_issuer.clock.advance(-(_keystead_issuer.clock() - Clock()()))
    return _keystead_issuer


@pytest.fixture(scope="session")
def keystead_settings() -> dict[str, str]:
    """Settings of the throw-away Keystead; override this in your conftest.py."""
    return {}


@pytest.fixture(scope="session")
def keystead(keystead_settings: dict[str, str]) -> "Iterator[ThrowAwayKeystead]":
    """A throw-away Keystead, one for each process of the test run."""
    from pytest_keystead.server import ThrowAwayKeystead  # noqa: PLC0415 - needs the extra [keystead]

    made = ThrowAwayKeystead(**keystead_settings)
    yield made
    made.close()
