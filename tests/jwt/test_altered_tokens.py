"""A token that was changed, cut or put together from others is rejected."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.jwt.jws import Reason
from keystead.jwt.types import Algorithm, SigningKey
from keystead.jwt.verifier import TokenVerifier
from tests.jwt.conftest import Keys
from tests.jwt.forging import token, verdict, verifier_of

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


def test_what_the_alterations_start_from_is_accepted(verifier: TokenVerifier, any_key: SigningKey):
    assert verdict(verifier, token(any_key)) is None


def test_asvs_v5_9_1_1_no_bit_can_be_flipped(verifier: TokenVerifier, any_key: SigningKey):
    whole = token(any_key).encode()
    bits = range(8) if any_key.algorithm is Algorithm.RS256 else (0, 5)
    forged = [
        whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
        for place in range(len(whole))
        for bit in bits
    ]

    assert len(whole) >= 550
    assert [text for text in forged if verdict(verifier, text) is None] == []


def test_asvs_v5_9_1_1_no_end_can_be_cut_off(verifier: TokenVerifier, any_key: SigningKey):
    whole = token(any_key)
    heads = [whole[:length] for length in range(len(whole))]
    tails = [whole[start:] for start in range(1, len(whole))]

    assert [text for text in heads + tails if verdict(verifier, text) is None] == []


def test_asvs_v5_9_1_1_dots_and_segments_count(verifier: TokenVerifier, key: SigningKey):
    head, payload, signature = token(key).split(".")
    forged = {
        f"{head}.{payload}.": Reason.SIGNATURE,
        f"{head}.{payload}": Reason.FORM,
        f"{head}..{signature}": Reason.SIGNATURE,
        f".{payload}.{signature}": Reason.HEADER,
        f"{head}..{payload}.{signature}": Reason.FORM,
        f"{head}.{payload}..{signature}": Reason.FORM,
        f"{head}.{payload}.{signature}.": Reason.FORM,
        f".{head}.{payload}.{signature}": Reason.FORM,
        f"{head}.{payload}.{signature}.{signature}": Reason.FORM,
        f"{head}.{signature}.{payload}": Reason.SIGNATURE,
        "..": Reason.HEADER,
        "": Reason.FORM,
    }

    assert {text: verdict(verifier, text) for text in forged} == forged


def test_asvs_v5_9_1_1_parts_of_two_tokens_do_not_mix(verifier: TokenVerifier, keys: Keys):
    parts = [token(key, jti=f"token-{n}").split(".") for n, key in enumerate([*keys.values()] * 2)]
    mixed = [f"{a[0]}.{b[1]}.{c[2]}" for a in parts for b in parts for c in parts if not (a is b and b is c)]
    accepted = [text for text in mixed if verdict(verifier, text) is None]

    # Two tokens of one key have the same header: putting it on the other is no mixture.
    whole = {".".join(part) for part in parts}
    assert set(accepted) <= whole


@settings(max_examples=400, deadline=None)
@given(
    algorithm=st.sampled_from(sorted(Algorithm)),
    start=st.floats(0, 1),
    length=st.integers(0, 40),
    piece=st.one_of(st.text(max_size=20), st.text(ALPHABET, max_size=40), st.floats(0, 1)),
)
def test_no_mutation_verifies(
    keys: Keys, algorithm: Algorithm, start: float, length: int, piece: str | float
):
    """A piece of the token gives way to a text, or to another piece of it."""
    whole = token(keys[algorithm])
    cut = int(start * len(whole))
    other = piece if isinstance(piece, str) else whole[int(piece * len(whole)) :][:length]
    mutant = whole[:cut] + other + whole[cut + length :]

    assert mutant == whole or verdict(verifier_of(*keys.values()), mutant) is not None
