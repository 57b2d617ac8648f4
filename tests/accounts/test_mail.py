"""Delivery: what was asked for arrives once, whatever fails on the way, and says only what it should."""

import asyncio
import dataclasses
import re
import threading
from collections import Counter
from datetime import timedelta

import pytest

from keystead.accounts.deliver_mail import LEASE, MAX_TRIES
from keystead.kernel.caller import Operator
from keystead.kernel.clock import Clock
from tests.accounts.post import NEW, Post, post_office, settings_to, token_in
from tests.contract.service import serving_over
from tests.support.mailbox import Mailbox, html_of, link_in, text_of
from tests.support.people import PASSWORD, make_user, new_email
from tests.support.server import serving

pytestmark = pytest.mark.anyio

OURS = "https://id.example"
PROVEN = {"AUTH__REQUIRE_VERIFIED_EMAIL": "true"}
SHOP = "https://shop.example/reset#token={token}"


@pytest.fixture(scope="module")
async def post(cluster):
    """With a second application, which has a page of its own."""
    settings = {"SERVER__PUBLIC_URL": OURS, "APPLICATIONS__SHOP__LINKS__RESET_URL": SHOP}
    async with post_office(cluster, **settings) as made:
        yield made


@pytest.fixture(autouse=True)
async def _tidy(request):
    """Nothing of one test waits in the queue of the next, and the mailbox takes everything again."""
    yield
    if "post" in request.fixturenames:
        post = request.getfixturevalue("post")
        post.mailbox.answer_with(None)
        await post.sql("DELETE FROM mails")


async def notices(post, count):
    """So many people with one mail each under way; their addresses."""
    people = [await post.person() for _ in range(count)]
    for person in people:
        await post.forgot(person.email)
    return [person.email for person in people]


async def queue_of(post):
    return await post.sql(
        "SELECT tries, sent_at, failed_at, failure, due_at > keystead_now() AS waits FROM mails ORDER BY created_at"
    )


async def make_due(post):
    """As if the pauses, and the leases of those who died, were over."""
    await post.sql("UPDATE mails SET due_at = keystead_now() WHERE sent_at IS NULL")


# The mail server fails


async def test_while_the_mail_server_is_away_mails_wait_and_then_each_arrives_once(post):
    emails = await notices(post, 25)
    await asyncio.to_thread(post.mailbox.stop)
    for _ in range(4):
        await post.deliver()
        await make_due(post)
    rows = await queue_of(post)
    assert Counter((row["tries"], row["sent_at"], row["failed_at"]) for row in rows) == {(0, None, None): 25}
    await asyncio.to_thread(post.mailbox.start)
    await post.deliver()
    await post.deliver()
    assert [len(post.mailbox.sent_to(email)) for email in emails] == [1] * 25


async def test_a_server_that_is_away_is_not_asked_again_at_once(post):
    await notices(post, 25)
    while await post.core.mail.deliver.answer_mail_request():
        pass
    await asyncio.to_thread(post.mailbox.stop)
    assert await post.core.mail.deliver() is False  # "there is more" would be asked for at once
    await asyncio.to_thread(post.mailbox.start)


async def test_a_mail_that_is_deferred_is_tried_again_after_longer_and_longer_pauses(post):
    [email] = await notices(post, 1)
    post.mailbox.answer_with("451 4.7.1 later", to=email)
    pauses = []
    for number in range(1, 5):
        await post.deliver()
        [row] = await post.sql("SELECT tries, due_at - keystead_now() AS pause FROM mails")
        assert row["tries"] == number
        pauses.append(round(row["pause"].total_seconds()))
        assert await post.core.mail.deliver() is False  # and not before the pause is over
        assert (await queue_of(post))[0]["tries"] == number
        await make_due(post)
    assert pauses == [5, 10, 20, 40]
    post.mailbox.answer_with(None)
    assert len(await post.mails_to(email)) == 1


