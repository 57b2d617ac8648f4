"""The call of a hook: signed, bounded in time and size, and with a stated meaning of its failure."""

import asyncio
import re
from collections.abc import Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Any

import msgspec
import structlog
from httpcore2 import AsyncConnectionPool

from keystead.hooks.breaker import Breaker
from keystead.hooks.destination import Destinations, GuardedBackend
from keystead.hooks.signature import sign
from keystead.hooks.types import Hook, HookAnswer, HookPoint, HookRefused, HookUnavailable, OnFailure
from keystead.kernel import strict_json
from keystead.kernel.clock import Clock
from keystead.kernel.ids import new_uuid
from keystead.kernel.telemetry import HOOK_CALLS, HOOK_SECONDS

log = structlog.get_logger("hooks")

MAX_ANSWER_BYTES = 16 * 1024
MAX_ANSWER_DEPTH = 6
MAX_AT_ONCE = 50
MAX_WORDS = 200
_NOTHING = HookAnswer(MappingProxyType({}))
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class HookFailed(Exception):
    """It did not answer, or not as a hook does; the text says why and holds nothing of the answer."""


class Hooks:
    """The configured ones. A point without one costs nothing."""

    def __init__(self, hooks: Mapping[HookPoint, Hook], destinations: Destinations, clock: Clock) -> None:
        self._hooks = dict(hooks)
        self._clock = clock
        self._breakers = {point: Breaker() for point in hooks}
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        # No redirects, no proxies of the environment, no cookies: it is a connection pool and nothing more.
        self._pool = AsyncConnectionPool(
            max_connections=MAX_AT_ONCE,
            keepalive_expiry=30,
            network_backend=GuardedBackend(destinations),
        )

    async def close(self) -> None:
        await self._pool.aclose()

    def has(self, point: HookPoint) -> bool:
        return point in self._hooks

    async def __call__(self, point: HookPoint, facts: Mapping[str, Any]) -> HookAnswer:
        """Raises HookRefused where it says no, HookUnavailable where it fails and is one that must be asked.

        Nothing is locked meanwhile: no caller may be in a transaction.
        """
        hook = self._hooks.get(point)
        if hook is None:
            return _NOTHING
        breaker = self._breakers[point]
        if not breaker.admits():
            HOOK_CALLS.labels(point.value, "not_called").inc()
            return _failed(hook)
        started = perf_counter()
        try:
            async with asyncio.timeout(hook.timeout.total_seconds()), self._slots:
                answer = await self._ask(hook, facts)
        except HookRefused:
            breaker.note(success=True)
            HOOK_CALLS.labels(point.value, "refused").inc()
            raise
        except Exception as error:  # noqa: BLE001 - whatever a network does, the failure mode decides
            breaker.note(success=False)
            HOOK_CALLS.labels(point.value, "failed").inc()
            log.warning(
                "hook.failed", hook=point.value, reason=f"{type(error).__name__}: {error}"[:MAX_WORDS]
            )
            return _failed(hook)
        finally:
            HOOK_SECONDS.labels(point.value).observe(perf_counter() - started)
        breaker.note(success=True)
        HOOK_CALLS.labels(point.value, "answered").inc()
        return answer

    async def _ask(self, hook: Hook, facts: Mapping[str, Any]) -> HookAnswer:
        now = self._clock.now()
        message_id = f"msg_{new_uuid().hex}"
        body = msgspec.json.encode({"type": hook.point.value, "id": message_id, "at": now, **facts})
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "user-agent": "Keystead",
            **sign(hook.secrets, message_id=message_id, timestamp=int(now.timestamp()), body=body),
        }
        seconds = hook.timeout.total_seconds()
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        async with self._pool.stream(
            "POST",
            hook.url,
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=body,
            extensions={"timeout": timeouts},
        ) as response:
            told = {name.lower(): value for name, value in response.headers}
            data = bytearray()
            async for chunk in response.aiter_stream():
                data += chunk
                if len(data) > MAX_ANSWER_BYTES:
                    raise HookFailed(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            return _read(response.status, told.get(b"content-type", b""), bytes(data))


def _failed(hook: Hook) -> HookAnswer:
    if hook.on_failure is OnFailure.REFUSE:
        raise HookUnavailable(hook=hook.point.value)
    return _NOTHING


def _read(status: int, media_type: bytes, data: bytes) -> HookAnswer:
    """Raises HookRefused, HookFailed."""
    if status == 204 or (status == 200 and not data):
        return _NOTHING
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
            return _NOTHING


def _words(members: Mapping[str, Any]) -> dict[str, str]:
    """Its own words, if they are harmless."""
    told = {}
    reason, explanation = members.get("reason"), members.get("message")
    if isinstance(reason, str) and _REASON.fullmatch(reason):
        told["reason"] = reason
    if isinstance(explanation, str) and explanation.isprintable() and len(explanation) <= MAX_WORDS:
        told["explanation"] = explanation
    return told
