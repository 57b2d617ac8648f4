"""A forgotten password: who gets a link, what it does, and what it leaves of everything before."""

import asyncio
from collections import Counter

import pytest

from keystead.kernel.caller import Operator
from keystead.users.types import UserNotFound
from tests.accounts.post import NEW, OTHER, token_in
from tests.contract.service import login
from tests.support.people import PASSWORD, new_email, refresh
from tests.support.tickets import reset_ticket

pytestmark = pytest.mark.anyio


async def reset(post, token, password=NEW):
    return await post.ask("/auth/password/reset", {"token": token, "password": password})


def refused(answer):
    return (answer.status_code, answer.json()["code"]) == (401, "invalid_link")


async def test_the_mailed_link_sets_a_new_password_once_and_the_owner_is_told(post):
    person = await post.person()
    await post.forgot(person.email)
    token = await post.token_to(person.email)
    assert (await reset(post, token)).status_code == 204
    assert refused(await reset(post, token, OTHER))
    assert [await post.opens(person.email, each) for each in (NEW, OTHER, PASSWORD)] == [True, False, False]
    assert len(await post.mails_to(person.email)) == 2
    assert await post.kinds_of_mail(person.id) == ["reset_password", "password_changed"]


async def test_cve_class_31_a_reset_ends_every_session_at_once_access_and_refresh_tokens_alike(post):
    person = await post.person()
    others = [person, *[await post.sign_in(person.email) for _ in range(2)]]
    assert (await reset(post, await reset_ticket(post.core, person.id))).status_code == 204
    for one in others:
        assert not await post.is_signed_in(one)
        assert (await refresh(post.client, one.refresh_token)).status_code == 401
    [row] = await post.sql(
        "SELECT DISTINCT ended_because FROM sessions WHERE user_id = $1::text::uuid", person.id
    )
    assert row["ended_because"] == "password_reset"


async def test_a_reset_opens_a_locked_account_and_proves_an_unproven_address(post):
    person = await post.person()
    await post.sql(
        "UPDATE users SET status = 'locked', email_verified_at = NULL WHERE id = $1::text::uuid", person.id
    )
    assert (await reset(post, await reset_ticket(post.core, person.id))).status_code == 204
    user = await post.user(person.id)
    assert (user["status"], user["email_verified_at"] is not None) == ("active", True)
    assert await post.opens(person.email, NEW)


@pytest.mark.parametrize("status", ["disabled", "erased"])
async def test_a_reset_opens_no_closed_account(post, status):
    person = await post.person()
    token = await reset_ticket(post.core, person.id)
    if status == "erased":
        assert (await post.client.delete("/api/v1/users/me", headers=person.bearer)).status_code == 204
    else:
        await post.set_status(person.id, status)
    before = await post.user(person.id)
    assert refused(await reset(post, token))
    assert await post.user(person.id) == before
    assert not await post.opens(person.email, NEW)


async def test_cve_class_40_a_link_of_before_the_password_changed_is_void(post):
    person = await post.person()
    first, second = [await reset_ticket(post.core, person.id) for _ in range(2)]
    assert (await reset(post, first)).status_code == 204
    assert refused(await reset(post, second, OTHER))
    assert await post.opens(person.email, NEW)


async def test_cve_class_40_a_link_changes_the_password_of_its_own_account_only(post):
    mine, theirs = await post.person(), await post.person()
    before = await post.user(theirs.id)
    assert (await reset(post, await reset_ticket(post.core, mine.id))).status_code == 204
    assert await post.user(theirs.id) == before
    assert await post.is_signed_in(theirs)


@pytest.mark.parametrize("password", ["short", "x" * 1025])
async def test_a_password_that_breaks_the_rules_uses_nothing_up(post, password):
    person = await post.person()
    token = await reset_ticket(post.core, person.id)
    assert (await reset(post, token, password)).status_code == 422
    assert (await reset(post, token)).status_code == 204


async def test_a_dead_link_and_a_password_that_breaks_the_rules_cost_no_hash(post, monkeypatch):
    person = await post.person()
    used, overtaken = [await reset_ticket(post.core, person.id) for _ in range(2)]
    assert (await reset(post, used)).status_code == 204
    fine = await reset_ticket(post.core, person.id)
    monkeypatch.setattr(post.core.flows.reset_password.hasher, "_run", None)  # whoever reached it would fail
    assert refused(await reset(post, used))
    assert refused(await reset(post, overtaken))
    assert (await reset(post, fine, "short")).status_code == 422