async def test_what_is_deferred_too_often_is_set_aside(post):
    [email] = await notices(post, 1)
    post.mailbox.answer_with("451 4.7.1 later", to=email)
    for _ in range(MAX_TRIES + 1):
        await post.deliver()
        await make_due(post)
    [row] = await queue_of(post)
    assert (row["failure"], row["failed_at"] is not None) == ("too_many_tries", True)
    post.mailbox.answer_with(None)
    assert await post.mails_to(email) == []


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_what_is_refused_for_good_is_set_aside_and_the_rest_goes_on(post, stage):
    first, refused, last = await notices(post, 3)
    if stage == "MAIL":
        post.mailbox.answer_with("550 5.1.1 nobody here", at="MAIL")
        await post.deliver()
        assert {row["failure"] for row in await queue_of(post)} == {"refused: 550 5.1.1"}
        return
    post.mailbox.answer_with(f"550 5.1.1 <{refused}> is unknown", to=refused, at=stage)
    await post.deliver()
    assert [len(post.mailbox.sent_to(each)) for each in (first, refused, last)] == [1, 0, 1]
    assert Counter(row["failure"] for row in await queue_of(post)) == {None: 2, "refused: 550 5.1.1": 1}
    await make_due(post)
    post.mailbox.answer_with(None)
    await post.deliver()
    assert post.mailbox.sent_to(refused) == []


async def test_a_mail_at_which_the_server_hangs_up_does_not_keep_those_behind_it_waiting(post):
    poison, *behind = await notices(post, 4)
    post.mailbox.answer_with("421 4.3.2 goodbye", to=poison)
    for _ in range(3):  # as if five seconds passed after each
        await post.deliver()
        await post.sql("UPDATE mails SET due_at = due_at - interval '5.1 seconds'")
    assert [len(post.mailbox.sent_to(each)) for each in (poison, *behind)] == [0, 1, 1, 1]
    post.mailbox.answer_with(None)
    await make_due(post)
    await post.deliver()
    assert len(post.mailbox.sent_to(poison)) == 1


async def test_a_mail_that_cannot_be_written_does_not_keep_those_behind_it_waiting(post):
    broken, fine = [await post.person() for _ in range(2)]
    for person in (broken, fine):
        await post.forgot(person.email)
    await post.sql("UPDATE users SET full_name_sealed = '\\x00' WHERE id = $1::text::uuid", broken.id)
    await post.deliver()
    assert [len(post.mailbox.sent_to(each.email)) for each in (broken, fine)] == [0, 1]
    assert Counter(row["failure"] for row in await queue_of(post)) == {None: 1, "cannot be written": 1}


# Several senders, and those who die


class HeldMailbox(Mailbox):
    """Says that it took a mail only when it is let go."""

    def __init__(self):
        super().__init__()
        self.has_one = threading.Event()
        self.go_on = threading.Event()

    def take(self, content):
        super().take(content)
        self.has_one.set()
        self.go_on.wait(30)


@pytest.fixture
async def held():
    box = HeldMailbox()
    await asyncio.to_thread(box.start)
    yield box
    box.go_on.set()
    await asyncio.to_thread(box.close)


async def test_asking_for_mail_never_waits_for_the_mail_server(cluster, held):
    async with cluster.clone() as urls, serving_over(urls, **PROVEN, **settings_to(held)) as service:
        post = Post(service, held)
        first, second = [await post.person() for _ in range(2)]
        await post.forgot(first.email)
        sending = asyncio.create_task(post.deliver())
        await asyncio.to_thread(held.has_one.wait, 10)
        assert held.has_one.is_set()
        await post.forgot(second.email)
        await post.resend(second.email)
        await post.attempt(new_email())
        asked = await post.ask(
            "/users/me/email",
            {"email": new_email(), "current_password": PASSWORD},
            method="PUT",
            headers=second.bearer,
        )
        assert asked.status_code == 202
        assert not sending.done()  # all of this was answered while the server still held the first mail
        held.go_on.set()
        await sending


async def test_two_rounds_at_once_never_send_one_mail_twice(post):
    emails = await notices(post, 30)
    while any(await asyncio.gather(*(post.core.mail.deliver() for _ in range(4)))):
        pass
    assert [len(post.mailbox.sent_to(email)) for email in emails] == [1] * 30


