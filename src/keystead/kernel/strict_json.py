"""JSON as RFC 8259 has it and no looser: unique members, finite numbers, bounded depth, real Unicode."""

import json
from typing import NoReturn


class JsonRejected(ValueError):
    """Not acceptable as JSON here; the text says why and holds nothing of the input."""


def loads(data: bytes, *, max_depth: int) -> object:
    """Parse one JSON text. Raises JsonRejected for whatever is malformed, ambiguous, or too deep."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise JsonRejected("not valid UTF-8") from None
    if text.startswith("\ufeff"):
        raise JsonRejected("starts with a byte order mark")
    try:
        value = json.loads(text, object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
    except JsonRejected:
        raise
    except RecursionError:
        raise JsonRejected("nested too deeply") from None
    except ValueError:  # malformed, or an integer of more digits than Python converts
        raise JsonRejected("malformed JSON") from None
    _check(value, max_depth)
    return value


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRejected("an object names a member twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise JsonRejected("a number is not finite")


def _check(value: object, depth_left: int) -> None:
    match value:
        case str():
            _check_text(value)
        case float() if value in (float("inf"), float("-inf")):
            raise JsonRejected("a number is too large")
        case dict() | list() if depth_left == 0:
            raise JsonRejected("nested too deeply")
        case dict():
            for name, member in value.items():
                _check_text(name)
                _check(member, depth_left - 1)
        case list():
            for item in value:
                _check(item, depth_left - 1)
        case _:
            pass


def _check_text(text: str) -> None:
    # JSON can spell half of a surrogate pair; such text cannot be encoded, so nothing else can take it.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise JsonRejected("a string holds half of a surrogate pair") from None
