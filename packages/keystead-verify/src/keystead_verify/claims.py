"""What a token says."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from keystead_verify.errors import InvalidToken, Reason

MAX_DEPTH = 8
MAX_LIFE = 24 * 3600
_LAST_SECOND = 253_402_300_799  # of the year 9999
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
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


@dataclass(frozen=True, slots=True)
class Claims:
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
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(self.scope.split())


def parse(data: bytes, *, max_depth: int = MAX_DEPTH) -> dict[str, Any] | None:
    """A JSON object as RFC 8259 has it and no looser: unique members, finite numbers, bounded depth, real Unicode.

    None for anything else.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
        if not isinstance(value, dict) or not _is_plain(value, max_depth):
            return None
    except (ValueError, RecursionError):
        return None
    return value


def read(members: dict[str, Any], *, issuer: str, audience: str) -> Claims:
    """Every claim there, of its type, and meant for us. Raises InvalidToken. The time is for `opens_and_closes`."""
    if members.get("iss") != issuer:
        raise InvalidToken(Reason.ISSUER)
    # Keystead's tokens name one audience. A list could name a stranger's beside ours, so none is taken.
    if members.get("aud") != audience:
        raise InvalidToken(Reason.AUDIENCE)
    issued_at, expires_at = _seconds(members, "iat"), _seconds(members, "exp")
    if not issued_at < expires_at <= issued_at + MAX_LIFE:
        raise InvalidToken(Reason.CLAIMS)
    is_machine = "key_id" in members
    if is_machine and ("sid" in members or members.get("client_id") != members.get("sub")):
        raise InvalidToken(Reason.CLAIMS)
    return Claims(
        subject=_uuid(members, "sub"),
        audience=audience,
        client_id=_text(members, "client_id"),
        issued_at=issued_at,
        expires_at=expires_at,
        token_id=_text(members, "jti"),
        roles=_texts(members, "roles"),
        scope=_text(members, "scope", may_be_empty=True),
        session_id=None if is_machine else _uuid(members, "sid"),
        key_id=_uuid(members, "key_id") if is_machine else None,
        auth_time=_seconds(members, "auth_time") if "auth_time" in members and not is_machine else None,
        amr=() if is_machine else _texts(members, "amr"),
        actor=_actor(members),
        extra=extra_of(members),
    )


def opens_and_closes(members: Mapping[str, Any], leeway: int) -> tuple[int, int]:
    """From when until when a token counts. Raises InvalidToken."""
    opens = _seconds(members, "iat")
    if "nbf" in members:
        opens = max(opens, _seconds(members, "nbf"))
    return opens - leeway, _seconds(members, "exp") + leeway


def extra_of(members: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({name: value for name, value in members.items() if name not in _KNOWN})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _refuse(_name: str) -> NoReturn:
    raise ValueError("not finite")


def _is_plain(value: Any, depth_left: int) -> bool:
    match value:
        case str():
            # JSON can spell half of a surrogate pair, which nothing else can take.
            return not any("\ud800" <= character <= "\udfff" for character in value)
        case float():
            return value not in (float("inf"), float("-inf"))
        case dict() | list() if depth_left == 0:
            return False
        case dict():
            return all(_is_plain(k, 1) and _is_plain(v, depth_left - 1) for k, v in value.items())
        case list():
            return all(_is_plain(item, depth_left - 1) for item in value)
        case _:
            return True


def _seconds(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:  # a bool is an int to isinstance
        raise InvalidToken(Reason.CLAIMS)
    return value


def _text(members: Mapping[str, Any], name: str, *, may_be_empty: bool = False) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not (value or may_be_empty):
        raise InvalidToken(Reason.CLAIMS)
    return value


def _texts(members: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = members.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise InvalidToken(Reason.CLAIMS)
    return tuple(value)


def _uuid(members: Mapping[str, Any], name: str) -> str:
    value = _text(members, name)
    if _UUID.fullmatch(value) is None:
        raise InvalidToken(Reason.CLAIMS)
    return value


def _actor(members: Mapping[str, Any]) -> str | None:
    actor = members.get("act")
    if actor is None:
        return None
    if not isinstance(actor, dict):
        raise InvalidToken(Reason.CLAIMS)
    return _text(actor, "sub")
