"""Locked accounts: closed at once, and opened by whoever reads the mailbox, once."""

import pytest

from keystead.kernel.caller import Operator
from tests.accounts.post import NEW
from tests.support.people import PASSWORD, refresh
from tests.support.tickets import reset_ticket, unlock_ticket

pytestmark = pytest.mark.anyio


async def unlock(post, token):
    return await post.ask("/auth/unlock", {"token": token})


async def lock(post, person):
    """The token that the owner is mailed."""
    await post.core.accounts.lock(Operator(), (await post.user(person.id))["id"])
    return await post.token_to(person.email)


def refused(answer):
    return (answer.status_code, answer.json()["code"]) == (401, "invalid_link")


async def test_a_locked_account_is_closed_at_once_until_its_owner_follows_the_link(post):
    person = await post.person()
    token = await lock(post, person)
    assert not await post.is_signed_in(person)
    assert (await refresh(post.client, person.refresh_token)).status_code == 401
    assert not await post.opens(person.email, PASSWORD)

    assert (await unlock(post, token)).status_code == 204
    assert await post.opens(person.email, PASSWORD)
    assert not await post.is_signed_in(person)  # of before
    assert refused(await unlock(post, token))
    rows = await post.sql(
        "SELECT actor_id::text FROM audit_events WHERE event = 'user.unlocked' AND subject_id = $1::text::uuid",
        person.id,
    )
    assert [row["actor_id"] for row in rows] == [person.id]


async def test_cve_class_40_the_link_of_one_lock_does_not_open_the_next(post):
    person = await post.person()
    first = await lock(post, person)
    await post.core.accounts.unlock(Operator(), (await post.user(person.id))["id"])
    second = await lock(post, person)
    assert refused(await unlock(post, first))
    assert (await post.user(person.id))["status"] == "locked"
    assert (await unlock(post, second)).status_code == 204


async def test_cve_class_40_a_link_of_before_the_password_changed_opens_nothing(post):
    person = await post.person()
    token = await unlock_ticket(post.core, person.id)
    reset = {"token": await reset_ticket(post.core, person.id), "password": NEW}
    assert (await post.ask("/auth/password/reset", reset)).status_code == 204
    await post.set_status(person.id, "locked")
    assert refused(await unlock(post, token))
    assert (await post.user(person.id))["status"] == "locked"


@pytest.mark.parametrize("status", ["disabled", "pending"])
async def test_the_link_opens_no_account_that_is_closed_otherwise(post, status):
    person = await post.person()
    token = await unlock_ticket(post.core, person.id)
    await post.set_status(person.id, status)
    before = await post.user(person.id)
    assert refused(await unlock(post, token))
    assert await post.user(person.id) == before
