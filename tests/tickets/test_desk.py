"""Tickets: each good for one purpose, one person, one password, one use and a while; and the database holds none."""

import itertools
import json
import string
from datetime import timedelta
from uuid import UUID

import pytest

from keystead.kernel.caller import Operator
from keystead.tickets.types import Purpose, TicketRefused
from tests.accounts.post import NEW, post_office, token_in
from tests.support.people import PASSWORD, make_user, new_email
from tests.support.tickets import change_email_ticket, invitation_ticket, ticket

pytestmark = pytest.mark.anyio

ROUTES = {
    Purpose.VERIFY_EMAIL: ("/api/v1/auth/email/verify", {}),
    Purpose.RESET_PASSWORD: ("/api/v1/auth/password/reset", {"password": NEW}),
    Purpose.CHANGE_EMAIL: ("/api/v1/auth/email/change", {}),
    Purpose.INVITATION: ("/api/v1/auth/invitation/accept", {"password": NEW}),
    Purpose.UNLOCK: ("/api/v1/auth/unlock", {}),
}
SPELLING = string.ascii_letters + string.digits + "-_"


@pytest.fixture(scope="module")
async def post(cluster):
    async with post_office(cluster) as made:
        yield made


async def use(client, purpose, token):
    path, more = ROUTES[purpose]
    return await client.post(path, json={"token": token, **more})


async def ticket_for(core, purpose):
    """A live ticket of somebody of their own, in the state in which it works."""
    if purpose == Purpose.INVITATION:
        return await invitation_ticket(core)
    user_id = await make_user(core, new_email())
    if purpose == Purpose.UNLOCK:
        await core.accounts.lock(Operator(), user_id)
    if purpose == Purpose.CHANGE_EMAIL:
        return await change_email_ticket(core, user_id)
    return await ticket(core, user_id, purpose)


def refused(answer):
    return (answer.status_code, answer.json()["code"]) == (401, "invalid_link")


@pytest.mark.parametrize("purpose", Purpose)
async def test_cve_class_40_a_ticket_is_good_once_and_for_its_own_purpose_only(post, purpose):
    token = await ticket_for(post.core, purpose)
    for other in Purpose:
        if other != purpose:
            assert refused(await use(post.client, other, token))
    assert (await use(post.client, purpose, token)).status_code == 204
    assert refused(await use(post.client, purpose, token))


async def test_cve_class_40_a_ticket_is_good_until_its_time_is_over_and_not_a_second_longer(
    core, client, clock
):
    for purpose, lifetime in core.flows.unlock.desk.lifetimes.items():
        timely, late = await ticket_for(core, purpose), await ticket_for(core, purpose)
        await clock.advance(lifetime - timedelta(seconds=20))
        assert (await use(client, purpose, timely)).status_code == 204
        await clock.advance(timedelta(seconds=21))
        assert refused(await use(client, purpose, late))


@pytest.mark.parametrize("purpose", Purpose)
async def test_cve_class_40_a_ticket_dies_with_the_passwords_version(post, purpose):
    token = await ticket_for(post.core, purpose)
    ticket_id = post.core.flows.unlock.desk.tokens.read(token, purpose)
    await post.sql(
        """UPDATE users SET password_version = password_version + 1
            WHERE id = (SELECT user_id FROM tickets WHERE id = $1)""",
        ticket_id,
    )
    before = await post.sql("SELECT * FROM users ORDER BY id")
    assert refused(await use(post.client, purpose, token))
    assert await post.sql("SELECT * FROM users ORDER BY id") == before


@pytest.mark.parametrize("purpose", Purpose)
async def test_cve_class_40_a_ticket_of_a_person_who_is_gone_is_good_for_nothing(post, purpose):
    token = await ticket_for(post.core, purpose)
    ticket_id = post.core.flows.unlock.desk.tokens.read(token, purpose)
    await post.sql("DELETE FROM users WHERE id = (SELECT user_id FROM tickets WHERE id = $1)", ticket_id)
    assert refused(await use(post.client, purpose, token))


# Forged


async def test_cve_class_27_a_token_that_is_changed_in_any_place_is_none(post):
    token = await ticket_for(post.core, Purpose.RESET_PASSWORD)
    read = post.core.flows.reset_password.desk.tokens.read
    for place, other in itertools.product(range(len(token)), SPELLING + "=+/ \n\u00e9\x00"):
        altered = token[:place] + other + token[place + 1 :]
        if altered != token:
            with pytest.raises(TicketRefused):
                read(altered, Purpose.RESET_PASSWORD)
    assert isinstance(read(token, Purpose.RESET_PASSWORD), UUID)