class Leaping(Clock):
    """Each look at it is most of half a lease later than the one before."""

    def __init__(self):
        self._looks = 0

    def now(self):
        self._looks += 1
        return super().now() + LEASE / 2 * 0.4 * self._looks


async def test_what_a_slow_round_cannot_send_within_its_lease_is_left_to_another(post):
    emails = await notices(post, 6)
    while await post.core.mail.deliver.answer_mail_request():
        pass
    slow = dataclasses.replace(post.core.mail.deliver, clock=Leaping())
    await slow()
    sent = [len(post.mailbox.sent_to(email)) for email in emails]
    assert 0 < sum(sent) < 6
    rows = await queue_of(post)
    assert Counter(
        (row["tries"], row["sent_at"] is not None, row["waits"]) for row in rows if not row["sent_at"]
    ) == {(0, False, False): 6 - sum(sent)}
    await post.deliver()
    assert [len(post.mailbox.sent_to(email)) for email in emails] == [1] * 6


async def test_two_workers_and_one_that_is_killed_while_sending_lose_no_mail(cluster, held):
    """A duplicate comes under the same Message-ID: the server had it, and nobody was left to note that."""
    async with cluster.clone() as urls, serving_over(urls) as service:
        emails = [new_email() for _ in range(30)]
        for email in emails:
            user_id = await make_user(service.core, email)
            await service.core.accounts.start_reset(Operator(), user_id)
        async with serving(urls, workers=1, **settings_to(held)) as first:
            await asyncio.to_thread(held.has_one.wait, 20)
            first.workers[0].kill9()
            assert len(held.messages) == 1
            held.go_on.set()
            rows = await service.sql("SELECT id FROM mails WHERE sent_at IS NULL AND due_at > keystead_now()")
            assert len(rows) == 20, "the batch of the dead worker is under lease"
        async with serving(urls, workers=2, **settings_to(held)):
            await held.wait_for(1 + 10)
            assert len({message["To"] for message in held.messages[1:]} & {held.messages[0]["To"]}) == 0
            await service.sql("UPDATE mails SET due_at = keystead_now() WHERE sent_at IS NULL")
            await held.wait_for(30 + 1)
            while await service.sql("SELECT id FROM mails WHERE sent_at IS NULL"):
                await asyncio.sleep(0.02)
        ids = Counter(message["Message-ID"] for message in held.messages)
        twice = held.messages[0]["Message-ID"]
        assert ids == {
            message["Message-ID"]: 2 if message["Message-ID"] == twice else 1 for message in held.messages
        }
        assert {len(held.sent_to(email)) for email in emails} == {1, 2}
        assert len(ids) == 30


# What is not worth sending any more


@pytest.mark.parametrize("end", ["used", "expired", "void", "another password", "gone"])
async def test_a_mail_whose_link_works_no_more_is_not_sent(post, end):
    person = await post.person()
    await post.forgot(person.email)
    assert await post.core.mail.deliver.answer_mail_request()
    match end:
        case "expired":
            await post.sql("UPDATE tickets SET expires_at = keystead_now()")
        case "another password":
            await post.sql("UPDATE users SET password_version = password_version + 1")
        case "gone":
            await post.sql("DELETE FROM users WHERE id = $1::text::uuid", person.id)
        case _:
            await post.sql("UPDATE tickets SET used_at = keystead_now()")
    assert await post.mails_to(person.email) == []
    assert await queue_of(post) == []


class TestTime:
    @pytest.fixture
    def configured(self, box):
        return settings_to(box)

    @pytest.fixture
    async def box(self):
        made = Mailbox()
        await asyncio.to_thread(made.start)
        yield made
        await asyncio.to_thread(made.close)

    async def test_a_mail_expires_before_its_ticket_does_and_is_then_set_aside(self, core, db, clock, box):
        email = new_email()
        await core.accounts.start_reset(Operator(), await make_user(core, email))
        [row] = await db.fetch(
            "SELECT m.expires_at < t.expires_at AS before FROM mails m JOIN tickets t ON t.id = m.ticket_id"
        )
        assert row["before"]
        await clock.advance(timedelta(minutes=28))  # of thirty
        [row] = await db.fetch("SELECT keystead_now() < expires_at AS lives FROM tickets")
        assert row["lives"]
        await core.mail.deliver()
        assert box.messages == []
        [row] = await db.fetch("SELECT failure FROM mails")
        assert row["failure"] == "expired"

    async def test_what_a_mail_says_of_its_time_is_true_when_it_is_sent_late(self, core, clock, box):
        email = new_email()
        await core.accounts.start_reset(Operator(), await make_user(core, email))
        await clock.advance(timedelta(minutes=10))
        await core.mail.deliver()
        [message] = box.sent_to(email)
        assert re.search(r"\b(19|20)\s+minutes", text_of(message))


