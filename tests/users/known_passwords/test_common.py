"""The commonest passwords, and what people make of them."""

import pytest

from keystead.users.known_passwords.common import is_common, most_common


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PassWordPassWord",
        "passwordpasswor",
        "123456789123456789",
        "password12345678",
        "iloveyoupassword",
        "aaaaaaaaaaaaaaa",
        "               ",
        "🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑",
        "1qaz2wsx3edc4rfv",
        "qwerty" * 100,
    ],
)
def test_what_is_made_of_the_commonest_is_common(password):
    assert is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "password and more",
        "passwordpassword!",
        "drowsy-passwordpassword",
        "correct horse battery staple",
        "qv7-tram-lemonqv7-tram-lemon",
        "password" * 3 + "x",
        "aaaaaaaaaaaaaab",
    ],
)
def test_the_whole_password_counts_and_no_part_of_it(password):
    assert not is_common(password)


def test_the_commonest_come_first_and_none_comes_twice():
    assert most_common(3, min_length=1) == ["123456", "password", "12345678"]
    long_ones = most_common(30_000, min_length=15)
    assert len(set(long_ones)) == len(long_ones) > 3000
    assert "passwordpassword" in long_ones[:40]
