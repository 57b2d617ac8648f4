"""One canonical form for e-mail addresses; look-alikes are refused, not folded."""

import pytest

from keystead.kernel.errors import InvalidInput
from keystead.users.email import parse_email


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("user@example.com", "user@example.com"),
        ("User.Name+tag@Example.COM", "user.name+tag@example.com"),
        ("user@bücher.example", "user@xn--bcher-kva.example"),
        ("user@xn--bcher-kva.example", "user@xn--bcher-kva.example"),
        ("user@BÜCHER.example", "user@xn--bcher-kva.example"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("jos\u00e9@example.com", "jos\u00e9@example.com"),
        ("JOS\u00c9@example.com", "jos\u00c9@example.com"),
        ("user@corp.local", "user@corp.local"),
    ],
)
def test_the_canonical_form(typed, canonical):
    assert parse_email(typed).canonical == canonical


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "user",
        "@example.com",
        "user@",
        "a@b@example.com",
        "user@example..com",
        "user name@example.com",
        "user@exa mple.com",
        "user@example.com\r\nBcc: x@example.com",
        "user\x00@example.com",
        "user@\uff45xample.com",
        "\uff55ser@example.com",
        "user\uff20example.com",
        "\u212aelvin@example.com",
        "o\ufb03ce@example.com",
        "user@example.com ",
        "x" * 65 + "@example.com",
        "x@" + "a." * 130 + "com",
        "user@[127.0.0.1]",
        "User <user@example.com>",
    ],
)
def test_what_is_no_plain_address_is_refused(typed):
    with pytest.raises(InvalidInput) as caught:
        parse_email(typed)
    (error,) = caught.value.errors
    assert (error.pointer, error.code) == ("/email", "email_invalid")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mike@example.com", "m\u0131ke@example.com"),
        ("strasse@example.com", "stra\u00dfe@example.com"),
        ("mike@example.com", "m\u0456ke@example.com"),
    ],
)
def test_cve_class_37_case_folding_never_joins_two_people(one, other):
    assert parse_email(one).canonical != parse_email(other).canonical


def test_what_was_typed_is_kept_for_mail():
    assert parse_email("User@Example.COM").display == "User@Example.COM"
