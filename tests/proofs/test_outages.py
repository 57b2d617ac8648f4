"""Samples of the proofs that `make prove-rotation` runs in full: workers and connections die, and nothing is lost."""

import pytest

from tests.proofs.crash import kill_between_steps, kill_under_load
from tests.proofs.database import lose_commits, terminate_backends
from tests.proofs.site import gated_site, running_site

pytestmark = pytest.mark.anyio


async def test_kill_9_under_load_loses_nothing_acknowledged_and_logs_nobody_out(cluster):
    async with running_site(cluster) as site:
        figures = await kill_under_load(site, kills=3, clients=8, seed=1)
    assert figures["operations"] >= 200
    assert figures["lost"] > 0
    print(figures)


async def test_kill_9_between_two_steps_leaves_them_all_done_or_none(cluster):
    async with gated_site(cluster) as (site, gate):
        print(await kill_between_steps(site, gate, points=4, seed=2))


async def test_a_lost_answer_to_a_commit_forks_no_chain_and_costs_no_session(cluster):
    async with gated_site(cluster) as (site, gate):
        print(await lose_commits(site, gate, lost=50, clients=4, seed=3))


async def test_connections_that_die_at_any_moment_fork_no_chain_and_cost_no_session(cluster):
    async with running_site(cluster) as site:
        print(await terminate_backends(site, cluster.server.superuser_url, terminated=50, clients=4, seed=4))
