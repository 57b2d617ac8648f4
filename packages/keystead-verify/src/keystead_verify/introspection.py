"""Asking Keystead about a token (RFC 7662): for API keys, and where a revocation must hold at once."""

import logging
import ssl
import threading
from base64 import b64encode
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from keystead_verify.claims import Claims, extra_of, is_second, texts
from keystead_verify.errors import InvalidToken, IssuerUnavailable, Reason
from keystead_verify.http import Answer, ExchangeFailed, exchange, require_https
from keystead_verify.key_set import KeysWanted
from keystead_verify.strict_json import parse

if TYPE_CHECKING:
    from keystead_verify.verifier import Verifier

log = logging.getLogger("keystead_verify")

MAX_SECRET_CHARACTERS = 8 * 1024
MAX_ANSWERS = 10_000
MAX_ANSWER_BYTES = 64 * 1024
MAX_AT_ONCE = 200  # questions on their way; who comes with one more is told to try again
EXCHANGE_SECONDS = 5.0
FAILURE_SECONDS = 1.0  # an answer that did not come is not asked for again before that
SHORTEST = 0.05  # seconds: those who waited for an answer must find it
_OF_ANSWERS = frozenset({"active", "token_type", "username"})


@dataclass(frozen=True, slots=True)
class Introspection:
    """The service account that asks, which needs the permission `tokens:introspect`. `cache` seconds an answer is used
    again at most. `always` asks about every token; without it, only about API keys.

    When Keystead cannot be asked, nothing is let in.
    """

    client_id: str
    client_secret: str = field(repr=False)
    url: str | None = None
    cache: float = 5.0
    always: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    claims: Claims | None  # None: not active
    until: float
    failed: bool = False


class Introspector:
    """Answers, remembered for a moment by the token's digest; one question about one token at a time."""

    def __init__(
        self, settings: Introspection, verifier: "Verifier", *, tls: ssl.SSLContext | None, allow_http: bool
    ) -> None:
        self._settings = settings
        self._verifier = verifier
        self._url = settings.url or f"{verifier.issuer.rstrip('/')}/api/v1/auth/token/introspect"
        require_https(self._url, allow_http=allow_http)
        self._tls = tls
        pair = f"{quote(settings.client_id, safe='')}:{quote(settings.client_secret, safe='')}"
        self._authorization = f"Basic {b64encode(pair.encode()).decode()}"
        self._lock = threading.Lock()
        self._answers: OrderedDict[bytes, _Known] = OrderedDict()
        self._flights: dict[bytes, Future[None]] = {}

    def check(self, token: str) -> Claims:
        """Raises InvalidToken, IssuerUnavailable, and KeysWanted while the answer is on its way."""
        if len(token) > MAX_SECRET_CHARACTERS or not token.isascii():
            raise InvalidToken(Reason.FORM)
        name = sha256(token.encode()).digest()
        with self._lock:
            known = self._answers.get(name)
            if known is None or monotonic() >= known.until:
                raise KeysWanted(self._ask(name, token))
        if known.failed:
            raise IssuerUnavailable
        if known.claims is None:
            raise InvalidToken(Reason.INACTIVE)
        if self._verifier.now() >= known.claims.expires_at:
            raise InvalidToken(Reason.EXPIRED)
        return known.claims

    def _ask(self, name: bytes, token: str) -> "Future[None]":
        flight = self._flights.get(name)
        if flight is None:
            if len(self._flights) >= MAX_AT_ONCE:
                raise IssuerUnavailable
            flight = Future()
            threading.Thread(target=self._run, args=(name, token, flight), daemon=True).start()
            self._flights[name] = flight
        return flight

    def _run(self, name: bytes, token: str, flight: "Future[None]") -> None:
        try:
            known = self._read(self._exchange(token))
        except Exception as error:  # noqa: BLE001 - whatever broke, those who wait must be let go
            log.warning("a token was not introspected: %s", error)
            known = _Known(None, monotonic() + FAILURE_SECONDS, failed=True)
        with self._lock:
            self._answers[name] = known
            self._answers.move_to_end(name)
            if len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
            del self._flights[name]
        flight.set_result(None)

    def _exchange(self, token: str) -> Answer:
        return exchange(
            self._url,
            seconds=EXCHANGE_SECONDS,
            max_bytes=MAX_ANSWER_BYTES,
            form=urlencode({"token": token}).encode(),
            headers={"Authorization": self._authorization},
            tls=self._tls,
        )

    def _read(self, answer: Answer) -> _Known:
        members = parse(answer.body, max_depth=8) if answer.status == 200 else None
        if members is None or type(members.get("active")) is not bool:
            raise ExchangeFailed(f"the answer ({answer.status}) is no introspection")
        age, cache = answer.max_age(), self._settings.cache
        until = monotonic() + max(SHORTEST, cache if age is None else min(cache, age))
        return _Known(self._claims(members) if members["active"] else None, until)

    def _claims(self, members: dict[str, Any]) -> Claims | None:
        """None for another issuer's or another audience's: the answer is about something that is not for us."""
        if members.get("iss") != self._verifier.issuer or members.get("aud") != self._verifier.audience:
            return None
        get: Any = members.get
        roles, amr = texts(get("roles")), texts(get("amr", []))
        holds = (
            all(_is_text(get(name)) for name in ("sub", "client_id"))
            and all(name not in members or _is_text(get(name)) for name in ("jti", "sid", "key_id"))
            and is_second(get("iat"))
            and is_second(get("exp"))
            and ("auth_time" not in members or is_second(get("auth_time")))
            and type(get("scope")) is str
        )
        if not holds or roles is None or amr is None:
            raise ExchangeFailed("the answer lacks what an active token has")
        return Claims(
            issuer=self._verifier.issuer,
            subject=get("sub"),
            audience=self._verifier.audience,
            client_id=get("client_id"),
            issued_at=get("iat"),
            expires_at=get("exp"),
            token_id=get("jti"),
            roles=roles,
            scope=get("scope"),
            session_id=get("sid"),
            key_id=get("key_id"),
            auth_time=get("auth_time"),
            amr=amr,
            extra=extra_of(members, _OF_ANSWERS),
        )


def _is_text(value: Any) -> bool:
    return type(value) is str and value != ""
