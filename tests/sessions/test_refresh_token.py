"""Refresh tokens: one spelling each, forged by nobody, told apart without the database."""

import base64
import string
from uuid import UUID

import pytest

from keystead.kernel.ids import SessionId, new_uuid
from keystead.sessions.refresh_token import RefreshTokens
from keystead.vault import Vault

SESSION = SessionId(UUID("018f0000-0000-7000-8000-000000000001"))


@pytest.fixture
def tokens():
    return RefreshTokens(Vault({"refresh": {1: b"k" * 32, 2: b"n" * 32}}))


def test_a_token_says_what_it_was_made_of(tokens):
    claim = tokens.read(tokens.make(SESSION, 7).reveal())
    assert (claim.session_id, claim.generation) == (SESSION, 7)


def test_the_same_generation_is_spelled_the_same(tokens):
    assert tokens.make(SESSION, 7) == tokens.make(SESSION, 7)
    assert tokens.make(SESSION, 7) != tokens.make(SESSION, 8)
    assert tokens.make(SESSION, 7) != tokens.make(SessionId(new_uuid()), 7)


def test_tokens_of_an_older_key_are_read_and_new_ones_use_the_newest(tokens):
    older = RefreshTokens(Vault({"refresh": {1: b"k" * 32}}))
    assert tokens.read(older.make(SESSION, 3).reveal())
    assert older.read(tokens.make(SESSION, 3).reveal()) is None


def test_cve_class_27_no_part_or_extension_of_a_token_is_a_token(tokens):
    token = tokens.make(SESSION, 7).reveal()
    parts = {token[:end] for end in range(len(token))} | {token[start:] for start in range(1, len(token))}
    extended = {token + tail for tail in ("=", "==", "A", " ", "\n", "\0", token)} | {
        " " + token,
        "\n" + token,
    }
    assert not any(tokens.read(text) for text in parts | extended)


def test_no_token_with_one_character_changed_is_a_token(tokens):
    token = tokens.make(SESSION, 7).reveal()
    alphabet = string.ascii_letters + string.digits + "-_+/=. é"
    for place in range(len(token)):
        for char in alphabet:
            if char != token[place]:
                assert tokens.read(token[:place] + char + token[place + 1 :]) is None


def test_a_mac_of_another_key_is_none_of_ours(tokens):
    stranger = RefreshTokens(Vault({"refresh": {1: b"x" * 32, 2: b"y" * 32, 9: b"z" * 32}}))
    assert tokens.read(stranger.make(SESSION, 1).reveal()) is None


def test_every_character_carries_six_bits_so_there_is_one_spelling(tokens):
    token = tokens.make(SESSION, 7).reveal().removeprefix("rt_")
    assert len(base64.urlsafe_b64decode(token)) * 4 == len(token) * 3


def test_asvs_v5_7_2_3_a_token_cannot_be_guessed_and_no_two_sessions_share_one(tokens):
    """16 bytes say which session, 4 which generation; what proves it are 256 bits under a key of 256."""
    made = [tokens.make(SessionId(new_uuid()), 1).reveal() for _ in range(20_000)]
    macs = [base64.urlsafe_b64decode(token.removeprefix("rt_"))[-32:] for token in made]
    assert len(set(macs)) == len(made)
    # Each bit is set in half of them, within eight standard deviations.
    for bit in range(256):
        ones = sum(mac[bit // 8] >> bit % 8 & 1 for mac in macs)
        assert abs(ones - len(made) / 2) < 8 * (len(made) ** 0.5) / 2
