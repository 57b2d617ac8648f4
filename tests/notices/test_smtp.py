"""Sending, against real servers on loopback: good ones, refusing ones, and broken ones."""

import asyncio
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from keystead.kernel.errors import CannotStart
from keystead.kernel.secrets import Secret
from keystead.notices.message import compose, parse_sender
from keystead.notices.smtp import MailDeferred, MailRejected, MailServerDown, Smtp, SmtpServer
from keystead.notices.types import RenderedMail
from tests.notices.conftest import make_authority
from tests.support.mailbox import html_of, link_in, mailbox, text_of

pytestmark = pytest.mark.anyio
PATIENT = timedelta(seconds=20)
HASTY = timedelta(seconds=0.3)
LOGIN = ("keystead", "a passwörd")


def server_at(port, *, security="none", timeout=PATIENT, login=None, ca_file=None, host="127.0.0.1"):
    username, password = login or (None, None)
    secret = Secret(password) if password is not None else None
    return Smtp(SmtpServer(host, port, security, username, secret, timeout, ca_file))


def message_to(recipient, *, subject="Hello", text="Grüße\n.\nein Punkt"):
    mail = RenderedMail(subject, text, f"<p>{text}</p>")
    sender = parse_sender("App <no-reply@example.com>")
    return compose(mail, mail_id=uuid4(), sender=sender, recipient=recipient, sent_at=datetime.now(UTC))


async def send(smtp, *recipients):
    async with smtp.connect() as connection:
        for recipient in recipients:
            await connection.send(message_to(recipient))


# Good servers


async def test_a_message_arrives_as_it_was_composed():
    sent = message_to("ada@example.org")
    async with mailbox() as box:
        async with server_at(box.port).connect() as connection:
            await connection.send(sent)
        [message] = await box.wait_for(1)
    assert message.items() == [(name, str(value)) for name, value in sent.items()]
    assert text_of(message) == "Grüße\n.\nein Punkt\n"
    assert "<p>Grüße" in html_of(message)


async def test_several_messages_go_over_one_connection():
    async with mailbox() as box:
        await send(server_at(box.port), "a@example.org", "b@example.org", "c@example.org")
        assert [message["To"] for message in box.messages] == [
            "a@example.org",
            "b@example.org",
            "c@example.org",
        ]


async def test_a_message_goes_over_starttls_with_a_login(authority):
    async with mailbox(tls=authority.serving("127.0.0.1"), starttls=True, login=LOGIN) as box:
        await send(
            server_at(box.port, security="starttls", login=LOGIN, ca_file=authority.ca_file), "a@example.org"
        )
        assert len(box.messages) == 1


async def test_a_message_goes_over_tls_from_the_first_byte(authority):
    async with mailbox(tls=authority.serving("localhost")) as box:
        smtp = server_at(box.port, security="tls", ca_file=authority.ca_file, host="localhost")
        await send(smtp, "a@example.org", "b@example.org")
        assert len(box.messages) == 2


async def test_an_international_address_goes_to_a_server_that_takes_it():
    async with mailbox() as box:
        await send(server_at(box.port), "jürgen@bücher.example")
        assert box.messages[0]["To"].addresses[0].addr_spec == "jürgen@xn--bcher-kva.example"


async def test_an_international_address_is_rejected_where_the_server_lacks_it_and_the_next_mail_goes():
    async with mailbox(smtputf8=False) as box, server_at(box.port).connect() as connection:
        with pytest.raises(MailRejected, match=r"^553 5\.6\.7$"):
            await connection.send(message_to("jürgen@example.org"))
        await connection.send(message_to("ada@example.org"))
        assert len(box.messages) == 1


