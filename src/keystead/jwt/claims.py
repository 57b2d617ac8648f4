"""From the payload of a token that our key signed to what it claims."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from keystead.jwt.jws import Reason, TokenRejected
from keystead.jwt.types import CLOCK_SKEW, MAX_TOKEN_LIFE, AccessClaims, MachineClaims
from keystead.kernel import strict_json
from keystead.kernel.ids import ServiceAccountId, SessionId, UserId

_MAX_DEPTH = 8
_LAST_SECOND = 253_402_300_799  # of the year 9999
_LEEWAY = int(CLOCK_SKEW.total_seconds())
_MAX_LIFE = int(MAX_TOKEN_LIFE.total_seconds())


@dataclass(frozen=True, slots=True)
class Window:
    """When a token counts, in Unix seconds, the leeway for clocks that differ included."""

    opens: int
    closes: int

    def require(self, now: datetime) -> None:
        """Raises TokenRejected unless `now` is inside."""
        seconds = now.timestamp()
        if seconds < self.opens:
            raise TokenRejected(Reason.EARLY)
        if seconds >= self.closes:
            raise TokenRejected(Reason.EXPIRED)


def read_claims(
    payload: bytes, *, issuer: str, audiences: frozenset[str]
) -> tuple[AccessClaims | MachineClaims, Window]:
    """Raises TokenRejected unless every claim is there, of its type, and meant for us.

    The time is for the window to judge. Members that this version does not know are ignored: the next one may
    add some.
    """
    members = _parse(payload)
    if members.get("iss") != issuer:
        raise TokenRejected(Reason.ISSUER)
    audience = members.get("aud")
    # Our tokens name one audience. A list could name a stranger's beside ours, so none is taken.
    if not isinstance(audience, str) or audience not in audiences:
        raise TokenRejected(Reason.AUDIENCE)
    issued_at, expires_at = _seconds(members, "iat"), _seconds(members, "exp")
    if not issued_at < expires_at <= issued_at + _MAX_LIFE:
        raise TokenRejected(Reason.CLAIMS)
    not_before = _seconds(members, "nbf") if "nbf" in members else issued_at
    read = _of_machine if "key_id" in members else _of_session
    claims = read(members, issuer, audience, _moment(issued_at), _moment(expires_at))
    return claims, Window(max(issued_at, not_before) - _LEEWAY, expires_at + _LEEWAY)


def _of_session(
    members: dict[str, object], issuer: str, audience: str, issued_at: datetime, expires_at: datetime
) -> AccessClaims:
    return AccessClaims(
        issuer=issuer,
        user_id=UserId(_uuid(members, "sub")),
        audience=audience,
        client_id=_text(members, "client_id"),
        session_id=SessionId(_uuid(members, "sid")),
        token_id=_text(members, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
        auth_time=_moment(_seconds(members, "auth_time")) if "auth_time" in members else None,
        amr=_texts(members, "amr"),
        roles=_texts(members, "roles"),
        scope=_text(members, "scope", may_be_empty=True),
    )


def _of_machine(
    members: dict[str, object], issuer: str, audience: str, issued_at: datetime, expires_at: datetime
) -> MachineClaims:
    account_id = ServiceAccountId(_uuid(members, "sub"))
    # Both kinds at once is neither; and it is its own client.
    if "sid" in members or _uuid(members, "client_id") != account_id:
        raise TokenRejected(Reason.CLAIMS)
    return MachineClaims(
        issuer=issuer,
        account_id=account_id,
        audience=audience,
        key_id=_uuid(members, "key_id"),
        token_id=_text(members, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
        roles=_texts(members, "roles"),
        scope=_text(members, "scope", may_be_empty=True),
    )


def _parse(payload: bytes) -> dict[str, object]:
    try:
        members = strict_json.loads(payload, max_depth=_MAX_DEPTH)
    except strict_json.JsonRejected:
        raise TokenRejected(Reason.CLAIMS) from None
    if not isinstance(members, dict):
        raise TokenRejected(Reason.CLAIMS)
    return members


def _seconds(members: dict[str, object], name: str) -> int:
    value = members.get(name)
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:  # a bool is an int to isinstance
        raise TokenRejected(Reason.CLAIMS)
    return value


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _text(members: dict[str, object], name: str, *, may_be_empty: bool = False) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not (value or may_be_empty):
        raise TokenRejected(Reason.CLAIMS)
    return value


def _texts(members: dict[str, object], name: str) -> tuple[str, ...]:
    value = members.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise TokenRejected(Reason.CLAIMS)
    return tuple(value)


def _uuid(members: dict[str, object], name: str) -> UUID:
    text = _text(members, name)
    try:
        value = UUID(text)
    except ValueError:
        raise TokenRejected(Reason.CLAIMS) from None
    if str(value) != text:  # UUID() also reads braces, URNs and upper case
        raise TokenRejected(Reason.CLAIMS)
    return value
