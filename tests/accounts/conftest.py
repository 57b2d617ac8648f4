"""One service with a mailbox for the tests of a module: each looks at mails to addresses of its own."""

import pytest

from tests.accounts.post import post_office


@pytest.fixture(scope="module")
async def post(cluster):
    async with post_office(cluster) as made:
        yield made
