"""Proving an address, and asking for mail: who is written to, and that nobody can tell from the answer."""

import asyncio
from collections import Counter
from contextlib import contextmanager

import asyncpg
import pytest

from keystead.kernel.caller import Operator
from tests.accounts.post import NEW, OTHER, token_in
from tests.contract.service import login
from tests.security.test_enumeration import bare
from tests.support.people import PASSWORD, new_email
from tests.support.tickets import verify_ticket

pytestmark = pytest.mark.anyio

STATES = (
    "unknown",
    "active",
    "unproven",
    "pending",
    "twice pending",
    "disabled",
    "locked",
    "erased",
    "invited",
)
FLOWS = ("forgot", "resend", "register", "change")
# State × flow: the mail that goes to the address, if any.
MAILS = {
    "unknown": (None, None, "verify_email", "change_email"),
    "active": ("reset_password", "already_registered", "already_registered", "email_in_use"),
    "unproven": ("reset_password", "verify_email", "verify_email", "email_in_use"),
    "pending": ("complete_registration", "verify_email", "verify_email", "change_email"),
    "twice pending": ("complete_registration", "complete_registration", "verify_email", "change_email"),
    "disabled": (None, None, None, "email_in_use"),
    "locked": ("reset_password", "already_registered", "already_registered", "email_in_use"),
    "erased": (None, None, "verify_email", "change_email"),
    "invited": ("invitation", "invitation", "verify_email", "change_email"),
}


async def verify(post, token):
    return await post.ask("/auth/email/verify", {"token": token})


def refused(answer):
    return (answer.status_code, answer.json()["code"]) == (401, "invalid_link")


async def address_in(post, state):
    """An address whose account is in this state, with no mail under way."""
    email = new_email()
    match state:
        case "unknown":
            pass
        case "pending" | "twice pending":
            for _ in range(1 if state == "pending" else 2):
                await post.attempt(email)
        case "invited":
            await post.core.accounts.invite(Operator(), email=email)
        case _:
            person = await post.person(email=email)
            if state == "erased":
                await post.client.delete("/api/v1/users/me", headers=person.bearer)
            elif state == "unproven":
                await post.sql(
                    "UPDATE users SET email_verified_at = NULL WHERE id = $1::text::uuid", person.id
                )
            else:
                await post.set_status(person.id, state)
    await post.deliver()
    await post.sql("DELETE FROM mails WHERE sent_at IS NOT NULL")
    return email


async def do(post, flow, email, *, by=None):
    match flow:
        case "forgot":
            return await post.ask("/auth/password/forgot", {"email": email})
        case "resend":
            return await post.ask("/auth/email/resend", {"email": email})
        case "register":
            return await post.ask("/auth/register", {"email": email, "password": OTHER})
        case _:
            by = by or await post.person()
            body = {"email": email, "current_password": PASSWORD}
            return await post.ask("/users/me/email", body, method="PUT", headers=by.bearer)


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("state", STATES)
async def test_each_state_and_each_flow_lead_to_the_one_mail_that_is_right_or_to_none(post, state, flow):
    email = await address_in(post, state)
    asking = await post.person()
    before = len(post.mailbox.sent_to(email))
    assert (await do(post, flow, email, by=asking)).status_code == 202
    sent = await post.mails_to(email)
    wanted = MAILS[state][FLOWS.index(flow)]
    kinds = [row["kind"] for row in await post.sql("SELECT kind FROM mails ORDER BY created_at")]
    told = ["email_change_requested"] if flow == "change" else []  # to the address of before
    assert Counter(kinds) == Counter([*told, *([wanted] if wanted else [])])
    assert len(sent) - before == (1 if wanted else 0)
    await post.sql("DELETE FROM mails")


# Equal answers, equal work


@pytest.mark.parametrize("flow", FLOWS)
async def test_asvs_v5_6_3_8_and_cve_class_45_no_answer_tells_whether_an_address_has_an_account(
    post, monkeypatch, flow
):
    answers, work = {}, {}
    await do(post, flow, new_email())  # what a worker learns with its first request is not of interest
    for state in STATES:
        email = await address_in(post, state)
        asking = await post.person() if flow == "change" else None
        rows = await rows_of(post)
        with statements_sent(monkeypatch) as sent:
            answers[state] = bare(await do(post, flow, email, by=asking))
        work[state] = (sent, await rows_of(post) - rows)
    assert len(set(map(str, answers.values()))) == 1, answers
    assert answers["unknown"][0] == 202
    for state in STATES:
        assert work[state] == work["unknown"], state
    assert len(work["unknown"][0]) >= 2


