"""The solver of the page on challenges, as it stands there, and the challenge that the page shows."""

import json
import re
from pathlib import Path

import pytest

from tests.support.challenges import ADDRESS, NETWORK, challenges_of

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[3] / "docs" / "challenges.md").read_text("utf-8")


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


async def test_a_program_that_solves_as_the_page_does_passes(db, vault):
    challenges = challenges_of(db, vault)
    names: dict = {}
    exec(block("python"), names)
    answer = names["solve"](challenges.demand("login", NETWORK, 10).challenge)
    await challenges.check(answer, purpose="login", network=NETWORK, address=ADDRESS)


async def test_the_challenge_on_the_page_has_the_members_of_a_real_one(db, vault):
    shown = json.loads(block("json"))
    real = challenges_of(db, vault).demand("login", NETWORK, 16)
    assert shown["code"] == real.code
    assert shown["challenge"].keys() == real.challenge.keys()
