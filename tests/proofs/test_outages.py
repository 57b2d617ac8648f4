"""Samples of the proofs that `make prove-rotation` runs in full: workers and connections die, and nothing is lost."""

import pytest

from tests.proofs.crash import kill_between_steps, kill_under_load
from tests.proofs.database import lose_commits, terminate_backends
from tests.proofs.site import gated_site

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def gated(cluster):
    async with gated_site(cluster) as made:
        yield made


async def test_kill_9_under_load_loses_nothing_acknowledged_and_logs_nobody_out(gated):
    figures = await kill_under_load(gated[0], kills=3, operations=200, clients=8, seed=1)
    assert figures["answers lost"] > 0, "nobody was in the middle of anything"


async def test_kill_9_between_two_steps_leaves_them_all_done_or_none(gated):
    figures = await kill_between_steps(*gated, points=4, seed=2)
    assert figures["trials"] > 0


async def test_a_lost_answer_to_a_commit_forks_no_chain_and_costs_no_session(gated):
    await lose_commits(*gated, lost=50, clients=4, seed=3)


async def test_connections_that_die_at_any_moment_fork_no_chain_and_cost_no_session(gated, cluster):
    superuser = cluster.server.superuser_url
    await terminate_backends(gated[0], superuser, terminated=50, clients=4, seed=4)
