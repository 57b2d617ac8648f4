"""Samples of the proofs that `make prove-limits` runs in full, on two workers with the limits as delivered."""

import pytest

from tests.limits.proofs.fairness import office
from tests.limits.proofs.guessing import guess, sign_in_at_once
from tests.limits.proofs.outages import besiege
from tests.limits.proofs.overshoot import BUCKETS, SETTINGS, overshoot, overshoot_alone, overshoot_of_places
from tests.limits.proofs.stage import limited_stage, valkey_killed

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stage(cluster):
    async with limited_stage(cluster, configured=SETTINGS) as made:
        yield made


def require(findings):
    broken = [finding for finding in findings if not finding.holds]
    assert not broken, broken


async def test_asvs_v5_6_3_1_a_botnet_gets_no_further_than_the_budget_and_the_owner_signs_in_throughout(
    stage,
):
    require(await guess(stage, guesses=600, addresses=150, connections=100, seed=1, every=0.05))


async def test_fifty_right_passwords_at_once_all_sign_in(stage):
    require(await sign_in_at_once(stage, width=50, rounds=3, seed=1))


@pytest.mark.parametrize("bucket", BUCKETS, ids=lambda bucket: bucket.name)
async def test_of_five_hundred_at_once_no_bucket_lets_in_more_than_it_has(stage, bucket):
    require(await overshoot(stage, bucket, width=500, rounds=1, seed=1))


async def test_of_five_hundred_at_once_no_more_are_under_way_than_there_are_places(stage):
    require(await overshoot_of_places(stage, width=500, rounds=1, seed=1))


async def test_without_valkey_five_hundred_at_once_get_no_more_than_the_share(stage):
    async with valkey_killed(stage):
        require(await overshoot_alone(stage, width=500, rounds=1, seed=1))


async def test_an_office_behind_one_address_signs_in_and_works_and_nobody_is_refused(stage):
    require(await office(stage, people=100, arriving=3, staying=2, seed=1))


async def test_whatever_happens_to_valkey_no_ended_session_comes_back_and_nobody_is_logged_out(stage):
    require(await besiege(stage, seconds=6, every=1, honest=5, accounts=2, seed=1))
