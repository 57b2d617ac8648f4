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


@pytest.fixture
def hashes(service, monkeypatch):
    """A list that grows by one with each piece of work that reaches the password hasher's threads."""
    hasher = service.core.auth.login.hasher
    run, tasks = hasher._run, []

    def noted(task, *more):
        tasks.append(task)
        return run(task, *more)

    monkeypatch.setattr(hasher, "_run", noted)
    return tasks
