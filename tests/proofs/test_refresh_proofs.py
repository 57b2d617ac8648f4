"""Samples of the proofs that `make prove-rotation` runs in full, on two workers."""

import pytest

from tests.proofs.honest import late_tabs, lose_answers
from tests.proofs.race import race
from tests.proofs.site import running_site
from tests.proofs.theft import CASES, theft

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def site(cluster):
    async with running_site(cluster) as made:
        yield made


@pytest.mark.parametrize("width", [2, 8, 50, 200])
async def test_cve_class_20_of_racing_posts_to_two_workers_one_advances_the_chain(site, width):
    await race(site, width=width, rounds=10, seed=width)


async def test_lost_answers_cost_no_session_and_raise_no_alarm(site):
    await lose_answers(site, lost=200, clients=8, seed=1)


async def test_a_late_tab_gets_what_the_first_one_got(site):
    await late_tabs(site, rounds=50, seed=2)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_asvs_v5_10_4_5_a_replayed_token_is_found_and_ends_the_whole_session_at_once(site, case):
    await theft(site, case=case, trials=2)
