"""A machine where nothing was prepared, until the first of these tests."""

import os
from pathlib import Path

import pytest

from tests.support.server import COUNTING

ROOT = Path(__file__).parents[2]
PACKAGES = [str(ROOT / "src"), *(str(path) for path in sorted(ROOT.glob("packages/*/src")))]


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """One for all processes of the test run: preparing takes seconds."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache-of-the-plugin"


@pytest.fixture
def environ(cache):
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("APP_", "PYTEST_", COUNTING))
    }
    return {**inherited, "PYTHONPATH": os.pathsep.join(PACKAGES), "XDG_CACHE_HOME": str(cache)}