# What a mail says


@pytest.mark.parametrize(
    "spoof",
    [
        {"host": "evil.example"},
        {"x-forwarded-host": "evil.example"},
        {"x-forwarded-proto": "ftp", "x-forwarded-port": "666", "x-forwarded-prefix": "/evil"},
        {"forwarded": "host=evil.example;proto=ftp"},
        {
            "x-original-url": "//evil.example/",
            "x-rewrite-url": "//evil.example/",
            "origin": "https://evil.example",
        },
    ],
)
async def test_cve_class_38_no_header_of_a_request_comes_into_a_link(post, spoof):
    person, waiting = await post.person(), new_email()
    asked = [
        await post.ask("/auth/password/forgot", {"email": person.email}, headers=spoof),
        await post.ask("/auth/register", {"email": waiting, "password": PASSWORD}, headers=spoof),
    ]
    assert {answer.status_code for answer in asked} <= {202, 400}  # a Host that is not ours may be refused
    for answer, email in zip(asked, (person.email, waiting), strict=True):
        if answer.status_code == 202:
            [message] = await post.mails_to(email)
            assert link_in(message).startswith(f"{OURS}/")
            assert "evil" not in message.as_string()


async def test_a_link_leads_to_the_page_of_the_application_that_asked(post):
    person = await post.person()
    await post.forgot(person.email, client_id="shop")
    await post.forgot(person.email)
    shop, ours = await post.mails_to(person.email)
    token = link_in(shop).partition("#token=")[2]
    assert link_in(shop) == SHOP.replace("{token}", token)
    assert link_in(ours) == f"{OURS}/reset/{token_in(ours)}"
    reset = await post.ask("/auth/password/reset", {"token": token, "password": NEW})
    assert reset.status_code == 204
    answer = await post.ask("/auth/password/forgot", {"email": person.email, "client_id": "evil"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/client_id")


@pytest.mark.parametrize(
    ("locale", "subject"),
    [
        ("de", "Passwort"),
        ("de-AT", "Passwort"),
        ("en", "password"),
        ("xx", "password"),
        ("../../etc/passwd", "password"),
        ({"de": 1}, "password"),
        (None, "password"),
    ],
)
async def test_a_mail_is_written_in_the_language_that_its_reader_prefers(post, locale, subject):
    person = await post.person()
    changed = await post.ask(
        "/users/me", {"preferences": {"locale": locale}}, method="PUT", headers=person.bearer
    )
    assert changed.status_code == 200
    await post.forgot(person.email)
    [message] = await post.mails_to(person.email)
    assert subject.lower() in message["Subject"].lower()


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "https://evil.example/win",
        "Bcc: victim@example.net",
        "=?utf-8?q?evil?=",
        "{{ link }} {% raw %}",
        "Visit evil.example now",
        "x" * 200,
    ],
)
async def test_cve_class_89_a_hostile_name_is_words_in_a_mail_and_nothing_else(post, name):
    person = await post.person(full_name=name)
    await post.forgot(person.email)
    [message] = await post.mails_to(person.email)
    assert set(message.keys()) == set((await plain_mail(post)).keys())
    html, text = html_of(message), text_of(message)
    assert not re.search(r"<(script|img)\b", html)
    assert re.findall(r'href="(http[^"]*)"', html) == [link_in(message)] * html.count('href="http')
    assert "evil.example" not in html + text
    assert link_in(message).startswith(OURS)


async def plain_mail(post):
    person = await post.person(full_name=None)
    await post.forgot(person.email)
    [message] = await post.mails_to(person.email)
    return message
