"""One service for the tests of a module that do not mind each other."""

import pytest

from tests.contract.service import serving


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made
