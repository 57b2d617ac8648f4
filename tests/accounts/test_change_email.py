"""A new address: nothing changes before its mailbox is proven, and nothing of the old mailbox works after."""

import asyncio
from collections import Counter

import pytest

from tests.accounts.post import NEW, OTHER, WRONG, token_in
from tests.contract.service import login
from tests.support.mailbox import text_of
from tests.support.people import PASSWORD, new_email, refresh
from tests.support.tickets import unlock_ticket, verify_ticket

pytestmark = pytest.mark.anyio


async def ask(post, person, email, *, password=PASSWORD, **more):
    body = {"email": email, "current_password": password, **more}
    return await post.ask("/users/me/email", body, method="PUT", headers=person.bearer)


async def confirm(post, token):
    return await post.ask("/auth/email/change", {"token": token})


async def asked(post, person, email=None, **more):
    """The new address, and the token that its mailbox was sent."""
    email = email or new_email()
    assert (await ask(post, person, email, **more)).status_code == 202
    return email, await post.token_to(email)


def refused(answer):
    return (answer.status_code, answer.json()["code"]) == (401, "invalid_link")


async def address_of(post, person):
    return (await post.client.get("/api/v1/users/me", headers=person.bearer)).json()["email"]


async def test_cve_class_42_the_address_moves_when_the_new_mailbox_is_proven_and_not_before(post):
    person = await post.person()
    email, token = await asked(post, person)
    assert await address_of(post, person) == person.email
    assert [await post.opens(each, PASSWORD) for each in (person.email, email)] == [True, False]

    assert (await confirm(post, token)).status_code == 204
    me = (await post.client.get("/api/v1/users/me", headers=person.bearer)).json()
    assert (me["email"], me["email_verified"]) == (email, True)
    assert [await post.opens(each, PASSWORD) for each in (person.email, email)] == [False, True]
    assert refused(await confirm(post, token))


async def test_both_mailboxes_are_told_and_only_the_new_one_gets_a_link(post):
    person = await post.person()
    email, token = await asked(post, person)
    [warned] = post.mailbox.sent_to(person.email)
    assert token not in warned.as_string()
    assert email not in text_of(warned)
    assert (await confirm(post, token)).status_code == 204
    await post.deliver()
    old, new = [
        [message["Subject"] for message in post.mailbox.sent_to(each)] for each in (person.email, email)
    ]
    assert (len(old), len(new)) == (2, 2)
    assert old[-1] == new[-1]
    assert sorted(await post.kinds_of_mail(person.id)) == [
        "change_email",
        "email_change_requested",
        "email_changed",
        "email_changed",
    ]


async def test_other_sessions_end_and_the_one_that_asked_goes_on(post):
    person = await post.person()
    others = [await post.sign_in(person.email) for _ in range(2)]
    _, token = await asked(post, person)
    assert all([await post.is_signed_in(one) for one in (person, *others)])
    assert (await confirm(post, token)).status_code == 204
    assert [await post.is_signed_in(one) for one in (person, *others)] == [True, False, False]
    assert [(await refresh(post.client, one.refresh_token)).status_code for one in others] == [401, 401]
    assert (await refresh(post.client, person.refresh_token)).status_code == 200


async def test_other_sessions_may_stay(post):
    person = await post.person()
    other = await post.sign_in(person.email)
    _, token = await asked(post, person, end_other_sessions=False)
    assert (await confirm(post, token)).status_code == 204
    assert all([await post.is_signed_in(one) for one in (person, other)])


async def test_a_wrong_password_asks_for_nothing_and_is_on_the_trail(post):
    person = await post.person()
    answer = await ask(post, person, new_email(), password=WRONG)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    rows = await post.sql(
        "SELECT event FROM audit_events WHERE subject_id = $1::text::uuid ORDER BY id DESC LIMIT 1", person.id
    )
    assert rows[0]["event"] == "reauthentication.failed"
    tickets = await post.sql("SELECT id FROM tickets WHERE user_id = $1::text::uuid", person.id)
    assert (tickets, await post.kinds_of_mail(person.id)) == ([], [])


async def test_it_needs_a_proof_of_now(post):
    person = await post.person()
    await post.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '301 seconds' WHERE id = $1::text::uuid",
        person.session_id,
    )
    answer = await ask(post, person, new_email())
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")


# Races


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_cve_class_42_of_two_addresses_that_were_asked_for_the_last_one_can_be_proven(post, order):
    person = await post.person()
    links = [await asked(post, person) for _ in range(2)]
    answers = {number: await confirm(post, links[number][1]) for number in order}
    assert refused(answers[0])
    assert answers[1].status_code == 204
    assert await address_of(post, person) == links[1][0]


async def test_cve_class_42_requests_at_the_same_moment_leave_one_link_that_works(post):
    person = await post.person()
    db = post.core.flows.unlock.db
    async with db.begin() as tx:  # both come to where they would write, and then go on
        await tx.execute("SELECT FROM users WHERE id = $1::text::uuid FOR UPDATE", person.id)
        asking = [asyncio.create_task(ask(post, person, new_email())) for _ in range(2)]
        await until_they_wait(db, len(asking))
    assert [(await one).status_code for one in asking] == [202, 202]
    live = await post.sql(
        "SELECT id FROM tickets WHERE user_id = $1::text::uuid AND used_at IS NULL", person.id
    )
    assert len(live) == 1


