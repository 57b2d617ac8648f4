"""The issuer's keys, kept fresh: fetched once however many ask, served stale while the issuer is away, for a while."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from time import monotonic

from keystead_verify.errors import IssuerUnavailable
from keystead_verify.http import Answer, ExchangeFailed
from keystead_verify.keys import Key, read_key_set

log = logging.getLogger("keystead_verify")

FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024
SHORTEST, DEFAULT, LONGEST = 5.0, 300.0, 3600.0  # seconds that a fetched set is fresh
AHEAD = 0.75  # of that time, after which the next set is fetched beside
UNKNOWN_KEY_PAUSE = 10.0  # an unknown key id makes the keys be fetched again, no more often than that
_FIRST_RETRY, _LAST_RETRY = 1.0, 10.0


class KeysWanted(Exception):
    """An answer is on its way: wait for `flight`, and try again."""

    def __init__(self, flight: "Future[None]") -> None:
        super().__init__()
        self.flight = flight


class KeySet:
    """Thread-safe. `fetch` gets the document and may raise ExchangeFailed; it runs in a thread of its own, one at a
    time, so that nobody waits longer for it than they want to. Stale keys are used for `max_stale` seconds after they
    were fetched.
    """

    def __init__(self, fetch: Callable[[], Answer], *, max_stale: float) -> None:
        self._fetch = fetch
        self._max_stale = max_stale
        self._lock = threading.Lock()
        self._flight: Future[None] | None = None
        self._keys: Mapping[str, Key] | None = None
        self._fresh_until = self._stale_until = 0.0
        self._due_at = 0.0
        self._unknown_from = 0.0
        self._failures = 0  # since the last success
        self._is_away = False  # the issuer failed, or kept somebody waiting in vain
        self.fetches = 0

    def current(self, *, may_wait: bool = True) -> Mapping[str, Key]:
        """The keys; the same object until they change.

        Stale ones only if the issuer was tried and failed, or if a caller may wait no longer for it. Raises KeysWanted
        where a fetch must be waited for, and IssuerUnavailable.
        """
        now = monotonic()
        # In this order: what has landed in between is then found in the keys.
        flight = self._start(now) if now >= self._due_at else self._flight
        keys = self._keys
        if keys is not None:
            if now < self._fresh_until:
                return keys
            if not may_wait:
                self._is_away = True  # until it answers, so that one waits and not all of them
            if now < self._stale_until and self._is_away:
                return keys
        if flight is None or not may_wait:
            raise IssuerUnavailable
        raise KeysWanted(flight)

    def look_again(self, *, may_wait: bool = True) -> "Future[None] | None":
        """A fetch because a token names a key that is unknown here; None where one was made a moment ago.

        Raises IssuerUnavailable where nobody can say whether there is such a key, without a wait for every such token.
        """
        now = monotonic()
        with self._lock:
            if self._flight is None and now >= self._unknown_from:
                self._unknown_from = now + UNKNOWN_KEY_PAUSE
                self._take_off()
            if self._flight is not None and not may_wait:
                self._is_away = True
            if self._is_away:
                raise IssuerUnavailable
            return self._flight

    def _start(self, now: float) -> "Future[None] | None":
        with self._lock:
            if self._flight is None and now >= self._due_at:
                self._take_off()
            return self._flight

    def _take_off(self) -> None:
        flight: Future[None] = Future()
        threading.Thread(target=self._run, args=(flight,), name="keystead-keys", daemon=True).start()
        self._flight = flight
        self.fetches += 1

    def _run(self, flight: "Future[None]") -> None:
        try:
            self._land(self._fetch())
        except Exception as error:  # noqa: BLE001 - whatever broke, those who wait must be let go
            self._failures += 1
            self._is_away = True
            self._due_at = monotonic() + min(_FIRST_RETRY * 2 ** min(self._failures - 1, 10), _LAST_RETRY)
            log.warning("keys were not fetched: %s", error)
        finally:
            with self._lock:
                self._flight = None
            flight.set_result(None)

    def _land(self, answer: Answer) -> None:
        keys = read_key_set(answer.body) if answer.status == 200 else None
        if keys is None:  # an error page, an empty set, keys of something else: what was good stays
            raise ExchangeFailed(f"the answer ({answer.status}) is no set of keys that could verify anything")
        if self._keys is None or not _same(self._keys, keys):
            self._keys = keys
        now, age = monotonic(), answer.max_age()
        life = min(max(DEFAULT if age is None else age, SHORTEST), LONGEST)
        self._failures, self._is_away = 0, False
        self._fresh_until = now + life
        self._stale_until = now + self._max_stale
        self._due_at = now + AHEAD * life


def _same(one: Mapping[str, Key], other: Mapping[str, Key]) -> bool:
    return one.keys() == other.keys() and all(
        one[kid].algorithm == other[kid].algorithm and one[kid].key == other[kid].key for kid in one
    )
