"""Passwords: rules for new ones, hashing exactly what was received, and a pool that refuses what it cannot do."""

import asyncio
import unicodedata

import pytest

from keystead.kernel.errors import InvalidInput, Overloaded
from keystead.users.email import parse_email
from keystead.users.passwords import Argon2Cost, Hasher, PasswordRules

pytestmark = pytest.mark.anyio

RULES = PasswordRules(min_length=15, context_words=("keystead",))
CHEAP = Argon2Cost(memory_kib=8, iterations=1, parallelism=1)


@pytest.fixture
def hasher():
    made = Hasher(CHEAP, threads=2, queue=1000)
    yield made
    made.close()


def judge(password, *, email="user@example.com", full_name="John Doe", rules=RULES):
    """The code of the refusal, or None."""
    try:
        rules.check(password, email=parse_email(email), full_name=full_name)
    except InvalidInput as refusal:
        return refusal.errors[0].code
    return None


@pytest.mark.parametrize(
    "password",
    [
        "SecurePassword123!",
        "aaaa bbbb cccc dddd",
        "lowercaselettersonly",
        " " * 15,
        "🔑" * 15,
        "x" * 64,
        "x" * 128,
        "x" * 1024,
        "superuserpassword12",
    ],
)
def test_asvs_v5_6_2_5_length_is_enough_whatever_the_characters(password):
    assert judge(password) is None


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("x" * 14, "password_too_short"),
        ("é" * 14, "password_too_short"),
        ("e\u0301" * 14, "password_too_short"),
        ("x" * 1025, "password_too_long"),
        ("🔑" * 257, "password_too_long"),
    ],
)
def test_asvs_v5_6_2_1_and_6_2_9_length_is_counted_in_characters_and_bounded_in_bytes(password, code):
    assert judge(password) == code


def test_the_minimum_is_a_setting():
    assert judge("x" * 14, rules=PasswordRules(14, ())) is None


@pytest.mark.parametrize(
    ("password", "extra"),
    [
        ("keystead2026!!!!", {}),
        ("KEYSTEAD-keystead-1", {}),
        ("alexandra.smith.99", {"email": "alexandra.smith@example.com"}),
        ("example.com-2026-x", {}),
        ("Jonathan1Appleseed", {"full_name": "Jonathan Appleseed"}),
    ],
)
def test_asvs_v5_6_2_11_context_words_count_for_nothing(password, extra):
    assert judge(password, **extra) == "password_context_word"


def test_a_long_password_may_hold_a_context_word():
    assert judge("keystead correct horse battery") is None


async def test_only_the_right_password_verifies(hasher):
    stored = await hasher.hash("correct horse battery staple")
    assert await hasher.verify(stored, "correct horse battery staple")
    for wrong in (
        "Correct horse battery staple",
        "correct horse battery staple ",
        "correct horse battery",
        "",
    ):
        assert not await hasher.verify(stored, wrong)


@pytest.mark.parametrize("length", [72, 128, 256, 1000])
async def test_cve_class_34_no_byte_of_a_long_password_is_left_out(hasher, length):
    stored = await hasher.hash("x" * length + "a")
    assert await hasher.verify(stored, "x" * length + "a")
    assert not await hasher.verify(stored, "x" * length + "b")


async def test_null_and_space_are_kept(hasher):
    stored = await hasher.hash("password\0tail of it")
    assert not await hasher.verify(stored, "password")
    assert not await hasher.verify(stored, "password\0tail of it ")


async def test_composed_and_decomposed_spelling_are_one_password(hasher):
    password = "caf\u00e9 caf\u00e9 caf\u00e9 caf\u00e9"
    stored = await hasher.hash(password)
    assert await hasher.verify(stored, unicodedata.normalize("NFD", password))
    assert not await hasher.verify(stored, password.replace("\u00e9", "e"))


async def test_hashes_are_salted(hasher):
    assert await hasher.hash("the same password") != await hasher.hash("the same password")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain text",
        "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$3Z0oBMwJ6Tn8cI0K6jZ4YQ",
        "$argon2id$v=19$m=8,t=4000000000,p=1$c2FsdHNhbHQ$3Z0oBMwJ6Tn8cI0K6jZ4YQ",
        "$argon2id$v=19$m=8192,t=1,p=255$c2FsdHNhbHQ$3Z0oBMwJ6Tn8cI0K6jZ4YQ",
        "$2b$12$abcdefghijklmnopqrstuuMBE4SBZrR2ffm1W3fYbkjKvTqkO2a",
    ],
)
async def test_a_stored_hash_beyond_the_ceilings_or_of_no_known_form_never_matches(hasher, stored):
    assert not await hasher.verify(stored, "password")


async def test_a_hash_of_other_parameters_is_outdated(hasher):
    other = Hasher(Argon2Cost(memory_kib=16, iterations=1, parallelism=1), threads=1, queue=1)
    stored = await other.hash("password")
    other.close()
    assert hasher.is_outdated(stored)
    assert await hasher.verify(stored, "password")
    assert not hasher.is_outdated(await hasher.hash("password"))


async def test_what_does_not_fit_the_queue_is_refused_and_the_rest_is_done():
    hasher = Hasher(Argon2Cost(memory_kib=8192, iterations=2, parallelism=1), threads=1, queue=4)
    outcomes = await asyncio.gather(*(hasher.hash("password") for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 45
    assert isinstance(await hasher.hash("password"), str)
    hasher.close()


async def test_a_hash_nobody_waits_for_any_more_still_counts_until_it_is_done():
    hasher = Hasher(Argon2Cost(memory_kib=65536, iterations=3, parallelism=1), threads=1, queue=0)
    abandoned = asyncio.create_task(hasher.hash("password"))
    await asyncio.sleep(0.01)
    abandoned.cancel()
    with pytest.raises(Overloaded):
        await hasher.hash("password")
    hasher.close()
