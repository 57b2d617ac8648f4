"""What a hook answered: go on, no, more claims, or nothing that is an answer."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from keystead.hooks.types import HookAnswer, HookRefused
from keystead.outgoing.line import Answer, BadAnswer

MAX_WORDS = 200

GO_ON = HookAnswer(MappingProxyType({}))
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def read_answer(answer: Answer) -> HookAnswer:
    """Raises HookRefused, BadAnswer."""
    if answer.status == 204 or (answer.status == 200 and not answer.data):
        return GO_ON
    if answer.status != 200:
        raise BadAnswer(f"status {answer.status}")
    members = answer.read_object()
    match members:
        case {"action": "refuse"}:
            raise HookRefused(**_words(members))
        case {"action": action} if action != "allow":
            raise BadAnswer("the action is neither allow nor refuse")
        case {"claims": dict() as claims}:
            return HookAnswer(claims)
        case {"claims": _}:
            raise BadAnswer("the claims are no object")
        case _:
            return GO_ON


def _words(members: Mapping[str, Any]) -> dict[str, str]:
    """Its own words, if they are harmless."""
    told = {}
    reason, explanation = members.get("reason"), members.get("message")
    if isinstance(reason, str) and _REASON.fullmatch(reason):
        told["reason"] = reason
    if isinstance(explanation, str) and explanation.isprintable() and len(explanation) <= MAX_WORDS:
        told["explanation"] = explanation
    return told