# Refused mails


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("reply", "kind", "shown"),
    [
        ("450 4.2.1 <ada@example.org> is busy", MailDeferred, "450 4.2.1"),
        ("451 later", MailDeferred, "451"),
        ("452 4.3.1 full", MailDeferred, "452 4.3.1"),
        ("550 5.1.1 <ada@example.org>: no such user", MailRejected, "550 5.1.1"),
        ("552 too big", MailRejected, "552"),
        ("554 5.7.1 spam from ada@example.org", MailRejected, "554 5.7.1"),
    ],
)
async def test_a_refused_mail_does_not_spoil_the_next_and_shows_no_address(at, reply, kind, shown):
    async with mailbox() as box, server_at(box.port).connect() as connection:
        box.answer_with(reply, at=at)
        with pytest.raises(kind) as refused:
            await connection.send(message_to("ada@example.org"))
        box.answer_with(None)
        await connection.send(message_to("grace@example.org"))
        assert [message["To"] for message in box.messages] == ["grace@example.org"]
    assert str(refused.value) == shown
    assert refused.value.code == int(shown[:3])
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    "reply",
    ["421 4.3.2 going down", "530 5.7.0 sign in first", "535 5.7.8 no", "538 5.7.11 no TLS", "299 what"],
)
async def test_a_server_that_refuses_us_and_not_the_mail_is_down(at, reply):
    async with mailbox() as box:
        box.answer_with(reply, at=at)
        with pytest.raises(MailServerDown) as refused:
            await send(server_at(box.port), "ada@example.org")
        box.answer_with(None)
        await send(server_at(box.port), "ada@example.org")
    assert reply[:3] in str(refused.value)
    assert "ada" not in str(refused.value)


async def test_a_server_that_stops_is_down_until_it_starts_again():
    async with mailbox() as box:
        smtp = server_at(box.port)
        async with smtp.connect() as connection:
            await connection.send(message_to("a@example.org"))
            box.stop()
            for _ in range(2):
                with pytest.raises(MailServerDown):
                    await connection.send(message_to("b@example.org"))
        with pytest.raises(MailServerDown):
            await send(smtp, "b@example.org")
        box.start()
        await send(smtp, "c@example.org")
        assert [message["To"] for message in box.messages] == ["a@example.org", "c@example.org"]


# Broken servers


@asynccontextmanager
async def scripted(*script):
    """A server that answers each line of the client with the next of `script`.

    None: it hangs; "CLOSE": it closes; bytes: sent as they are. Its port, and what it has heard.
    """
    heard: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader, writer):
        try:
            for answer in script:
                if answer is None:
                    await over.wait()
                if answer in (None, "CLOSE"):
                    return
                writer.write(answer if isinstance(answer, bytes) else f"{answer}\r\n".encode())
                await writer.drain()
                heard.append(await reader.readuntil(b"\r\n.\r\n" if answer == "354 go on" else b"\r\n"))
            await over.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        over.set()
        server.close()
        await server.wait_closed()


GREETED = ("220 hi", "250 hello")
WAITING_FOR_TEXT = (*GREETED, "250 ok", "250 ok", "354 go on")


@pytest.mark.parametrize(
    "script",
    [
        ["CLOSE"],
        ["421 4.3.2 too busy"],
        ["554 5.7.1 not you"],
        ["HTTP/1.1 400 Bad Request"],
        [b"\x00\xff" * 40_000],
        ["220 hi", "CLOSE"],
        ["220 hi", "502 what is EHLO"],
        [*GREETED, "CLOSE"],
        [*GREETED, "250 ok", "CLOSE"],
        [*WAITING_FOR_TEXT, "CLOSE"],
        [*WAITING_FOR_TEXT, "421 bye"],
        [*GREETED, "not a code"],
    ],
    ids=str,
)
async def test_a_server_that_breaks_off_or_talks_nonsense_is_down(script):
    async with scripted(*script) as (port, _):
        with pytest.raises(MailServerDown) as refused:
            await send(server_at(port), "ada@example.org")
    assert "ada" not in str(refused.value)


@pytest.mark.parametrize(
    "script",
    [
        [None],
        ["220 hi", None],
        [*GREETED, None],
        [*GREETED, "250 ok", None],
        [*GREETED, "250 ok", "250 ok", None],
        [*WAITING_FOR_TEXT, None],
        [b"220-slow\r\n220-slower\r\n", None],
    ],
    ids=str,
)
async def test_a_server_that_hangs_is_down(script):
    async with scripted(*script) as (port, _):
        with pytest.raises(MailServerDown, match="in time"):
            await send(server_at(port, timeout=HASTY), "ada@example.org")


