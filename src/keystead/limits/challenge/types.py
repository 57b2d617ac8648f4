"""What a challenge asks for, who judges the answer, and the refusals."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from keystead.kernel.errors import Refusal, Unavailable
from keystead.kernel.secrets import Secret

MAX_ANSWER_LENGTH = 4096
MIN_DIFFICULTY = 8
USUAL_DIFFICULTY = 16
MAX_DIFFICULTY = 24


class ProviderKind(StrEnum):
    """Whose widget it is that people meet; all share the `siteverify` call."""

    TURNSTILE = "turnstile"
    HCAPTCHA = "hcaptcha"
    RECAPTCHA = "recaptcha"


class OnFailure(StrEnum):
    """What a provider that is down, slow or wrong means. Nobody passes unasked in either case."""

    PROOF_OF_WORK = "proof_of_work"
    REFUSE = "refuse"


class ChallengeRequired(Refusal):
    """A rule wants proof of effort first: answer `challenge`, and send the request again with the answer in
    `X-Challenge-Response`. See docs/challenges.md."""

    code = "challenge_required"
    message = "Answer the challenge, and send the request again with the answer."

    def __init__(self, challenge: dict[str, Any]) -> None:
        super().__init__(challenge=challenge)
        self.challenge = challenge


class ChallengeFailed(Refusal):
    """Wrong, used, expired, of another network or for something else: one refusal for all of it, with a new
    `challenge`."""

    code = "challenge_failed"
    message = "The answer to the challenge does not count. Here is a new one."

    def __init__(self, challenge: dict[str, Any]) -> None:
        super().__init__(challenge=challenge)
        self.challenge = challenge


class ChallengeUnavailable(Unavailable):
    """The provider that judges answers does not, and the setting says to wait for it. The answer may be sent again."""

    code = "challenge_unavailable"
    message = "The service that checks challenges does not answer. Try again in a moment."


@dataclass(frozen=True, slots=True)
class Provider:
    """A `siteverify` service. `hostnames` are those of our pages: an answer that was won elsewhere does not count."""

    kind: ProviderKind
    site_key: str
    secret: Secret
    url: str
    hostnames: frozenset[str]
    timeout: timedelta
    min_score: float
    checks_action: bool
    on_failure: OnFailure
