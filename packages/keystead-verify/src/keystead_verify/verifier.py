"""The one way to read an access token: signature and claims in one call."""

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic

from keystead_verify import claims as reading
from keystead_verify.claims import Claims
from keystead_verify.errors import InvalidToken, IssuerUnavailable, NotAllowed, Reason
from keystead_verify.http import exchange, require_https
from keystead_verify.introspection import Introspection, Introspector
from keystead_verify.jws import MAX_TOKEN_BYTES, verified_payload
from keystead_verify.key_set import FETCH_SECONDS, MAX_DOCUMENT_BYTES, KeySet, KeysWanted
from keystead_verify.keys import Key
from keystead_verify.strict_json import parse

log = logging.getLogger("keystead_verify")

API_KEY_PREFIX = "ks_"
MAX_DEPTH = 8  # of what a token says
_LOOK_EVERY = 1.0  # seconds between looks at whether keys are due, while every token is a known one

Entry = tuple[Claims, int, int]  # what it says, from when and until when it counts


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Tokens that were verified with these keys."""

    keys: Mapping[str, Key]
    entries: dict[str, Entry] = field(default_factory=dict)


class Verifier:
    """Verifies access tokens of `issuer` for `audience`. Make one and share it: it is safe in threads and tasks.

    A call waits at most `timeout` seconds for keys, and not at all where there are fresh ones. While the issuer is
    away, stale ones are used until `max_stale` seconds after they were fetched. Tokens that were verified are
    remembered (`cache_size` of them) until the keys change; their expiry is judged on every call, with `leeway`
    seconds for clocks that differ.

    With `introspection`, API keys (`ks_…`) are taken, and a revocation is seen within its cache.
    """

    def __init__(  # noqa: PLR0913 - options, by name
        self,
        issuer: str,
        audience: str,
        *,
        jwks_uri: str | None = None,
        introspection: Introspection | None = None,
        timeout: float = 2.0,
        max_stale: float = 3600.0,
        leeway: int = 30,
        cache_size: int = 10_000,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
        allow_http: bool = False,
    ) -> None:
        """Raises ValueError for an address that is not https:// (or on this machine)."""
        if type(audience) is not str or not audience:
            raise ValueError("audience is one text: the `aud` of the tokens that are meant for you.")
        address = jwks_uri or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        require_https(address, allow_http=allow_http)
        self.issuer = issuer
        self.audience = audience
        self.now = clock
        self._leeway = leeway
        self._timeout = timeout
        self._cache_size = cache_size
        fetch = partial(exchange, address, seconds=FETCH_SECONDS, max_bytes=MAX_DOCUMENT_BYTES, tls=tls)
        self.keys = KeySet(fetch, max_stale=max_stale)
        self._introspector = (
            None
            if introspection is None
            else Introspector(introspection, self, tls=tls, allow_http=allow_http)
        )
        self._asks_always = introspection is not None and introspection.always
        self._lock = threading.Lock()
        self._remembered = _Remembered({})
        self._looked_at = 0.0  # by `clock`; 0: no call takes the short way

    def verify(self, token: str) -> Claims:
        """What `token` says. Raises InvalidToken, or IssuerUnavailable where there is nothing to verify with."""
        known = self._remembered.entries.get(token) if len(token) <= MAX_TOKEN_BYTES else None
        if known is not None:
            now = self.now()
            looked_at = self._looked_at
            # Not before the last look either: a clock that was set back must not put the next one off.
            if known[1] <= now < known[2] and looked_at <= now < looked_at + _LOOK_EVERY:
                return known[0]
        ends, may_wait = monotonic() + self._timeout, True
        while True:
            try:
                return self._check(token, may_wait)
            except KeysWanted as wanted:
                if not may_wait:
                    raise IssuerUnavailable from None
                may_wait = _wait(wanted.flight, ends)

    async def averify(self, token: str) -> Claims:
        """`verify`, for an event loop: it is never blocked."""
        known = self._remembered.entries.get(token) if len(token) <= MAX_TOKEN_BYTES else None
        if known is not None:
            now = self.now()
            looked_at = self._looked_at
            if known[1] <= now < known[2] and looked_at <= now < looked_at + _LOOK_EVERY:
                return known[0]
        ends, may_wait = monotonic() + self._timeout, True
        while True:
            try:
                return self._check(token, may_wait)
            except KeysWanted as wanted:
                if not may_wait:
                    raise IssuerUnavailable from None
                may_wait = await _await(wanted.flight, ends)

    def _check(self, token: str, may_wait: bool) -> Claims:  # noqa: FBT001
        """Raises KeysWanted where somebody must be asked first."""
        if not isinstance(token, str):
            raise TypeError(f"a token is text, not {type(token).__name__}")
        try:
            return self._judge(token, may_wait)
        except (NotAllowed, KeysWanted):
            raise
        except Exception as error:
            # A check that breaks must refuse: never pass, never take the request down.
            log.exception("a check broke")
            raise InvalidToken(Reason.BROKEN_CHECK) from error

    def _judge(self, token: str, may_wait: bool) -> Claims:  # noqa: FBT001
        if token.startswith(API_KEY_PREFIX):
            if self._introspector is None:
                raise InvalidToken(Reason.FORM)
            return self._introspector.check(token)
        claims = self._check_signature(token, may_wait)
        if self._introspector is not None and self._asks_always:
            return _as_of_now(claims, self._introspector.check(token))
        return claims

    def _check_signature(self, token: str, may_wait: bool) -> Claims:  # noqa: FBT001
        keys = self.keys.current(may_wait=may_wait)
        remembered = self._remembered
        if keys is not remembered.keys:
            remembered = self._remembered = _Remembered(keys)
        now = self.now()
        known = remembered.entries.get(token)
        if known is None:
            known = self._read(token, keys, may_wait)
            _require_time(known, now)
            self._remember(token, known, remembered.entries)
        else:
            _require_time(known, now)
        if not self._asks_always:
            self._looked_at = now
        return known[0]

    def _read(self, token: str, keys: Mapping[str, Key], may_wait: bool) -> Entry:  # noqa: FBT001
        try:
            payload = verified_payload(token, keys)
        except InvalidToken as refusal:
            if refusal.reason is not Reason.UNKNOWN_KEY:
                raise
            flight = self.keys.look_again(may_wait=may_wait)
            if flight is None:
                raise
            raise KeysWanted(flight) from None
        members = parse(payload, max_depth=MAX_DEPTH)
        if members is None:
            raise InvalidToken(Reason.CLAIMS)
        claims = reading.read(members, issuer=self.issuer, audience=self.audience)
        return (claims, *reading.opens_and_closes(members, self._leeway))

    def _remember(self, token: str, entry: Entry, entries: dict[str, Entry]) -> None:
        with self._lock:
            entries[token] = entry
            if len(entries) > self._cache_size:
                del entries[next(iter(entries))]


def _as_of_now(claims: Claims, answer: Claims) -> Claims:
    """What was signed, with what Keystead lets its bearer do at this moment."""
    if answer.subject != claims.subject:
        raise InvalidToken(Reason.INACTIVE)
    return replace(claims, roles=answer.roles, scope=answer.scope)


def _require_time(entry: Entry, now: float) -> None:
    if now < entry[1]:
        raise InvalidToken(Reason.EARLY)
    if now >= entry[2]:
        raise InvalidToken(Reason.EXPIRED)


def _wait(flight: "Future[None]", ends: float) -> bool:
    """Whether there is time left to wait for more."""
    try:
        flight.result(max(0.0, ends - monotonic()))
    except FutureTimeout:
        return False
    return monotonic() < ends


async def _await(flight: "Future[None]", ends: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, ends - monotonic())):
            await asyncio.shield(asyncio.wrap_future(flight))
    except TimeoutError:
        return False
    return monotonic() < ends
