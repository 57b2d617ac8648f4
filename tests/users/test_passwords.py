"""Passwords: rules for new ones, hashing exactly what was received, and a pool that refuses what it cannot do."""

import asyncio
import unicodedata
from contextlib import ExitStack
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from keystead.kernel.errors import InvalidInput, Overloaded
from keystead.users.email import parse_email
from keystead.users.known_passwords.common import most_common
from keystead.users.known_passwords.known import KnownBy, KnownPasswords
from keystead.users.passwords import Argon2Cost, Hasher, PasswordRules, Place

pytestmark = pytest.mark.anyio

CHEAP = Argon2Cost(memory_kib=8, iterations=1, parallelism=1)


@pytest.fixture
def hasher():
    made = Hasher(CHEAP, threads=2, longest_wait=timedelta(seconds=60))
    yield made
    made.close()


@pytest.fixture
async def known():
    made = KnownPasswords()
    yield made
    await made.close()


@pytest.fixture
def rules(known):
    return PasswordRules(15, ("keystead",), known)


async def judge(rules, password, *, email="user@example.com", full_name="John Doe"):
    """The code of the refusal, or None."""
    try:
        await rules.check(password, email=parse_email(email), full_name=full_name)
    except InvalidInput as refusal:
        (error,) = refusal.errors
        return error.code
    return None


@pytest.mark.parametrize(
    "password",
    [
        "SecurePassword123!",
        "aaaa bbbb cccc dddd",
        "lowercaselettersonly",
        "   a        b  ",
        "🔑🎻🧭🪁🧵🥁🔭🧲🪜🎳🧃🪐🧩🎏🪵",
        "superuserpassword12",
    ],
)
async def test_asvs_v5_6_2_5_length_is_enough_whatever_the_characters(rules, password):
    assert await judge(rules, password) is None


@pytest.mark.parametrize("length", [64, 128, 1024])
async def test_asvs_v5_6_2_9_long_passwords_are_taken(rules, length):
    assert await judge(rules, ("correct horse battery staple " * 40)[:length]) is None


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
async def test_asvs_v5_6_2_1_and_6_2_9_length_is_counted_in_characters_and_bounded_in_bytes(
    rules, password, code
):
    assert await judge(rules, password) == code


async def test_the_minimum_is_a_setting(known):
    assert await judge(PasswordRules(14, (), known), "qv7-tram-lemon") is None


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
async def test_asvs_v5_6_1_2_and_6_2_11_context_words_count_for_nothing(rules, password, extra):
    assert await judge(rules, password, **extra) == "password_context_word"


async def test_a_long_password_may_hold_a_context_word(rules):
    assert await judge(rules, "keystead correct horse battery") is None


async def test_asvs_v5_6_2_4_each_of_the_3000_commonest_that_are_long_enough_is_refused(rules):
    commonest = most_common(3000, min_length=15)
    assert len(set(commonest)) == 3000
    assert all(len(password) >= 15 for password in commonest)
    for password in commonest:
        for spelling in (password, password.upper(), password.title()):
            assert await rules.known.find(spelling) is KnownBy.COMMON, spelling


@pytest.mark.parametrize("min_length", [8, 12, 15, 64])
async def test_asvs_v5_6_2_4_the_list_is_as_long_for_any_minimum(known, min_length):
    for password in most_common(3000, min_length=min_length)[::30]:
        assert await judge(PasswordRules(min_length, (), known), password) == "password_known"


@pytest.mark.parametrize("minimum", [0, 3])
async def test_a_refusal_tells_the_strength_and_nothing_of_the_password(known, minimum):
    rules = PasswordRules(15, (), known, min_score=minimum)
    for password in ("passwordpassword", "qzx9", "p4ssw0rdqzx9p4ssw0rdqzx9"[:14]):
        with pytest.raises(InvalidInput) as refused:
            await rules.check(password, email=None, full_name=None)
        (error,) = refused.value.errors
        strength = error.facts["strength"]
        assert isinstance(strength, dict)
        assert set(strength) == {"score", "guesses_log10", "warning", "suggestions"}
        assert password not in str(refused.value.detail)


async def test_a_minimum_of_strength_refuses_what_is_easy_to_guess(known):
    easy, hard = "abcabcabc 1991 1991", "correct horse battery staple"
    assert await judge(PasswordRules(15, (), known), easy) is None
    assert await judge(PasswordRules(15, (), known, min_score=3), easy) == "password_too_weak"
    assert await judge(PasswordRules(15, (), known, min_score=4), hard) is None


async def test_context_words_make_no_password_stronger(known):
    guessable = "wyvernquux 12345abc"
    assert (
        await judge(PasswordRules(8, ("wyvernquux",), known, min_score=3), guessable) == "password_too_weak"
    )
    assert await judge(PasswordRules(8, (), known, min_score=3), guessable) is None


async def test_a_password_of_context_words_alone_is_explained_like_any_other(rules):
    assert await judge(rules, "keystead" * 4) == "password_context_word"


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("only letters, and more", "password_composition"),
        ("847362519047362", "password_composition"),
        ("seven 7 letters and more", None),
        ("größer als 8 Zeichen", None),
    ],
)
async def test_pci_8_3_6_letters_and_digits_are_demanded_where_the_profile_says_so(known, password, code):
    pci = PasswordRules(12, (), known, needs_letters_and_digits=True)
    assert await judge(pci, password) == code
    assert await judge(PasswordRules(12, (), known), password) is None


