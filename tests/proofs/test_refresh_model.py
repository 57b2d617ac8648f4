"""A sample of the histories that `make prove-rotation` explores."""

import asyncio
from contextlib import AsyncExitStack

import pytest
import uvloop

from tests.proofs.model import Model, MortalModel, explore
from tests.proofs.site import running_site


@pytest.fixture(scope="module")
def loop():
    """Of our own: the model takes its steps one by one, from outside any coroutine."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.get_loop()


@pytest.fixture(scope="module")
def site(cluster, loop):
    stack = AsyncExitStack()
    yield loop.run_until_complete(stack.enter_async_context(running_site(cluster)))
    loop.run_until_complete(stack.aclose())


def test_no_history_of_two_tabs_and_a_thief_breaks_a_rule_of_the_rotation(site, loop):
    figures = explore(Model, site, loop, histories=20, steps=25, seed=1)
    assert figures["answers 200"] > 50


def test_no_history_in_which_workers_die_breaks_one_either(site, loop):
    figures = explore(MortalModel, site, loop, histories=3, steps=10, seed=2)
    assert figures["kills"] >= 3