async def until_they_wait(db, count):
    """Until so many of our statements wait for a lock."""
    waiting = """SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    async with asyncio.timeout(10):
        while (await db.fetch_row(waiting))["count"] < count:
            await asyncio.sleep(0.01)


async def test_cve_class_42_of_addresses_asked_for_and_proven_at_once_one_whose_mailbox_was_proven_wins(post):
    for _ in range(3):
        person = await post.person()
        emails = [new_email() for _ in range(4)]
        answers = await asyncio.gather(*(ask(post, person, email) for email in emails))
        assert {answer.status_code for answer in answers} == {202}
        await post.deliver()
        tokens = {email: token_in(mails[-1]) for email in emails if (mails := post.mailbox.sent_to(email))}
        answers = await asyncio.gather(*(confirm(post, token) for token in tokens.values()))
        won = [email for email, answer in zip(tokens, answers, strict=True) if answer.status_code == 204]
        assert len(won) == 1
        assert await address_of(post, person) == won[0]
        live = await post.sql(
            "SELECT id FROM tickets WHERE user_id = $1::text::uuid AND used_at IS NULL", person.id
        )
        assert live == []


async def test_cve_class_42_links_to_two_addresses_that_both_live_move_the_account_once(post):
    """As two requests would leave them that did not see each other."""
    for _ in range(3):
        person = await post.person()
        links = [await asked(post, person) for _ in range(2)]
        await post.sql("UPDATE tickets SET used_at = NULL WHERE user_id = $1::text::uuid", person.id)
        answers = await asyncio.gather(*(confirm(post, token) for _, token in links))
        assert sorted(answer.status_code for answer in answers) == [204, 401]
        winner = next(number for number, answer in enumerate(answers) if answer.status_code == 204)
        assert await address_of(post, person) == links[winner][0]


async def test_two_accounts_that_prove_one_address_at_once_do_not_share_it(post):
    for _ in range(3):
        people = [await post.person() for _ in range(2)]
        email = new_email()
        for person in people:
            assert (await ask(post, person, email)).status_code == 202
        tokens = [token_in(message) for message in await post.mails_to(email)]
        answers = await asyncio.gather(*(confirm(post, token) for token in tokens))
        assert Counter(answer.status_code for answer in answers) == {204: 1, 409: 1}
        assert sorted([await address_of(post, person) == email for person in people]) == [False, True]


async def test_an_attempt_to_register_the_new_address_gets_nothing(post):
    person = await post.person()
    email, token = await asked(post, person)
    await post.attempt(email, OTHER)
    attempted = await post.token_to(email)
    assert (await confirm(post, token)).status_code == 204
    answer = await post.ask("/auth/email/verify", {"token": attempted})
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert [await post.opens(email, each) for each in (PASSWORD, OTHER)] == [True, False]


# What voids what


async def test_cve_class_40_a_password_changed_in_between_voids_the_link(post):
    person = await post.person()
    email, token = await asked(post, person)
    changed = await post.ask(
        "/users/me/password",
        {"current_password": PASSWORD, "new_password": NEW},
        method="PUT",
        headers=person.bearer,
    )
    assert changed.status_code == 204
    assert refused(await confirm(post, token))
    assert await address_of(post, person) == person.email
    assert not await post.opens(email, NEW)


@pytest.mark.parametrize("status", ["disabled", "locked"])
async def test_an_account_that_is_not_open_does_not_move(post, status):
    person = await post.person()
    _, token = await asked(post, person)
    await post.set_status(person.id, status)
    before = await post.user(person.id)
    assert refused(await confirm(post, token))
    assert await post.user(person.id) == before


async def test_nothing_that_the_old_mailbox_holds_opens_the_account_after_it_moved(post):
    person = await post.person()
    await post.forgot(person.email)
    old = await post.token_to(person.email)
    proof = await verify_ticket(post.core, person.id)
    email, token = await asked(post, person)
    assert (await confirm(post, token)).status_code == 204
    assert refused(await post.ask("/auth/password/reset", {"token": old, "password": OTHER}))
    assert refused(await post.ask("/auth/email/verify", {"token": proof}))
    assert await post.opens(email, PASSWORD)


async def test_what_waits_for_the_old_mailbox_is_not_sent_to_either(post):
    person = await post.person()
    _, token = await asked(post, person)
    await post.forgot(person.email)
    while await post.core.mail.deliver.answer_mail_request():
        pass
    assert (await confirm(post, token)).status_code == 204
    await post.deliver()
    assert "reset_password" not in await post.kinds_of_mail(person.id)
    assert "email_changed" in await post.kinds_of_mail(person.id)


async def test_a_link_of_before_the_move_unlocks_nothing(post):
    person = await post.person()
    _, moving = await asked(post, person)
    unlocking = await unlock_ticket(post.core, person.id)
    await post.set_status(person.id, "active")
    assert (await confirm(post, moving)).status_code == 204
    await post.set_status(person.id, "locked")
    assert refused(await post.ask("/auth/unlock", {"token": unlocking}))
    assert (await post.user(person.id))["status"] == "locked"


async def test_the_new_address_is_the_one_that_forgets_and_the_old_one_is_free(post):
    person = await post.person()
    email, token = await asked(post, person)
    assert (await confirm(post, token)).status_code == 204
    stranger = await post.person(email=person.email)
    await post.forgot(person.email)
    assert (
        await post.ask(
            "/auth/password/reset", {"token": await post.token_to(person.email), "password": OTHER}
        )
    ).status_code == 204
    assert (await login(post.client, email)).status_code == 200
    assert [await post.opens(stranger.email, each) for each in (PASSWORD, OTHER)] == [False, True]
