"""What a hook answered: go on, no, more claims, or nothing that is an answer."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from keystead.hooks.types import HookAnswer, HookRefused
from keystead.kernel import strict_json

MAX_ANSWER_BYTES = 16 * 1024
MAX_ANSWER_DEPTH = 6
MAX_WORDS = 200

GO_ON = HookAnswer(MappingProxyType({}))
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class HookFailed(Exception):
    """It did not answer as a hook does; the text says why and holds nothing of the answer."""


def read_answer(status: int, media_type: bytes, data: bytes) -> HookAnswer:
    """Raises HookRefused, HookFailed."""
    if status == 204 or (status == 200 and not data):
        return GO_ON
    if status != 200:
        raise HookFailed(f"status {status}")
    if media_type.partition(b";")[0].strip().lower() != b"application/json":
        raise HookFailed("the answer is no JSON")
    try:
        members = strict_json.loads(data, max_depth=MAX_ANSWER_DEPTH)
    except strict_json.JsonRejected as error:
        raise HookFailed(str(error)) from None
    if not isinstance(members, dict):
        raise HookFailed("the answer is no object")
    match members:
        case {"action": "refuse"}:
            raise HookRefused(**_words(members))
        case {"action": action} if action != "allow":
            raise HookFailed("the action is neither allow nor refuse")
        case {"claims": dict() as claims}:
            return HookAnswer(claims)
        case {"claims": _}:
            raise HookFailed("the claims are no object")
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
