"""The `siteverify` call, which Cloudflare Turnstile, hCaptcha, reCAPTCHA and others share."""

import re
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import structlog

from keystead.kernel.telemetry import (
    CHALLENGE_PROVIDER_CALLS,
    CHALLENGE_PROVIDER_LEFT_ALONE,
    CHALLENGE_PROVIDER_SECONDS,
)
from keystead.limits.challenge.types import Provider, ProviderKind
from keystead.outgoing.destination import Destinations
from keystead.outgoing.line import Answer, BadAnswer, Line, NotCalled, shown, trusting

log = structlog.get_logger("challenges")

_TOKEN = re.compile(r"[!-~]+", re.ASCII)
# What is wrong with us. All else is wrong with a token, and anybody can send one: it must not count as a failure.
_OUR_FAULTS = frozenset({"missing-input-secret", "invalid-input-secret", "internal-error"})


class ProviderFailed(Exception):
    """It gave no verdict: down, slow, wrong, or left alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the provider says of a token, besides that it is good."""

    hostname: str | None
    action: str | None
    score: float | None


class SiteVerify:
    """Asks the provider, and holds its verdict against what was expected."""

    def __init__(self, provider: Provider, destinations: Destinations, *, ca_file: Path | None) -> None:
        self.provider = provider
        self._line = Line(
            provider.url,
            destinations,
            trusting(ca_file, setting="challenge.ca_file"),
            timeout=provider.timeout,
        )

    @property
    def is_left_alone(self) -> bool:
        """Asking would be refused for the moment."""
        return self._line.breaker.is_resting

    async def close(self) -> None:
        await self._line.close()

    def challenge(self, purpose: str) -> dict[str, Any]:
        """What the client is told. `action` is what its widget must be given."""
        return {"kind": self.provider.kind.value, "site_key": self.provider.site_key, "action": purpose}

    async def __call__(self, token: str, *, purpose: str, address: str) -> bool:
        """Whether the token is good, and was won on our page for this purpose. Raises ProviderFailed."""
        if not _TOKEN.fullmatch(token):
            return False
        verdict = await self._ask(token, address)
        if verdict is None:
            return False
        is_expected = self._is_expected(verdict, purpose)
        if not is_expected:  # most likely one of the settings
            told = {"hostname": verdict.hostname, "action": verdict.action, "score": verdict.score}
            log.info("challenge.unexpected", purpose=purpose, **told)
        return is_expected

    async def _ask(self, token: str, address: str) -> Verdict | None:
        secret = self.provider.secret.reveal()
        body = urlencode({"secret": secret, "response": token, "remoteip": address}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        started = perf_counter()
        try:
            verdict = await self._line.post(headers, body, read_verdict)
        except NotCalled as left_out:
            CHALLENGE_PROVIDER_CALLS.labels(left_out.why).inc()
            raise ProviderFailed from None
        except Exception as error:  # noqa: BLE001 - whatever a network does, the failure mode decides
            self._note("failed", perf_counter() - started)
            log.warning("challenge.failed", provider=self.provider.kind.value, reason=shown(error))
            raise ProviderFailed from None
        self._note("refused" if verdict is None else "answered", perf_counter() - started)
        return verdict

    def _is_expected(self, verdict: Verdict, purpose: str) -> bool:
        provider = self.provider
        if verdict.hostname not in provider.hostnames:
            return False
        fits = verdict.action == purpose or not provider.checks_action
        match provider.kind:
            case ProviderKind.TURNSTILE:
                return fits
            case ProviderKind.RECAPTCHA:  # its third version names an action and a score, its second neither
                return verdict.score is None or (fits and verdict.score >= provider.min_score)
            case ProviderKind.HCAPTCHA:  # names no action, and its score is one of risk
                return True

    def _note(self, outcome: str, seconds: float) -> None:
        CHALLENGE_PROVIDER_LEFT_ALONE.set(self._line.breaker.is_open)
        CHALLENGE_PROVIDER_CALLS.labels(outcome).inc()
        CHALLENGE_PROVIDER_SECONDS.observe(seconds)


def read_verdict(answer: Answer) -> Verdict | None:
    """None where the token is no good. Raises BadAnswer for what is no verdict on a token."""
    if answer.status not in (200, 400):
        raise BadAnswer(f"status {answer.status}")
    members = answer.read_object()
    match members:
        case {"success": True}:
            return Verdict(
                _text(members.get("hostname")), _text(members.get("action")), _number(members.get("score"))
            )
        case {"success": False, "error-codes": list() as codes} if ours := _OUR_FAULTS.intersection(
            code for code in codes if isinstance(code, str)
        ):
            raise BadAnswer(", ".join(sorted(ours)))
        case {"success": False}:
            return None
        case _:
            raise BadAnswer("the answer is no verdict")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
