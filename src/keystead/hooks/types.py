"""Where a hook is called, what it may say, and what happens when it says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from keystead.kernel.errors import Refusal, Unavailable
from keystead.kernel.secrets import Secret


class HookPoint(StrEnum):
    BEFORE_REGISTRATION = "before_registration"
    BEFORE_TOKEN = "before_token"
    AFTER_LOGIN = "after_login"


class OnFailure(StrEnum):
    """What a hook that is down, slow or wrong means: refuse is closed, allow is open."""

    REFUSE = "refuse"
    ALLOW = "allow"


class HookRefused(Refusal):
    """A service of the operator's said no. `reason` and `explanation` are its own words."""

    code = "hook_refused"
    message = "This is not allowed here."


class HookUnavailable(Unavailable):
    """A service that must be asked did not answer: nothing was done."""

    code = "hook_unavailable"
    message = "A service that decides about this does not answer. Try again in a moment."


@dataclass(frozen=True, slots=True)
class Hook:
    """`secrets` sign: the first is the current one, a second one goes along while it is being replaced."""

    point: HookPoint
    url: str
    secrets: tuple[Secret, ...]
    timeout: timedelta
    on_failure: OnFailure


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What it lets be: claims to add, at the point before a token."""

    claims: Mapping[str, Any] = field(default_factory=dict)