async def test_cve_class_36_a_huge_password_is_refused_before_any_work(known):
    rules = PasswordRules(15, (), known, min_score=4)
    await known.close()  # whatever is given to its thread from here on fails
    assert await judge(rules, "x" * 2**20) == "password_too_long"


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
    other = Hasher(
        Argon2Cost(memory_kib=16, iterations=1, parallelism=1), threads=1, longest_wait=timedelta(seconds=60)
    )
    stored = await other.hash("password")
    other.close()
    assert hasher.is_outdated(stored)
    assert await hasher.verify(stored, "password")
    assert not hasher.is_outdated(await hasher.hash("password"))


async def test_what_could_not_be_done_in_time_is_refused_at_once_and_the_rest_is_done():
    cost = Argon2Cost(memory_kib=8192, iterations=2, parallelism=1)
    hasher = Hasher(cost, threads=1, longest_wait=timedelta(milliseconds=50))
    outcomes = await asyncio.gather(*(hasher.hash("password") for _ in range(200)), return_exceptions=True)
    done = sum(isinstance(outcome, str) for outcome in outcomes)
    assert 2 <= done < 100
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 200 - done
    assert isinstance(await hasher.hash("password"), str)
    hasher.close()


async def test_every_hash_is_counted_whether_it_matches_or_is_a_hash_at_all(hasher):
    def counted():
        return REGISTRY.get_sample_value("password_hashes_total")

    before = counted()
    stored = await hasher.hash("password")
    await hasher.verify(stored, "password")
    await hasher.verify(stored, "another")
    await hasher.verify("!no password", "password")
    assert counted() - before == 4


async def test_strangers_do_not_take_all_the_room_from_those_who_are_known():
    cost = Argon2Cost(memory_kib=8192, iterations=2, parallelism=1)
    hasher = Hasher(cost, threads=1, longest_wait=timedelta(milliseconds=200))
    strangers = [asyncio.create_task(hasher.verify(hasher.decoy, "password")) for _ in range(500)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        hasher.require_room()
    hasher.require_room(is_known=True)

    async def verify_known():
        with hasher.place(is_known=True) as place:
            return await hasher.verify(hasher.decoy, "password", place=place)

    assert not await verify_known()
    known = [verify_known() for _ in range(500)]
    outcomes = await asyncio.gather(*strangers, *known, return_exceptions=True)
    assert any(isinstance(outcome, Overloaded) for outcome in outcomes[500:])  # their room ends, too
    hasher.close()


async def test_who_is_let_in_has_a_place_that_nobody_takes():
    """Or many would be let in for each place that becomes free, and all but one refused after they cost something."""
    cost = Argon2Cost(memory_kib=8192, iterations=2, parallelism=1)
    hasher = Hasher(cost, threads=1, longest_wait=timedelta(milliseconds=500))
    with ExitStack() as let_in:
        places: list[Place] = []
        with pytest.raises(Overloaded):
            while len(places) < 1000:
                places.append(let_in.enter_context(hasher.place()))
        assert 1 < len(places) < 1000
        with pytest.raises(Overloaded):
            await hasher.hash("password")
        checked = await asyncio.gather(
            *(hasher.verify(hasher.decoy, "password", place=each) for each in places)
        )
        assert checked == [False] * len(places)
    hasher.close()


async def test_a_place_is_free_again_when_it_is_not_used_or_not_in_time():
    cost = Argon2Cost(memory_kib=8192, iterations=2, parallelism=1)
    hasher = Hasher(cost, threads=1, longest_wait=timedelta(milliseconds=100))

    def take_all(let_in):
        with pytest.raises(Overloaded):
            for _ in range(1000):
                let_in.enter_context(hasher.place())

    with ExitStack() as given_up:
        take_all(given_up)
    hasher.require_room()
    with ExitStack() as late:
        take_all(late)
        await asyncio.sleep(0.11)
        hasher.require_room()
    hasher.require_room()
    hasher.close()


async def test_a_hash_nobody_waits_for_any_more_still_counts_until_it_is_done():
    hasher = Hasher(
        Argon2Cost(memory_kib=65536, iterations=3, parallelism=1),
        threads=1,
        longest_wait=timedelta(seconds=0),
    )
    abandoned = asyncio.create_task(hasher.hash("password"))
    await asyncio.sleep(0.01)
    abandoned.cancel()
    with pytest.raises(Overloaded):
        await hasher.hash("password")
    hasher.close()


async def test_a_password_beside_another_is_checked_with_it_for_one_hash(hasher):
    one = await hasher.hash("the password of the owner")
    other = await hasher.hash("the password of somebody", beside=one)
    assert one != other

    def counted():
        return REGISTRY.get_sample_value("password_hashes_total") or 0

    async def both(stored, password):
        before = counted()
        found = await hasher.verify_either(one, stored, password)
        return found, counted() - before

    assert await both(other, "the password of the owner") == ((True, False), 1)
    assert await both(other, "the password of somebody") == ((False, True), 1)
    assert await both(other, "neither") == ((False, False), 1)
    apart = await hasher.hash("the password of somebody")
    assert await both(apart, "the password of somebody") == ((False, True), 2)


@pytest.mark.parametrize(
    "beside", ["!", "", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuuMBE4SBZrR2ffm1W3fYbkjKvTqkO2a"]
)
async def test_beside_what_is_no_hash_of_today_a_password_has_a_salt_of_its_own(hasher, beside):
    stored = await hasher.hash("a password", beside=beside)
    assert await hasher.verify(stored, "a password")
    assert await hasher.verify_either(beside, stored, "a password") == (False, True)
