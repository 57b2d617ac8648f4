"""The fixtures: `keystead_issuer`, which needs no Keystead, and `keystead`, which is one."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# What the fixtures are made of is imported where it is asked for: every run of pytest loads this file.
if TYPE_CHECKING:
    from pytest_keystead.issuer import LocalIssuer
    from pytest_keystead.server import ThrowAwayKeystead


@pytest.fixture(scope="session")
def keystead_audience() -> str:
    """The audience of the local issuer's tokens; override this in your conftest.py."""
    return "https://api.example"


@pytest.fixture(scope="session")
def _keystead_issuer(keystead_audience: str) -> "Iterator[LocalIssuer]":
    from pytest_keystead.issuer import LocalIssuer  # noqa: PLC0415

    with LocalIssuer(keystead_audience) as issuer:
        yield issuer


@pytest.fixture
def keystead_issuer(_keystead_issuer: "LocalIssuer") -> "LocalIssuer":
    """A local issuer at one address for the whole run; each test finds it up, quick, and with the real time."""
    _keystead_issuer.come_back()
    _keystead_issuer.clock.reset()
    return _keystead_issuer


@pytest.fixture(scope="session")
def keystead_settings() -> dict[str, str]:
    """Settings of the throw-away Keystead; override this in your conftest.py."""
    return {}


@pytest.fixture(scope="session")
def keystead(
    keystead_settings: dict[str, str], request: pytest.FixtureRequest
) -> "Iterator[ThrowAwayKeystead]":
    """A throw-away Keystead, one for each process of the run."""
    try:
        from pytest_keystead.server import ThrowAwayKeystead  # noqa: PLC0415
    except ModuleNotFoundError as error:
        pytest.fail(
            f"the fixture `keystead` needs the server: pip install 'pytest-keystead[keystead]' ({error})"
        )

    def tell(text: str) -> None:
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"\n{text}\n")

    with ThrowAwayKeystead(keystead_settings, tell=tell) as made:
        yield made
