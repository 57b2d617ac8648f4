"""Messages: headers that nobody can add to, and both forms of the text."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from uuid import UUID

import pytest

from keystead.kernel.errors import CannotStart
from keystead.notices.message import compose, parse_sender
from keystead.notices.smtp import MailRejected
from keystead.notices.types import RenderedMail

MAIL_ID = UUID("01932c07-209c-7a6b-9d3c-0123456789ab")
AT = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
]


def composed(
    *, subject="Hello", text="Grüße\n", sender="App <no-reply@example.com>", recipient="ada@example.org"
):
    mail = RenderedMail(subject, text, f"<p>{text}</p>")
    return compose(mail, mail_id=MAIL_ID, sender=parse_sender(sender), recipient=recipient, sent_at=AT)


def on_the_wire(message):
    """What another program reads from it."""
    return message_from_bytes(message.as_bytes().replace(b"\r\n", b"\n"), policy=policy.default)


def test_a_message_has_these_headers_and_both_parts():
    read = on_the_wire(composed())
    assert sorted(read.keys()) == sorted(HEADERS)
    assert read["From"] == "App <no-reply@example.com>"
    assert read["To"] == "ada@example.org"
    assert read["Date"].datetime == AT
    assert read["Message-ID"] == f"<{MAIL_ID}@example.com>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["X-Auto-Response-Suppress"] == "All"
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    assert read.get_body(("plain",)).get_content() == "Grüße\n"
    assert "Grüße" in read.get_body(("html",)).get_content()


def test_the_same_mail_has_the_same_message_id():
    assert composed()["Message-ID"] == composed()["Message-ID"]


def test_what_is_sent_is_ascii_in_short_lines_whatever_is_written():
    wire = composed(subject="Ümlaut " * 20, text="ß" * 5000, sender="Bücher <a@bücher.example>").as_bytes()
    assert wire.isascii()
    assert max(len(line) for line in wire.split(b"\r\n")) <= 78
    assert b"\n" not in wire.replace(b"\r\n", b"")


def test_a_long_domain_leaves_the_message_id_whole():
    domain = ".".join(["a" * 60] * 4)
    assert on_the_wire(composed(sender=f"no-reply@{domain}"))["Message-ID"] == f"<{MAIL_ID}@{domain}>"


@pytest.mark.parametrize(
    "subject",
    [
        "Hi\r\nBcc: victim@example.org",
        "Hi\nBcc: victim@example.org",
        "Hi\r\n\r\n<script>",
        "Hi =?utf-8?q?=0d=0aBcc:_victim@example.org?=",
        "Hi =?utf-8?b?DQpCY2M6IHZpY3RpbUBleGFtcGxlLm9yZw==?=",
        "Hi\u2028Bcc: victim@example.org",
        "Hi\x85Bcc: x",
        "ü" * 60 + "\r\nBcc: victim@example.org",
    ],
)
def test_a_subject_adds_no_header(subject):
    read = on_the_wire(composed(subject=subject))
    assert sorted(read.keys()) == sorted(HEADERS)
    assert read["To"] == "ada@example.org"
    assert read.get_body(("plain",)).get_content() == "Grüße\n"


def test_a_long_subject_is_read_as_it_was_written():
    subject = (
        "Bestätigen Sie Ihre E-Mail-Adresse für Beispiel-Anwendung, bitte, sobald es Ihnen möglich ist, danke"
    )
    assert on_the_wire(composed(subject=subject))["Subject"] == subject


@pytest.mark.parametrize(
    "recipient",
    [
        "ada@example.org\r\nBcc: victim@example.org",
        "ada@example.org\nRCPT TO:<victim@example.org>",
        "ada@example.org>\r\nDATA",
        "ada@example.org, victim@example.org",
        "ada@example.org> SIZE=1",
        "Ada <ada@example.org>",
        "ada victim@example.org",
        "<ada@example.org",
        "group:ada@example.org;",
        "ada(comment)@example.org",
        '"ada\r\n"@example.org',
        '"a b"@example.org',
        "=?utf-8?q?a=0d=0aBcc:x?=@example.org",
        "=?utf-8?q?a=0d=0ax?=@example.org",
        "ada@=?utf-8?q?x?=",
        "a\x00da@example.org",
        "a\x7fda@example.org",
        "a\u202eda@example.org",
        "ada@exa mple.org",
        "ada@example.org\x00",
        "ada\u2028@example.org",
        "ada@",
        "@example.org",
        "ada",
        "",
        "a" * 400 + "@example.org",
        "ada@[127.0.0.1]",
        "a@b@example.org",
    ],
)
def test_an_unusable_recipient_is_rejected_and_not_repeated(recipient):
    with pytest.raises(MailRejected) as refused:
        composed(recipient=recipient)
    assert refused.value.code == 553
    assert str(refused.value) == "553 5.1.3"
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize(
    "recipient", ["o'brien+tag@example.org", "a/b=c@example.org", "root@localhost", "x_y.z@sub.example.org"]
)
def test_an_unusual_recipient_is_kept_to_the_letter(recipient):
    assert on_the_wire(composed(recipient=recipient))["To"].addresses[0].addr_spec == recipient


def test_an_international_domain_goes_in_its_ascii_form():
    message = composed(recipient="ada@Bücher.example", sender="Bücher <info@bücher.example>")
    assert message["To"] == "ada@xn--bcher-kva.example"
    assert message["From"].addresses[0].addr_spec == "info@xn--bcher-kva.example"
    assert message["From"].addresses[0].display_name == "Bücher"
    assert message["Message-ID"].endswith("@xn--bcher-kva.example>")


def test_an_international_local_part_goes_in_utf8():
    message = composed(recipient="jürgen@example.org")
    assert "jürgen@example.org".encode() in message.as_bytes()
    assert message["To"].addresses[0].addr_spec == "jürgen@example.org"


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("no-reply@example.com", "", "no-reply@example.com"),
        ("<no-reply@example.com>", "", "no-reply@example.com"),
        ("Example App <no-reply@example.com>", "Example App", "no-reply@example.com"),
        ('"Example, Inc." <no-reply@example.com>', "Example, Inc.", "no-reply@example.com"),
        ("Beispiel für alle <a@b.example>", "Beispiel für alle", "a@b.example"),
    ],
)
def test_a_sender_is_a_name_and_an_address(text, name, address):
    sender = parse_sender(text)
    assert (sender.display_name, sender.addr_spec) == (name, address)
    assert on_the_wire(composed(sender=text))["From"].addresses == (sender,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Example App",
        "Example <no-reply@example.com",
        "a@example.com, b@example.com",
        "x <a@example.com> y",
        "x <a@example.com\r\nBcc: b@example.com>",
        "<a@exa mple.com>",
    ],
)
def test_a_sender_that_is_none_is_reported_at_the_start(text):
    with pytest.raises(CannotStart, match=r"mail\.sender"):
        parse_sender(text)


@pytest.mark.parametrize(
    "name", ["x\r\nBcc: b@example.com", "=?utf-8?q?x=0d=0aBcc:_b@example.com?=", 'a" <evil@example.org>, "b']
)
def test_a_name_of_a_sender_adds_no_header_and_no_address(name):
    try:
        read = on_the_wire(composed(sender=f"{name} <a@example.com>"))
    except CannotStart:
        return
    assert sorted(read.keys()) == sorted(HEADERS)
    assert [address.addr_spec for address in read["From"].addresses] == ["a@example.com"]
