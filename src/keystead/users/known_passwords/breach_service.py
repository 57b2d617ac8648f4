"""A service that knows breached passwords, asked by k-anonymity: it learns five hexadecimal digits of a SHA-1.

The protocol is that of Have I Been Pwned's ranges: `GET URL/ABCDE` answers a line `REST:COUNT` for each SHA-1 that
begins so. Lines of count 0 are padding, which hides from the network how long the true answer is.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from time import monotonic, perf_counter

import structlog

from keystead.kernel.errors import Unavailable
from keystead.kernel.telemetry import (
    BREACH_SERVICE_CALLS,
    BREACH_SERVICE_LEFT_ALONE,
    BREACH_SERVICE_SECONDS,
)
from keystead.outgoing.destination import Destinations
from keystead.outgoing.line import Answer, BadAnswer, Line, NotCalled, shown, trusting

log = structlog.get_logger("known_passwords")

MAX_ANSWER_BYTES = 256 * 1024  # about six thousand lines; Have I Been Pwned's are of two thousand
CACHED_ANSWERS = 32
CACHED_FOR = timedelta(minutes=10)
_PREFIX_DIGITS = 5
_ANSWER = re.compile(rb"(?:[0-9A-Fa-f]{35}:\d{1,12}(?:\r?\n|\Z))*")
_HEADERS = {"accept": "text/plain", "add-padding": "true"}


class OnFailure(StrEnum):
    """What a service that is down, slow or wrong means: allow is open, refuse is closed."""

    ALLOW = "allow"
    REFUSE = "refuse"


class PasswordsUnchecked(Unavailable):
    """The service that knows breached passwords did not answer, and must be asked: nothing was done."""

    code = "passwords_unchecked"
    message = "Whether this password is known to others cannot be found out. Try again in a moment."


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    url: str
    timeout: timedelta
    on_failure: OnFailure


class BreachService:
    """Asks it, and remembers its last answers for a while: people try the same password twice."""

    def __init__(self, service: Service, destinations: Destinations, *, ca_file: Path | None) -> None:
        self._on_failure = service.on_failure
        self._answers: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._line = Line(
            service.url,
            destinations,
            trusting(ca_file, setting="auth.password.breach_service.ca_file"),
            timeout=service.timeout,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    async def close(self) -> None:
        await self._line.close()

    async def has(self, sha1: bytes) -> bool:
        """Raises PasswordsUnchecked where it fails and must be asked. Nothing is locked meanwhile: no caller may be in
        a transaction."""
        digits = sha1.hex().upper()
        prefix, rest = digits[:_PREFIX_DIGITS], digits[_PREFIX_DIGITS:]
        answer = self._remembered(prefix)
        if answer is None:
            answer = await self._ask(prefix)
        if answer is None:
            if self._on_failure is OnFailure.REFUSE:
                raise PasswordsUnchecked
            return False
        return re.search(rb"(?im)^%s:0*[1-9]" % rest.encode(), answer) is not None

    async def _ask(self, prefix: str) -> bytes | None:
        started = perf_counter()
        try:
            answer = await self._line.get(prefix, _HEADERS, _read)
        except NotCalled as left_out:
            BREACH_SERVICE_CALLS.labels(left_out.why).inc()
            return None
        except Exception as error:  # noqa: BLE001 - whatever a network does, the failure mode decides
            self._note("failed", perf_counter() - started)
            log.warning("breach_service.failed", reason=shown(error))
            return None
        self._note("answered", perf_counter() - started)
        self._remember(prefix, answer)
        return answer

    def _note(self, outcome: str, seconds: float) -> None:
        BREACH_SERVICE_LEFT_ALONE.set(self._line.breaker.is_open)
        BREACH_SERVICE_CALLS.labels(outcome).inc()
        BREACH_SERVICE_SECONDS.observe(seconds)

    def _remembered(self, prefix: str) -> bytes | None:
        until, answer = self._answers.get(prefix, (0.0, b""))
        return answer if monotonic() < until else None

    def _remember(self, prefix: str, answer: bytes) -> None:
        self._answers[prefix] = (monotonic() + CACHED_FOR.total_seconds(), answer)
        self._answers.move_to_end(prefix)
        if len(self._answers) > CACHED_ANSWERS:
            self._answers.popitem(last=False)


def _read(answer: Answer) -> bytes:
    """Raises BadAnswer."""
    if answer.status != 200:
        raise BadAnswer(f"status {answer.status}")
    if not _ANSWER.fullmatch(answer.data):
        raise BadAnswer("the answer is no range of hashes")
    return answer.data
