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

from keystead_verify.claims import Claims, extra_of, parse
from keystead_verify.errors import InvalidToken, IssuerUnavailable, Reason
from keystead_verify.http import Answer, ExchangeFailed, exchange, require_https
from keystead_verify.key_set import KeysWanted

if TYPE_CHECKING:
    from keystead_verify.verifier import Verifier

log = logging.getLogger("keystead_verify")

MAX_SECRET_CHARACTERS = 8 * 1024
MAX_ANSWERS = 10_000
MAX_ANSWER_BYTES = 64 * 1024
EXCHANGE_SECONDS = 5.0
FAILURE_SECONDS = 1.0  # an answer that did not come is not asked for again before that
MAX_AT_ONCE = 50
SHORTEST = 0.05  # seconds: those who waited for an answer must find it
_ASKED = frozenset(
    {"active", "token_type", "username", "iss", "sub", "aud", "client_id", "exp", "iat", "nbf"}
)


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


@dataclass(slots=True)
class _Known:
    claims: Claims | None  # None: not active
    failed: bool
    until: float


class Introspector:
    """Answers, remembered for a moment; one question about one token at a time."""

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
        self.asks_always = settings.always

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
        if known.claims is None or self._verifier.now() >= known.claims.expires_at:
            raise InvalidToken(Reason.INACTIVE)
        return known.claims

    def _ask(self, name: bytes, token: str) -> "Future[None]":
        flight = self._flights.get(name)
        if flight is None:
            if len(self._flights) >= MAX_AT_ONCE:
                raise IssuerUnavailable
            flight = self._flights[name] = Future()
            threading.Thread(target=self._run, args=(name, token, flight), daemon=True).start()
        return flight

    def _run(self, name: bytes, token: str, flight: "Future[None]") -> None:
        try:
            known = self._read(self._exchange(token))
        except Exception as error:  # noqa: BLE001 - whatever broke, those who wait must be let go
            log.warning("a token was not introspected: %s", error)
            known = _Known(None, failed=True, until=monotonic() + FAILURE_SECONDS)
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
        members = parse(answer.body) if answer.status == 200 else None
        if members is None or type(members.get("active")) is not bool:
            raise ExchangeFailed(f"the answer ({answer.status}) is no introspection")
        age = answer.max_age()
        until = monotonic() + max(SHORTEST, min(self._settings.cache, 5.0 if age is None else age))
        return _Known(self._claims(members) if members["active"] else None, failed=False, until=until)

    def _claims(self, members: dict[str, Any]) -> Claims | None:
        """None for another issuer's or another audience's: the answer is about something that is not for us."""
        if members.get("iss") != self._verifier.issuer or members.get("aud") != self._verifier.audience:
            return None
        match members:
            case {
                "sub": str(sub),
                "client_id": str(client),
                "iat": int(iat),
                "exp": int(exp),
                "scope": str(scope),
            }:
                actor = members.get("act")
                return Claims(
                    subject=sub,
                    audience=self._verifier.audience,
                    client_id=client,
                    issued_at=iat,
                    expires_at=exp,
                    token_id=members.get("jti"),
                    roles=tuple(members.get("roles", ())),
                    scope=scope,
                    session_id=members.get("sid"),
                    key_id=members.get("key_id"),
                    auth_time=members.get("auth_time"),
                    amr=tuple(members.get("amr", ())),
                    actor=actor.get("sub") if isinstance(actor, dict) else None,
                    extra={name: value for name, value in extra_of(members).items() if name not in _ASKED},
                )
            case _:
                raise ExchangeFailed("the answer lacks what an active token has")