async def test_cve_class_27_a_token_that_is_cut_or_longer_or_changed_opens_nothing(post):
    token = await ticket_for(post.core, Purpose.RESET_PASSWORD)
    tried = {
        *(token[:length] for length in range(1, len(token))),
        *(token[start:] for start in range(1, len(token))),
        *(
            token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            for place in range(len(token))
        ),
        *(token + more for more in ("=", "==", "A", "AAAA", " ", "\n", "\x00", token)),
        token.upper(),
        f" {token}",
        f"{token[:3]}{token}",
    }
    for forged in tried:
        answer = await use(post.client, Purpose.RESET_PASSWORD, forged)
        assert refused(answer), forged
    assert (await use(post.client, Purpose.RESET_PASSWORD, token)).status_code == 204


async def test_a_ticket_that_was_made_for_one_row_names_no_other(post):
    """The id of a ticket is no secret: without the key nobody spells a token of it."""
    token = await ticket_for(post.core, Purpose.RESET_PASSWORD)
    other = post.core.flows.unlock.desk.tokens.make(UUID(int=7), Purpose.RESET_PASSWORD).reveal()
    for start in range(3, len(token), 4):  # a group of three bytes
        mixed = token[:start] + other[start : start + 4] + token[start + 4 :]
        if mixed != token:
            assert refused(await use(post.client, Purpose.RESET_PASSWORD, mixed))
    assert refused(await use(post.client, Purpose.RESET_PASSWORD, other))


async def test_the_token_and_the_row_of_a_ticket_both_name_its_purpose(post):
    """Each holds without the other: a token is read for no other purpose, and a row is found for no other."""
    desk, db = post.core.flows.unlock.desk, post.core.flows.unlock.db
    token = await ticket_for(post.core, Purpose.VERIFY_EMAIL)
    ticket_id = desk.tokens.read(token, Purpose.VERIFY_EMAIL)
    for other in set(Purpose) - {Purpose.VERIFY_EMAIL}:
        with pytest.raises(TicketRefused):
            desk.tokens.read(token, other)
        misspelled = desk.tokens.make(ticket_id, other).reveal()
        with pytest.raises(TicketRefused):
            await desk.peek(db, misspelled, other)
        assert refused(await use(post.client, other, misspelled))
        with pytest.raises(TicketRefused):
            async with db.begin() as tx:
                await desk.consume(tx, misspelled, other)


@pytest.mark.parametrize("purpose", Purpose)
async def test_cve_class_41_what_is_no_text_is_no_token(post, purpose):
    path, more = ROUTES[purpose]
    wrong: list[object] = ["", None, 0, [], {}, False, 1.5, ["tk_"], "x" * 257]
    for nothing in wrong:
        answer = await post.client.post(path, json={"token": nothing, **more})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/token")
    answer = await post.client.post(path, json=more)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "missing")


# What a copy of the database gives away


async def test_a_copy_of_the_database_opens_nothing_and_names_nobody(post):
    """After every flow: no token of any mail, no address, name, client address or user agent stands there in clear."""
    agent, name = "Wanderer/7.3 (of the test)", "Grace Brewster Hopper"
    headers = {"user-agent": agent}
    emails = {key: new_email() for key in ("old", "new", "attempt", "invited", "locked", "taken")}
    await post.ask(
        "/auth/register",
        {"email": emails["attempt"], "password": PASSWORD, "full_name": name},
        headers=headers,
    )
    await post.core.accounts.invite(Operator(), email=emails["invited"], full_name=name)
    for key in ("old", "locked", "taken"):
        await make_user(post.core, emails[key], full_name=name)
    signed_in = await post.ask("/auth/login", {"email": emails["old"], "password": PASSWORD}, headers=headers)
    bearer = {"authorization": f"Bearer {signed_in.json()['access_token']}", **headers}
    for wanted in (emails["taken"], emails["new"]):
        body = {"email": wanted, "current_password": PASSWORD}
        asked = await post.ask("/users/me/email", body, method="PUT", headers=bearer)
        assert asked.status_code == 202
    await post.forgot(emails["old"])
    [locked] = await post.sql("SELECT id FROM users ORDER BY created_at DESC OFFSET 1 LIMIT 1")
    await post.core.accounts.lock(Operator(), locked["id"])
    waiting = await dump(post)
    await post.deliver()

    links = [token_in(message) for message in post.mailbox.messages if "http" in message.as_string()]
    assert len(links) >= 5
    secrets = [*links, *emails.values(), name, agent, "127.0.0.1", PASSWORD]
    secrets += [signed_in.json()["access_token"], signed_in.json()["refresh_token"]]
    for words in (waiting, await dump(post)):
        for secret in secrets:
            for spelled in (secret, secret.encode().hex(), secret.lower(), json.dumps(secret)[1:-1]):
                assert spelled not in words, secret
            for part in secret.split():
                assert len(part) < 4 or part not in words, part
        for token in links:
            assert token[3:] not in words
            assert token[-43:] not in words  # its MAC alone


async def dump(post):
    """Every row of every table, as text."""
    names = await post.sql("SELECT relname FROM pg_stat_user_tables ORDER BY relname")
    rows = [await post.sql(f"SELECT t::text FROM {row['relname']} t") for row in names]
    return "\n".join(str(each[0]) for each in itertools.chain.from_iterable(rows))
