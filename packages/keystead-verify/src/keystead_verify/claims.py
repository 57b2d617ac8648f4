"""What a token says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from keystead_verify.errors import InvalidToken, Reason

MAX_LIFE = 24 * 3600
_LAST_SECOND = 253_402_300_799  # of the year 9999
_NAMES = "iss sub aud client_id exp iat nbf jti sid key_id auth_time amr roles scope act"
_OURS = frozenset(_NAMES.split())
_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII).fullmatch


class Unchangeable(dict[str, Any]):
    """The same claims are given out for the same token again, so nobody may change them for the next one."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("claims cannot be changed")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return Unchangeable, (dict(self),)


_NOTHING = Unchangeable()


@dataclass(frozen=True)
class Claims:
    """A verified credential (RFC 9068, RFC 7662). Times are Unix seconds.

    A person's token has `session_id`, and `auth_time` and `amr` where they proved who they are. A service account's has
    `key_id`, and its `subject` is its `client_id`. An API key has `key_id`, and its owner as `subject`. `actor` is who
    acts in the subject's name. `extra` are the claims that the application maps.
    """

    issuer: str
    subject: str
    audience: str
    client_id: str
    issued_at: int
    expires_at: int
    token_id: str | None  # an API key has none
    roles: tuple[str, ...]
    scope: str
    session_id: str | None = None
    key_id: str | None = None
    auth_time: int | None = None
    amr: tuple[str, ...] = ()
    actor: str | None = None
    extra: Mapping[str, Any] = field(default_factory=Unchangeable, hash=False)

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(self.scope.split())


def read(members: dict[str, Any], *, issuer: str, audience: str) -> Claims:
    """Every claim there, of its type, and meant for us. Raises InvalidToken. The time is for `opens_and_closes`.

    Every token that is not remembered comes through here, so it is written out, for speed.
    """
    get = members.get
    if get("iss") != issuer:
        raise InvalidToken(Reason.ISSUER)
    # Keystead's tokens name one audience. A list could name a stranger's beside ours, so none is taken.
    if get("aud") != audience:
        raise InvalidToken(Reason.AUDIENCE)
    issued_at, expires_at = get("iat"), get("exp")
    subject, client_id, token_id, scope = get("sub"), get("client_id"), get("jti"), get("scope")
    session_id, key_id, auth_time, actor = get("sid"), get("key_id"), get("auth_time"), get("act")
    roles = texts(get("roles"))
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
        _refuse()
    amr: tuple[str, ...] | None = ()
    if "key_id" in members:
        # A machine's: both kinds at once is neither, and it is its own client.
        if "sid" in members or client_id != subject or type(key_id) is not str or not _is_uuid(key_id):
            _refuse()
        auth_time = actor = None
    else:
        amr = texts(get("amr"))
        if type(session_id) is not str or not _is_uuid(session_id) or amr is None:
            _refuse()
        if "auth_time" in members and not is_second(auth_time):
            _refuse()
        if "act" in members:
            actor = actor.get("sub") if type(actor) is dict else None
            if type(actor) is not str or not actor:
                _refuse()
    return _made(
        issuer=issuer,
        subject=subject,
        audience=audience,
        client_id=client_id,
        issued_at=issued_at,
        expires_at=expires_at,
        token_id=token_id,
        roles=roles,
        scope=scope,
        session_id=session_id,
        key_id=key_id,
        auth_time=auth_time,
        amr=amr,
        actor=actor,
        extra=_NOTHING if _OURS.issuperset(members) else extra_of(members),
    )


def opens_and_closes(members: Mapping[str, Any], leeway: int) -> tuple[int, int]:
    """From when until when a token counts, of claims that were read. Raises InvalidToken."""
    opens: int = members["iat"]
    if "nbf" in members:
        if not is_second(members["nbf"]):
            _refuse()
        opens = max(opens, members["nbf"])
    return opens - leeway, members["exp"] + leeway


def extra_of(members: Mapping[str, Any], also_ours: frozenset[str] = frozenset()) -> Mapping[str, Any]:
    """What is not ours."""
    ours = _OURS | also_ours
    return Unchangeable({name: _frozen(value) for name, value in members.items() if name not in ours})


def is_second(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LAST_SECOND


def texts(value: Any) -> tuple[str, ...] | None:
    """None unless it is a list of texts that say something."""
    if type(value) is not list:
        return None
    for item in value:  # a generator would cost more than the list has items
        if type(item) is not str or not item:
            return None
    return tuple(value)


def _made(**members: Any) -> Claims:
    # A frozen dataclass sets each member by itself, which takes as long as parsing the JSON does.
    made = object.__new__(Claims)
    object.__setattr__(made, "__dict__", members)
    return made


def _frozen(value: Any) -> Any:
    match value:
        case dict():
            return Unchangeable({name: _frozen(member) for name, member in value.items()})
        case list():
            return tuple(_frozen(item) for item in value)
        case _:
            return value


def _refuse() -> NoReturn:
    raise InvalidToken(Reason.CLAIMS)
