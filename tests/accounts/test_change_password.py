"""Changing one's password: what it takes, and what it ends."""

import asyncio
from collections import Counter

import pytest

from tests.accounts.post import NEW, OTHER, WRONG
from tests.support.people import PASSWORD, refresh
from tests.support.tickets import reset_ticket

pytestmark = pytest.mark.anyio


async def change(post, person, *, current=PASSWORD, new=NEW, **more):
    body = {"current_password": current, "new_password": new, **more}
    return await post.ask("/users/me/password", body, method="PUT", headers=person.bearer)


async def last_event(post, person):
    rows = await post.sql(
        "SELECT event, session_id FROM audit_events WHERE subject_id = $1::text::uuid ORDER BY id DESC LIMIT 1",
        person.id,
    )
    return rows[0]["event"], str(rows[0]["session_id"])


async def test_cve_class_31_the_callers_session_goes_on_and_every_other_one_ends(post):
    person = await post.person()
    others = [await post.sign_in(person.email) for _ in range(2)]
    assert (await change(post, person)).status_code == 204
    assert await last_event(post, person) == ("password.changed", person.session_id)
    assert [await post.is_signed_in(one) for one in (person, *others)] == [True, False, False]
    assert [(await refresh(post.client, one.refresh_token)).status_code for one in others] == [401, 401]
    assert (await refresh(post.client, person.refresh_token)).status_code == 200
    assert [await post.opens(person.email, each) for each in (PASSWORD, NEW)] == [False, True]
    assert len(await post.mails_to(person.email)) == 1


async def test_the_others_stay_where_they_are_told_to(post):
    person = await post.person()
    other = await post.sign_in(person.email)
    assert (await change(post, person, end_other_sessions=False)).status_code == 204
    assert all([await post.is_signed_in(one) for one in (person, other)])


async def test_a_wrong_password_is_refused_recorded_and_changes_nothing(post):
    person = await post.person()
    before = await post.user(person.id)
    answer = await change(post, person, current=WRONG)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert await post.user(person.id) == before
    assert await post.is_signed_in(person)
    assert await last_event(post, person) == ("reauthentication.failed", person.session_id)
    assert await post.mails_to(person.email) == []


@pytest.mark.parametrize("new", ["short", PASSWORD, "x" * 1025])
async def test_a_password_that_breaks_the_rules_or_is_the_old_one_is_named_and_changes_nothing(post, new):
    person = await post.person()
    before = await post.user(person.id)
    answer = await change(post, person, new=new)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/new_password")
    assert await post.user(person.id) == before


async def test_of_changes_at_once_one_wins_and_its_password_opens_the_account(post):
    person = await post.person()
    passwords = [f"{number} {NEW}" for number in range(6)]
    answers = await asyncio.gather(*(change(post, person, new=password) for password in passwords))
    assert Counter(answer.status_code for answer in answers) == {204: 1, 401: 5}
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 204)
    opened = [await post.opens(person.email, password) for password in passwords]
    assert opened == [number == winner for number in range(6)]
    assert await post.kinds_of_mail(person.id) == ["password_changed"]
    assert (await post.user(person.id))["password_version"] == 2


async def test_a_change_and_a_reset_at_once_leave_one_of_the_two(post):
    for _ in range(3):
        person = await post.person()
        token = await reset_ticket(post.core, person.id)
        changed, reset = await asyncio.gather(
            change(post, person), post.ask("/auth/password/reset", {"token": token, "password": OTHER})
        )
        assert sorted((changed.status_code, reset.status_code)) == [204, 401]
        opened = [await post.opens(person.email, each) for each in (PASSWORD, NEW, OTHER)]
        assert opened == [False, changed.status_code == 204, reset.status_code == 204]


async def test_it_needs_a_proof_of_now_and_a_session_that_nobody_proved_has_none(post):
    admin, person = await post.service.make_admin(), await post.person()
    answer = await post.ask("/refresh_tokens", {"user_id": person.id}, headers=admin.bearer)
    assert answer.status_code == 201
    issued = {"authorization": f"Bearer {answer.json()['access_token']}"}
    await post.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '301 seconds' WHERE id = $1::text::uuid",
        person.session_id,
    )
    body = {"current_password": PASSWORD, "new_password": NEW}
    for headers in (person.bearer, issued):
        answer = await post.ask("/users/me/password", body, method="PUT", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    assert await post.opens(person.email, PASSWORD)