async def test_a_server_that_drips_is_down():
    async def drip(reader, writer):
        try:
            while True:
                writer.write(b"220-still here\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    with pytest.raises(MailServerDown, match="in time"):
        await send(server_at(server.sockets[0].getsockname()[1], timeout=HASTY), "ada@example.org")
    server.close()


async def test_a_mail_that_timed_out_is_not_mistaken_for_the_next_ones_answer():
    async with scripted(*GREETED, None) as (port, _), server_at(port, timeout=HASTY).connect() as connection:
        for complaint in ("in time", "broke"):
            with pytest.raises(MailServerDown, match=complaint):
                await connection.send(message_to("ada@example.org"))


async def test_a_cancelled_mail_closes_the_connection():
    async with scripted(*GREETED, None) as (port, heard), server_at(port).connect() as connection:
        sending = asyncio.create_task(connection.send(message_to("ada@example.org")))
        while len(heard) < 2:
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        with pytest.raises(MailServerDown):
            await connection.send(message_to("ada@example.org"))


async def test_a_verdict_on_a_mail_stands_though_the_server_then_hangs():
    async with scripted(*GREETED, "250 ok", "550 5.1.1 nobody", None) as (port, heard):
        with pytest.raises(MailRejected):
            await send(server_at(port, timeout=HASTY), "ada@example.org")
        assert heard[-1] == b"RSET\r\n"


@pytest.mark.parametrize("farewell", [None, "CLOSE", "500 what", "421 bye"])
async def test_a_mail_that_was_taken_is_sent_however_the_server_says_goodbye(farewell):
    async with scripted(*WAITING_FOR_TEXT, "250 taken", farewell) as (port, heard):
        await send(server_at(port, timeout=HASTY), "ada@example.org")
        assert b"ada@example.org" in heard[-2]


async def test_a_closed_port_and_an_unknown_host_are_down():
    async with mailbox() as box:
        box.stop()
        with pytest.raises(MailServerDown, match="no connection"):
            await send(server_at(box.port), "ada@example.org")
    for host in ("mail.invalid", "a" * 70 + ".invalid", "..", "ümlaut..invalid"):
        with pytest.raises(MailServerDown):
            await send(server_at(25, host=host), "ada@example.org")


async def test_the_server_is_greeted_with_our_address_and_no_name_that_may_be_wrong():
    async with scripted(*GREETED, "CLOSE") as (port, heard):
        with pytest.raises(MailServerDown):
            await send(server_at(port), "ada@example.org")
    assert heard[0] == b"EHLO [127.0.0.1]\r\n"


# Security of the connection


async def test_nothing_is_sent_where_starttls_was_taken_away():
    async with mailbox() as box:
        with pytest.raises(MailServerDown, match="nothing is sent in plain text"):
            await send(server_at(box.port, security="starttls", login=LOGIN), "ada@example.org")
        assert not box.messages


async def test_no_password_is_sent_where_starttls_was_taken_away():
    async with scripted("220 hi", "250-mail.test\r\n250 AUTH PLAIN LOGIN", "250 bye") as (port, heard):
        with pytest.raises(MailServerDown, match="nothing is sent in plain text"):
            await send(server_at(port, security="starttls", login=LOGIN), "ada@example.org")
    assert [line.split()[0] for line in heard if line] == [b"EHLO"]


async def test_answers_slipped_in_before_tls_are_forgotten(authority):
    slipped = b"220 go on\r\n250-evil\r\n250 AUTH PLAIN\r\n"
    async with scripted("220 hi", "250-mail.test\r\n250 STARTTLS", slipped, None) as (port, heard):
        smtp = server_at(port, security="starttls", login=LOGIN, ca_file=authority.ca_file, timeout=HASTY)
        with pytest.raises(MailServerDown):
            await send(smtp, "ada@example.org")
    assert not [line for line in heard if b"AUTH" in line or b"MAIL" in line]


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("trust", ["the system's", "another authority", "the name of another"])
async def test_nothing_is_sent_to_a_server_with_a_wrong_certificate(authority, tmp_path, security, trust):
    name = "mail.example.com" if trust == "the name of another" else "127.0.0.1"
    ca_file = {
        "the system's": None,
        "another authority": make_authority(tmp_path).ca_file,
        "the name of another": authority.ca_file,
    }[trust]
    async with mailbox(tls=authority.serving(name), starttls=security == "starttls") as box:
        with pytest.raises(MailServerDown, match="certificate"):
            await send(server_at(box.port, security=security, ca_file=ca_file), "ada@example.org")
        assert not box.messages


async def test_tls_against_a_server_that_speaks_plainly_is_down():
    async with mailbox() as box:
        with pytest.raises(MailServerDown):
            await send(server_at(box.port, security="tls", timeout=timedelta(seconds=2)), "ada@example.org")
        assert not box.messages


async def test_a_wrong_password_is_down_and_is_not_shown(authority):
    async with mailbox(tls=authority.serving("127.0.0.1"), starttls=True, login=LOGIN) as box:
        smtp = server_at(
            box.port, security="starttls", login=(LOGIN[0], "a wrong password"), ca_file=authority.ca_file
        )
        with pytest.raises(MailServerDown, match="535") as refused:
            await send(smtp, "ada@example.org")
        assert not box.messages
    assert "wrong password" not in str(refused.value) + repr(smtp.__dict__)


async def test_a_login_that_was_not_configured_is_down(authority):
    async with mailbox(tls=authority.serving("127.0.0.1"), starttls=True, login=LOGIN) as box:
        with pytest.raises(MailServerDown, match="530"):
            await send(server_at(box.port, security="starttls", ca_file=authority.ca_file), "ada@example.org")
        assert not box.messages


async def test_a_file_of_certificates_that_cannot_be_read_is_reported_at_the_start(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    for file in (tmp_path / "gone.pem", tmp_path / "empty.pem"):
        with pytest.raises(CannotStart, match=re.escape(str(file))):
            server_at(465, security="tls", ca_file=Path(file))


# Injection (ASVS 1.3.11)


@pytest.mark.parametrize(
    "text",
    [
        "x\r\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nhi\r\n.\r\n",
        "x\n.\nMAIL FROM:<evil@example.org>\nRCPT TO:<victim@example.org>\nDATA\nhi\n.\n",
        "x\r.\rMAIL FROM:<evil@example.org>\r",
        "x\n.\r\nMAIL FROM:<evil@example.org>\r\n",
    ],
)
async def test_a_text_cannot_end_its_message_and_begin_another(text):
    async with mailbox() as box:
        async with server_at(box.port).connect() as connection:
            await connection.send(message_to("ada@example.org", text=text))
            await connection.send(message_to("grace@example.org"))
        assert [message["To"] for message in box.messages] == ["ada@example.org", "grace@example.org"]
        assert "evil@example.org" in text_of(box.messages[0])


async def test_a_subject_cannot_add_a_recipient():
    async with mailbox() as box:
        async with server_at(box.port).connect() as connection:
            await connection.send(
                message_to("ada@example.org", subject="Hi\r\nBcc: victim@example.org\r\n\r\nx")
            )
        [message] = box.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "Hi Bcc: victim@example.org x"


# The mailbox that other tests use


async def test_the_mailbox_finds_what_came_to_an_address_and_its_link():
    async with mailbox() as box:
        async with server_at(box.port).connect() as connection:
            await connection.send(message_to("ada@example.org"))
            await connection.send(
                message_to("grace@example.org", text="Go to\n\nhttps://app.example.com/?t=1\n\nnow")
            )
        [message] = await box.wait_for(1, to="grace@example.org")
        assert link_in(message) == "https://app.example.com/?t=1"
        assert "https://app.example.com/?t=1" in html_of(message)


async def test_the_mailbox_refuses_one_address_and_takes_the_others():
    async with mailbox() as box, server_at(box.port).connect() as connection:
        box.answer_with("451 later", to="ada@example.org")
        with pytest.raises(MailDeferred):
            await connection.send(message_to("ada@example.org"))
        await connection.send(message_to("grace@example.org"))
        assert not box.sent_to("ada@example.org")
        assert box.sent_to("grace@example.org")
