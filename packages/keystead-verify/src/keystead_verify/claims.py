"""What a token says."""

import json
import re
from collections.abc import Mapping
from math import isinf
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from keystead_verify.errors import InvalidToken, Reason

MAX_DEPTH = 8
MAX_LIFE = 24 * 3600
_WHITESPACE = " \t\n\r"  # RFC 8259 §2
_LAST_SECOND = 253_402_300_799  # of the year 9999
_is_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII).fullmatch
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_KNOWN = frozenset(
    {
        "iss",
        "sub",
        "aud",
        "client_id",
        "exp",
        "iat",
        "nbf",
        "jti",
        "sid",
        "key_id",
        "auth_time",
        "amr",
        "roles",
    }
    | {"scope", "act"}
)


class Claims(NamedTuple):
    """A verified access token (RFC 9068). Times are Unix seconds.

    A person's token has `session_id`, and `auth_time` and `amr` where they proved who they are. A service account's has
    `key_id`, and its `subject` is its `client_id`. An API key has neither. `actor` is who acts in the subject's name.
    `extra` are the claims that the application maps.
    """

    subject: str
    audience: str
    client_id: str
    issued_at: int
    expires_at: int
    token_id: str | None
    roles: tuple[str, ...]
    scope: str
    session_id: str | None = None
    key_id: str | None = None
    auth_time: int | None = None
    amr: tuple[str, ...] = ()
    actor: str | None = None
    extra: Mapping[str, Any] = MappingProxyType({})

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(self.scope.split())


def parse(data: bytes, *, max_depth: int = MAX_DEPTH) -> dict[str, Any] | None:
    """A JSON object as RFC 8259 has it and no looser: unique members, finite numbers, bounded depth, real Unicode.

    None for anything else.
    """
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


def read(members: dict[str, Any], *, issuer: str, audience: str) -> Claims:
    """Every claim there, of its type, and meant for us. Raises InvalidToken. The time is for `opens_and_closes`.

    Every token that is not remembered comes through here: it is written out, for speed.
    """
    get = members.get
    if get("iss") != issuer:
        raise InvalidToken(Reason.ISSUER)
    # Keystead's tokens name one audience. A list could name a stranger's beside ours, so none is taken.
    if get("aud") != audience:
        raise InvalidToken(Reason.AUDIENCE)
    issued_at, expires_at = get("iat"), get("exp")
    subject, client_id, token_id, scope = get("sub"), get("client_id"), get("jti"), get("scope")
    key_id, session_id, roles = get("key_id"), get("sid"), _texts(get("roles"))
    if (
        type(issued_at) is not int  # a bool is an int to isinstance
        or type(expires_at) is not int
        or not 0 <= issued_at < expires_at <= issued_at + MAX_LIFE
        or expires_at > _LAST_SECOND
        or type(subject) is not str
        or not _is_uuid(subject)
        or type(client_id) is not str
        or not client_id
        or type(token_id) is not str
        or not token_id
        or type(scope) is not str
        or roles is None
    ):
        raise InvalidToken(Reason.CLAIMS)
    extra = _NOTHING if members.keys() <= _KNOWN else extra_of(members)
    if "key_id" in members:
        if "sid" in members or client_id != subject or type(key_id) is not str or not _is_uuid(key_id):
            raise InvalidToken(Reason.CLAIMS)
        return Claims(
            subject,
            audience,
            client_id,
            issued_at,
            expires_at,
            token_id,
            roles,
            scope,
            key_id=key_id,
            extra=extra,
        )
    amr, auth_time, actor = _texts(get("amr")), get("auth_time"), get("act")
    if (
        type(session_id) is not str
        or not _is_uuid(session_id)
        or amr is None
        or ("auth_time" in members and not _is_second(auth_time))
        or ("act" in members and not (type(actor) is dict and type(actor.get("sub")) is str and actor["sub"]))
    ):
        raise InvalidToken(Reason.CLAIMS)
    return Claims(
        subject,
        audience,
        client_id,
        issued_at,
        expires_at,
        token_id,
        roles,
        scope,
        session_id,
        None,
        auth_time,
        amr,
        actor and actor["sub"],
        extra,
    )


def opens_and_closes(members: Mapping[str, Any], leeway: int) -> tuple[int, int]:
    """From when until when a token counts, of claims that were read. Raises InvalidToken."""
    opens: int = members["iat"]
    if "nbf" in members:
        if not _is_second(members["nbf"]):
            raise InvalidToken(Reason.CLAIMS)
        opens = max(opens, members["nbf"])
    return opens - leeway, members["exp"] + leeway


def extra_of(members: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({name: value for name, value in members.items() if name not in _KNOWN})


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


def _is_second(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LAST_SECOND


def _texts(value: Any) -> tuple[str, ...] | None:
    if type(value) is not list:
        return None
    for item in value:  # a generator would cost more than the list has items
        if type(item) is not str or not item:
            return None
    return tuple(value)