async def rows_of(post):
    """How many rows each table has."""
    names = await post.sql(
        "SELECT relname FROM pg_stat_user_tables WHERE relname <> 'schema_migrations' ORDER BY relname"
    )
    parts = [f"SELECT '{row['relname']}' AS name, count(*) AS count FROM {row['relname']}" for row in names]
    return Counter({row["name"]: row["count"] for row in await post.sql(" UNION ALL ".join(parts))})


@contextmanager
def statements_sent(monkeypatch):
    """A list that grows by the SQL of each statement within the block."""
    sent = []
    with monkeypatch.context() as patch:
        for name in ("fetch", "fetchrow", "execute"):
            send = getattr(asyncpg.Connection, name)

            async def noted(connection, sql, *args, send=send, **more):
                sent.append(sql)
                return await send(connection, sql, *args, **more)

            patch.setattr(asyncpg.Connection, name, noted)
        yield sent


async def test_a_new_address_that_is_taken_is_told_to_its_owner_and_to_nobody_else(post):
    asking, owner = await post.person(), await post.person()
    free, taken = new_email(), owner.email
    answers = [bare(await do(post, "change", email, by=asking)) for email in (free, taken)]
    assert answers[0] == answers[1]
    await post.deliver()
    assert await post.kinds_of_mail(owner.id) == ["email_in_use"]
    assert [len(post.mailbox.sent_to(email)) for email in (free, taken)] == [0, 1]


async def test_cve_class_45_the_export_of_an_account_does_not_tell_whether_the_address_it_asked_for_is_taken(
    post,
):
    bundles = []
    for email in (new_email(), (await post.person()).email):
        asking = await post.person()
        await do(post, "change", email, by=asking)
        await post.deliver()
        bundle = (await post.client.get("/api/v1/users/me/export", headers=asking.bearer)).json()
        bundles.append(bundle)
    kinds = [
        ([mail["kind"] for mail in bundle["mails"]], [link["purpose"] for link in bundle["links"]])
        for bundle in bundles
    ]
    assert kinds == [(["email_change_requested"], ["change_email"])] * 2


async def test_fifty_requests_send_five_mails_an_hour(post):
    person, waiting = await post.person(), new_email()
    await post.attempt(waiting)
    await post.attempt(waiting)
    await asyncio.gather(*(post.forgot(email) for _ in range(50) for email in (person.email, waiting)))
    await asyncio.gather(*(post.resend(waiting) for _ in range(50)))
    assert Counter(await post.kinds_of_mail(person.id)) == {}
    assert len(await post.mails_to(person.email)) == 5
    assert len(await post.mails_to(waiting)) == 2 + 5  # the attempts' own, and those to complete them
    await post.sql("UPDATE mails SET created_at = created_at - interval '1 hour'")
    await post.forgot(person.email)
    assert len(await post.mails_to(person.email)) == 6


async def test_many_workers_that_answer_at_once_send_five_mails_too(post):
    person = await post.person()
    await asyncio.gather(*(post.forgot(person.email) for _ in range(40)))
    answer = post.core.mail.deliver.answer_mail_request
    while all(await asyncio.gather(*(answer() for _ in range(8)))):
        pass
    assert await post.kinds_of_mail(person.id) == ["reset_password"] * 5


async def test_registering_somebodys_address_again_and_again_sends_five_mails_and_leaves_few_attempts(post):
    victim = new_email()
    for _ in range(12):
        await post.attempt(victim, OTHER)
    assert len(await post.mails_to(victim)) == 5
    [row] = await post.sql(
        """SELECT count(*) FROM users
            WHERE email_index = (SELECT email_index FROM users ORDER BY created_at DESC LIMIT 1)"""
    )
    assert row["count"] == 5
    await post.resend(victim)
    token = await post.token_to(victim)
    reset = await post.ask("/auth/password/reset", {"token": token, "password": NEW})
    assert reset.status_code == 204
    assert [await post.opens(victim, each) for each in (NEW, OTHER)] == [True, False]


async def test_asking_for_one_new_address_after_the_other_sends_five_mails_to_strangers_an_hour(post):
    asking, victim = await post.person(), new_email()
    for _ in range(8):
        assert (await do(post, "change", victim, by=asking)).status_code == 202
        await post.deliver()
    assert len(post.mailbox.sent_to(victim)) == 5


