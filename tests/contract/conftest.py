"""One service for the tests of a module that do not mind each other."""

import pytest

from tests.contract.service import serving
from tests.support.people import register


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made


@pytest.fixture(scope="module")
async def admin(service):
    """An administrator, signed in a moment ago, for requests that get no further than their body."""
    return await service.make_admin()


@pytest.fixture(scope="module")
async def person(service):
    """Somebody signed in, for tests that change nothing about them that others look at."""
    return await register(service.client)
