"""The estimate: bounded work whatever comes, and words that hold nothing of the password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

from keystead.users.known_passwords.strength import MAX_LENGTH, _bounded, estimate

LOOK_ALIKES = sorted({character for row in L33T_TABLE.values() for character in row})


@pytest.mark.parametrize(
    ("password", "score"), [("password", 0), ("correct horse battery staple", 4), ("", 0)]
)
def test_the_score_tells_weak_from_strong(password, score):
    assert estimate(password).score == score


def test_a_weak_one_comes_with_advice():
    told = estimate("passwordpassword")
    assert told.warning.startswith("Repeats")
    assert "Add another word or two. Uncommon words are better." in told.suggestions
    assert told.guesses_log10 < 3


@given(st.text())
def test_there_is_an_estimate_of_everything(password):
    assert 0 <= estimate(password).score <= 4


@given(st.text(st.sampled_from(LOOK_ALIKES)))
def test_cve_class_36_look_alike_characters_multiply_no_work(password):
    read = enumerate_l33t_subs(relevant_l33t_subtable(_bounded(password), L33T_TABLE))
    assert len(read) <= 32


def test_cve_class_36_only_the_beginning_of_a_long_password_is_looked_at():
    beginning = "correct horse battery staple " * 3
    assert estimate(beginning[:MAX_LENGTH] + "a" * 900) == estimate(beginning[:MAX_LENGTH])


@pytest.mark.parametrize("password", ["4@8({[<3691!|0$57+%2" * 50, "a1" * 500, "p4$$w0rd" * 100, "é" * 1000])
@pytest.mark.timeout(10)
def test_cve_class_36_what_was_made_to_take_minutes_is_done(password):
    assert estimate(password).score <= 4


@pytest.mark.parametrize(
    "password", ["wyvern", "Wyvern2026", "wyvernwyvern", "tr0ub4dor&3", "qwertywyvern", "19911991"]
)
def test_the_words_hold_nothing_of_the_password(password):
    told = estimate(password)
    said = " ".join((told.warning, *told.suggestions)).casefold()
    assert password.casefold() not in said
    assert "wyvern" not in said
