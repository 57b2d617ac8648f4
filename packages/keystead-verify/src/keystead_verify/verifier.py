"""The one way to read an access token: signature and claims in one call."""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from time import monotonic

from keystead_verify import claims as reading
from keystead_verify.claims import Claims
from keystead_verify.errors import InvalidToken, IssuerUnavailable, Reason
from keystead_verify.http import exchange, require_https
from keystead_verify.introspection import Introspection, Introspector
from keystead_verify.jws import verified_payload
from keystead_verify.key_set import FETCH_SECONDS, MAX_DOCUMENT_BYTES, KeySet, KeysWanted
from keystead_verify.keys import Key

API_KEY_PREFIX = "ks_"
_LOOK_EVERY = 1.0  # seconds between looks at whether keys are due, while every token is a known one

Entry = tuple[Claims, int, int]  # what it says, from when and until when it counts


class Verifier:
    """Verifies access tokens of `issuer` for `audience`. Make one and share it: it is safe in threads and tasks.

    A call waits at most `timeout` seconds for keys, and not at all where there are some. While the issuer is away, the
    keys that are known are used for `max_stale` seconds more. Tokens that were verified are remembered (`cache_size` of
    them) until the keys change; their expiry is judged on every call, with `leeway` seconds for clocks that differ.

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
        self.issuer = issuer
        self.audience = audience
        self.leeway = leeway
        address = jwks_uri or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        require_https(address, allow_http=allow_http)
        self.now = clock
        self._timeout = timeout
        self._cache_size = cache_size
        fetch = partial(exchange, address, seconds=FETCH_SECONDS, max_bytes=MAX_DOCUMENT_BYTES, tls=tls)
        self.keys = KeySet(fetch, max_stale=max_stale)
        self._introspector = (
            None
            if introspection is None
            else Introspector(introspection, self, tls=tls, allow_http=allow_http)
        )
        self._lock = threading.Lock()
        self._verified: dict[str, Entry] = {}
        self._verified_with: Mapping[str, Key] | None = None
        self._look_from = 0.0

    def verify(self, token: str) -> Claims:
        """What `token` says. Raises InvalidToken, or IssuerUnavailable where there is nothing to verify with."""
        known = self._verified.get(token)
        if known is not None:
            now = self.now()
            if known[1] <= now < known[2] and now < self._look_from:
                return known[0]
        ends = monotonic() + self._timeout
        while True:
            try:
                return self._check(token)
            except KeysWanted as wanted:
                _wait(wanted.flight, ends)

    async def averify(self, token: str) -> Claims:
        """`verify`, for an event loop: it is never blocked."""
        known = self._verified.get(token)
        if known is not None:
            now = self.now()
            if known[1] <= now < known[2] and now < self._look_from:
                return known[0]
        ends = monotonic() + self._timeout
        while True:
            try:
                return self._check(token)
            except KeysWanted as wanted:
                await _await(wanted.flight, ends)

    def _check(self, token: str) -> Claims:
        """Raises KeysWanted where somebody must be asked first."""
        if token.startswith(API_KEY_PREFIX):
            if self._introspector is None:
                raise InvalidToken(Reason.FORM)
            return self._introspector.check(token)
        claims = self._check_signature(token)
        if self._introspector is not None and self._introspector.asks_always:
            return self._introspector.check(token)
        return claims

    def _check_signature(self, token: str) -> Claims:
        keys = self.keys.current()
        now = self.now()
        if keys is not self._verified_with:
            with self._lock:
                self._verified, self._verified_with = {}, keys
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token, keys)
            _require_time(known, now)
            self._remember(token, known, keys)
        else:
            _require_time(known, now)
        # Where every token is introspected, no call takes the short way.
        asks_always = self._introspector is not None and self._introspector.asks_always
        self._look_from = 0.0 if asks_always else now + _LOOK_EVERY
        return known[0]

    def _verify(self, token: str, keys: Mapping[str, Key]) -> Entry:
        try:
            payload = verified_payload(token, keys)
        except InvalidToken as refusal:
            flight = self.keys.look_again() if refusal.reason is Reason.UNKNOWN_KEY else None
            if flight is None:
                raise
            raise KeysWanted(flight) from None
        members = reading.parse(payload)
        if members is None:
            raise InvalidToken(Reason.CLAIMS)
        claims = reading.read(members, issuer=self.issuer, audience=self.audience)
        return (claims, *reading.opens_and_closes(members, self.leeway))

    def _remember(self, token: str, entry: Entry, keys: Mapping[str, Key]) -> None:
        with self._lock:
            if self._verified_with is keys:
                self._verified[token] = entry
                if len(self._verified) > self._cache_size:
                    del self._verified[next(iter(self._verified))]


def _require_time(entry: Entry, now: float) -> None:
    if now < entry[1]:
        raise InvalidToken(Reason.EARLY)
    if now >= entry[2]:
        raise InvalidToken(Reason.EXPIRED)


def _wait(flight: "Future[None]", ends: float) -> None:
    try:
        flight.result(max(0.0, ends - monotonic()))
    except FutureTimeout:
        raise IssuerUnavailable from None
    if monotonic() >= ends:
        raise IssuerUnavailable


async def _await(flight: "Future[None]", ends: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, ends - monotonic())):
            await asyncio.shield(asyncio.wrap_future(flight))
    except TimeoutError:
        raise IssuerUnavailable from None
    if monotonic() >= ends:
        raise IssuerUnavailable