async def test_a_damaged_request_does_not_keep_those_behind_it_waiting(post):
    asking, person = await post.person(), await post.person()
    await do(post, "change", new_email(), by=asking)
    await post.sql("UPDATE tickets SET content_sealed = '\\x00' WHERE user_id = $1::text::uuid", asking.id)
    await post.forgot(person.email)
    assert len(await post.mails_to(person.email)) == 1


# What the link does


async def test_the_link_of_an_attempt_makes_that_attempt_the_account_and_no_other(post):
    email = new_email()
    for password in (OTHER, PASSWORD, NEW):
        await post.attempt(email, password)
    first, second, third = await post.mails_to(email)
    assert (await login(post.client, email, NEW)).json()["code"] == "email_unverified"
    assert (await verify(post, token_in(second))).status_code == 204
    assert [await post.opens(email, each) for each in (OTHER, PASSWORD, NEW)] == [False, True, False]
    for message in (first, second, third):
        assert refused(await verify(post, token_in(message)))
    assert [await post.opens(email, each) for each in (OTHER, PASSWORD, NEW)] == [False, True, False]
    [row] = await post.sql(
        """SELECT (SELECT count(*) FROM users WHERE status = 'pending'
                     AND email_index = (SELECT email_index FROM users ORDER BY created_at DESC LIMIT 1)) AS attempts,
                  (SELECT count(*) FROM data_keys WHERE owner_id NOT IN (SELECT id FROM users)) AS keys"""
    )
    assert tuple(row) == (0, 0)


async def test_of_the_links_of_several_attempts_at_once_one_wins_and_none_waits_for_the_other_for_ever(post):
    for _ in range(3):
        email = new_email()
        passwords = [f"{number} {NEW}" for number in range(4)]
        for password in passwords:
            await post.attempt(email, password)
        tokens = [token_in(message) for message in await post.mails_to(email)]
        answers = await asyncio.gather(*(verify(post, token) for token in tokens))
        assert sorted(answer.status_code for answer in answers) == [204, 401, 401, 401]
        winner = next(number for number, answer in enumerate(answers) if answer.status_code == 204)
        opened = [await post.opens(email, password) for password in passwords]
        assert opened == [number == winner for number in range(4)]


async def test_an_attempt_cannot_take_an_address_that_has_an_account_by_now(post):
    email = new_email()
    await post.attempt(email, OTHER)
    [message] = await post.mails_to(email)
    await post.person(email=email)
    answer = await verify(post, token_in(message))
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert [await post.opens(email, each) for each in (PASSWORD, OTHER)] == [True, False]


async def test_another_link_goes_to_an_account_whose_address_nobody_proved(post):
    person = await post.person()
    await post.sql("UPDATE users SET email_verified_at = NULL WHERE id = $1::text::uuid", person.id)
    await post.resend(person.email)
    assert (await verify(post, await post.token_to(person.email))).status_code == 204
    assert (await post.user(person.id))["email_verified_at"] is not None
    events = await post.sql(
        "SELECT count(*) FROM audit_events WHERE event = 'user.verified' AND subject_id = $1::text::uuid",
        person.id,
    )
    assert events[0]["count"] == 1
    assert await post.is_signed_in(person)


@pytest.mark.parametrize("status", ["disabled", "erased"])
async def test_a_closed_account_is_not_proven(post, status):
    person = await post.person()
    token = await verify_ticket(post.core, person.id)
    if status == "erased":
        await post.client.delete("/api/v1/users/me", headers=person.bearer)
    else:
        await post.set_status(person.id, status)
    before = await post.user(person.id)
    assert refused(await verify(post, token))
    assert await post.user(person.id) == before


async def test_cve_class_42_nobody_proves_an_address_by_saying_so(post):
    person, admin = await post.person(), await post.service.make_admin()
    for path, headers in (("/users/me", person.bearer), (f"/users/{person.id}", admin.bearer)):
        for method in ("PUT", "PATCH"):
            for claim in ({"email_verified": True}, {"email": new_email()}, {"status": "active"}):
                answer = await post.ask(path, claim, method=method, headers=headers)
                assert answer.status_code == 422
                assert answer.json()["errors"][0]["code"] == "unknown_field"
    for claim in ({"email_verified": True}, {"status": "active"}):
        body = {"email": new_email(), "password": PASSWORD, **claim}
        assert (await post.ask("/auth/register", body)).status_code == 422
