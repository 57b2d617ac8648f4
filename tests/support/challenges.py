"""Solved challenges, and a provider of them: a real server on loopback that verifies tokens as it is told to."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

from keystead.kernel.clock import Clock
from keystead.kernel.secrets import Secret
from keystead.limits.challenge.challenges import Challenges
from keystead.limits.challenge.proof_of_work import ProofOfWork
from keystead.limits.challenge.site_verify import SiteVerify
from keystead.limits.challenge.types import OnFailure, Provider, ProviderKind
from tests.support.receiver import LOOPBACK, Receiver

SECRET = "0x4AAA-the-secret-of-the-site"
HOST = "app.example.com"
ADDRESS = "203.0.113.7"
NETWORK = "203.0.113.7/32"


def is_solved(answer: str, difficulty: int) -> bool:
    """Whether the SHA-256 of what is sent begins with so many zeros: is below what has a one in their place."""
    return int(hashlib.sha256(answer.encode()).hexdigest(), 16) < 1 << 256 - difficulty


def solutions(challenge: dict[str, Any]) -> Iterator[str]:
    answers = (f"{challenge['challenge']}.{counter}" for counter in count())
    return (answer for answer in answers if is_solved(answer, challenge["difficulty"]))


def solve(challenge: dict[str, Any]) -> str:
    return next(solutions(challenge))


def challenges_of(db, vault, clock=None, site_verify=None) -> Challenges:
    return Challenges(db, ProofOfWork(vault, clock or Clock()), site_verify)


def site_verify_of(
    url: str,
    *,
    kind: ProviderKind = ProviderKind.TURNSTILE,
    on_failure: OnFailure = OnFailure.PROOF_OF_WORK,
    seconds: float = 5.0,
    destinations=LOOPBACK,
    **more: Any,
) -> SiteVerify:
    expected: dict[str, Any] = {
        "min_score": 0.5,
        "checks_action": True,
        "hostnames": frozenset({HOST}),
    } | more
    provider = Provider(
        kind=kind,
        site_key="1x0000AA",
        secret=Secret(SECRET),
        url=url,
        timeout=timedelta(seconds=seconds),
        on_failure=on_failure,
        **expected,
    )
    return SiteVerify(provider, destinations, ca_file=None)


class ProviderStandIn(Receiver):
    """Says yes to each token once, as long as nothing else is told."""

    def __init__(self) -> None:
        super().__init__()
        self.well()

    def read(self, body: bytes) -> dict[str, Any]:
        return dict(parse_qsl(body.decode(), strict_parsing=True))

    def well(self, **more: Any) -> None:
        self.says({"success": True, "hostname": HOST, "action": "login", "error-codes": [], **more})
