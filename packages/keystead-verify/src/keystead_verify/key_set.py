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
UNKNOWN_KEY_PAUSE = 10.0  # an unknown key id makes the keys be fetched again, no more often than that
_FIRST_RETRY, _LAST_RETRY = 1.0, 10.0


class KeysWanted(Exception):
    """Keys are being fetched: wait for `flight`, and try again."""

    def __init__(self, flight: "Future[None]") -> None:
        super().__init__()
        self.flight = flight


class KeySet:
    """Thread-safe. `fetch` gets the document and may raise ExchangeFailed; it runs in a thread of its own, one at a
    time, so that nobody waits longer for it than they want to."""

    def __init__(self, fetch: Callable[[], Answer], *, max_stale: float) -> None:
        self._fetch = fetch
        self._max_stale = max_stale
        self._lock = threading.Lock()
        self._flight: Future[None] | None = None
        self._keys: Mapping[str, Key] | None = None
        self._fetched_at = 0.0
        self._fresh_until = 0.0
        self._retry_from = 0.0
        self._failures = 0
        self._unknown_from = 0.0
        self.fetches = 0

    def current(self) -> Mapping[str, Key]:
        """The keys; the same object until they change. One that is due is fetched beside.

        Raises KeysWanted where there are none to go on with, IssuerUnavailable where the last try just failed.
        """
        now = monotonic()
        is_due = now >= self._fresh_until and now >= self._retry_from
        flight = self._start() if is_due else None
        keys = self._keys
        if keys is not None and now < self._fetched_at + self._max_stale:
            return keys
        flight = flight or self._flight
        if flight is None:
            raise IssuerUnavailable
        raise KeysWanted(flight)

    def look_again(self) -> "Future[None] | None":
        """A fetch because a token names a key that is unknown here; None where one was made a moment ago."""
        now = monotonic()
        with self._lock:
            if self._flight is not None:
                return self._flight
            if now < self._unknown_from:
                return None
            self._unknown_from = now + UNKNOWN_KEY_PAUSE
        return self._start()

    def _start(self) -> "Future[None]":
        with self._lock:
            if self._flight is not None:
                return self._flight
            flight: Future[None] = Future()
            self._flight = flight
            self.fetches += 1
        threading.Thread(target=self._run, args=(flight,), name="keystead-keys", daemon=True).start()
        return flight

    def _run(self, flight: "Future[None]") -> None:
        try:
            self._land(self._fetch())
        except Exception as error:  # noqa: BLE001 - whatever broke, those who wait must be let go
            self._failures += 1
            self._retry_from = monotonic() + min(_FIRST_RETRY * 2 ** (self._failures - 1), _LAST_RETRY)
            log.warning("keys were not fetched: %s", error)
        finally:
            with self._lock:
                self._flight = None
            flight.set_result(None)

    def _land(self, answer: Answer) -> None:
        keys = read_key_set(answer.body) if answer.status == 200 else None
        if keys is None:  # an error page, an empty set, keys of something else: what was good stays
            raise ExchangeFailed(f"the answer ({answer.status}) is no set of keys that could verify anything")
        now = monotonic()
        age = answer.max_age()
        self._failures = 0
        self._fetched_at = now
        self._fresh_until = now + min(max(DEFAULT if age is None else age, SHORTEST), LONGEST)
        if self._keys is None or not _same(self._keys, keys):
            self._keys = keys


def _same(one: Mapping[str, Key], other: Mapping[str, Key]) -> bool:
    return one.keys() == other.keys() and all(
        one[kid].algorithm == other[kid].algorithm and one[kid].key == other[kid].key for kid in one
    )