async def test_of_many_links_at_once_one_wins_and_its_password_opens_the_account(post):
    person = await post.person()
    passwords = [f"{number} {NEW}" for number in range(5)]
    tokens = [await reset_ticket(post.core, person.id) for _ in passwords]
    answers = await asyncio.gather(*(reset(post, *each) for each in zip(tokens, passwords, strict=True)))
    assert Counter(answer.status_code for answer in answers) == {204: 1, 401: 4}
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 204)
    opened = [await post.opens(person.email, password) for password in passwords]
    assert opened == [number == winner for number in range(5)]


async def test_a_sign_in_with_the_old_password_that_is_under_way_gets_no_session(post, monkeypatch):
    person = await post.person()
    token = await reset_ticket(post.core, person.id)
    verify = type(post.core.auth.login.hasher).verify

    async def slow(hasher, stored, password, **more):
        is_right = await verify(hasher, stored, password, **more)
        assert (await reset(post, token)).status_code == 204
        return is_right

    monkeypatch.setattr(type(post.core.auth.login.hasher), "verify", slow)
    answer = await login(post.client, person.email)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


async def test_a_reset_that_an_administrator_starts_is_mailed_to_the_owner_alone(post):
    admin, person = await post.service.make_admin(), await post.person()
    answer = await post.client.post(f"/api/v1/users/{person.id}/reset", headers=admin.bearer)
    assert (answer.status_code, answer.content) == (202, b"")
    assert (await reset(post, await post.token_to(person.email))).status_code == 204
    assert await post.mails_to(admin.email) == []


@pytest.mark.parametrize("status", ["disabled", "erased", "pending"])
async def test_no_reset_is_started_for_an_account_that_is_not_open(post, status):
    person = await post.person()
    if status == "erased":
        await post.client.delete("/api/v1/users/me", headers=person.bearer)
    else:
        await post.set_status(person.id, status)
    with pytest.raises(UserNotFound):
        await post.core.accounts.start_reset(Operator(), (await post.user(person.id))["id"])


# Pre-hijacking: somebody else was at the address first


async def test_cve_class_66_whoever_registered_first_has_nothing_once_the_mailboxs_owner_resets(post):
    victim = new_email()
    await post.attempt(victim, OTHER)  # the attacker's
    await post.attempt(victim, PASSWORD)
    await post.attempt(victim, OTHER)
    await post.forgot(victim)
    token = await post.token_to(victim)
    assert (await reset(post, token)).status_code == 204
    assert [await post.opens(victim, each) for each in (NEW, OTHER, PASSWORD)] == [True, False, False]
    for message in await post.mails_to(victim):  # the links of the attempts
        answer = await post.ask("/auth/email/verify", {"token": token_in(message)})
        assert refused(answer)
    assert not await post.opens(victim, OTHER)


async def test_cve_class_66_the_attempts_that_lost_are_gone_with_their_keys(post):
    victim = new_email()
    for password in (OTHER, PASSWORD, OTHER):
        await post.attempt(victim, password)
    of_address = """
        SELECT u.id, k.owner_id FROM users u LEFT JOIN data_keys k ON k.owner_id = u.id
         WHERE u.email_index = (SELECT email_index FROM users WHERE id = $1)
    """
    [newest, *_] = await post.sql("SELECT id FROM users ORDER BY created_at DESC")
    attempts = [row["id"] for row in await post.sql(of_address, newest["id"])]
    assert len(attempts) == 3
    await post.forgot(victim)
    assert (await reset(post, await post.token_to(victim))).status_code == 204
    keys = await post.sql("SELECT owner_id FROM data_keys WHERE owner_id = ANY($1::uuid[])", attempts)
    users = await post.sql("SELECT id FROM users WHERE id = ANY($1::uuid[])", attempts)
    assert [row["owner_id"] for row in keys] == [row["id"] for row in users] == [newest["id"]]


async def test_cve_class_66_an_account_made_before_the_owner_came_is_theirs_after_a_reset(post):
    """Where addresses are not proven first, the attacker is even signed in, and has asked for another address."""
    attacker = await post.person()  # at the victim's address
    asked = await post.ask(
        "/users/me/email",
        {"email": new_email(), "current_password": PASSWORD},
        method="PUT",
        headers=attacker.bearer,
    )
    assert asked.status_code == 202
    moving = (await post.sql("SELECT id FROM tickets ORDER BY created_at DESC LIMIT 1"))[0]["id"]
    await post.forgot(attacker.email)
    assert (await reset(post, await post.token_to(attacker.email))).status_code == 204

    assert not await post.is_signed_in(attacker)
    assert (await refresh(post.client, attacker.refresh_token)).status_code == 401
    assert not await post.opens(attacker.email, PASSWORD)
    token = post.core.flows.unlock.desk.tokens.make(moving, "change_email").reveal()
    assert refused(await post.ask("/auth/email/change", {"token": token}))
    assert await post.opens(attacker.email, NEW)
