"""JSON as RFC 8259 has it and no looser."""

import json
from math import isinf
from typing import Any, NoReturn

_WHITESPACE = " \t\n\r"  # RFC 8259 §2


def parse(data: bytes, *, max_depth: int) -> dict[str, Any] | None:
    """An object with unique members, finite numbers, bounded depth and real Unicode. None for anything else."""
    try:
        text = data.decode()
        if text[:1] != "{":
            text = text.lstrip(_WHITESPACE)
        value, end = _DECODER.raw_decode(text)
        if type(value) is not dict or (end != len(text) and text[end:].strip(_WHITESPACE)):
            return None
        # With so few brackets nothing can be nested too deeply, and without escapes no half of a pair can be spelled.
        if text.count("{") + text.count("[") <= max_depth and "\\u" not in text:
            return value
        return value if _is_plain(value, max_depth) else None
    except (ValueError, RecursionError):
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _refuse(_name: str) -> NoReturn:
    raise ValueError("not finite")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)


def _is_plain(value: Any, depth_left: int) -> bool:
    match value:
        case str():
            # JSON can spell half of a surrogate pair, which nothing else can take.
            return not any("\ud800" <= character <= "\udfff" for character in value)
        case dict() | list() if depth_left == 0:
            return False
        case dict():
            return all(_is_plain(k, 1) and _is_plain(v, depth_left - 1) for k, v in value.items())
        case list():
            return all(_is_plain(item, depth_left - 1) for item in value)
        case _:
            return True
