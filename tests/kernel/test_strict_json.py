"""Strict JSON: what is ambiguous, unbounded or unencodable is refused, and nothing else."""

import pytest

from keystead.kernel.strict_json import JsonRejected, loads


def test_plain_json_is_read():
    assert loads(b'{"a": [1, 2.5, "x", null, true]}', max_depth=4) == {"a": [1, 2.5, "x", None, True]}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b'{"a": 1, "a": 2}',
        b'{"x": {"a": 1, "\\u0061": 2}}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"[" + b"1" * 5000 + b"]",
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'"\xff"',
        b'"\xc0\xaf"',
        b'\xef\xbb\xbf{"a": 1}',
        b'"\x01"',
    ],
)
def test_what_is_malformed_or_ambiguous_is_refused(text):
    with pytest.raises(JsonRejected):
        loads(text, max_depth=8)


def test_a_whole_surrogate_pair_is_a_character():
    assert loads(b'"\\ud83d\\ude00"', max_depth=0) == "\U0001f600"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_is_bounded(opening):
    closing = b"]" if opening == b"[" else b"}"
    assert loads(opening * 3 + b"1" + closing * 3, max_depth=3)
    with pytest.raises(JsonRejected):
        loads(opening * 4 + b"1" + closing * 4, max_depth=3)
    with pytest.raises(JsonRejected):
        loads(opening * 200_000, max_depth=3)


def test_a_refusal_repeats_nothing_of_the_input():
    with pytest.raises(JsonRejected) as caught:
        loads(b'{"password": "hunter2", "password": "hunter2"}', max_depth=3)
    assert "hunter2" not in str(caught.value)
