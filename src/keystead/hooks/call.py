"""The call of a hook: signed, bounded in time and size, and with a stated meaning of its failure."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import structlog
from httpcore2 import AsyncConnectionPool, ConnectError

from keystead.hooks.answer import GO_ON, MAX_ANSWER_BYTES, HookFailed, read_answer
from keystead.hooks.backend import GuardedBackend
from keystead.hooks.breaker import Breaker
from keystead.hooks.destination import AddressForbidden, Destinations
from keystead.hooks.signature import signature_headers
from keystead.hooks.types import Hook, HookAnswer, HookPoint, HookRefused, HookUnavailable, OnFailure
from keystead.kernel.clock import Clock
from keystead.kernel.errors import CannotStart
from keystead.kernel.ids import new_uuid
from keystead.kernel.telemetry import HOOK_CALLS, HOOK_SECONDS, HOOKS_LEFT_ALONE

log = structlog.get_logger("hooks")

MAX_AT_ONCE = 50
_KEEPALIVE_SECS = 2.0  # shorter than servers keep theirs, or a call would meet one that is just being closed


class Hooks:
    """The configured ones. A point without one costs nothing."""

    def __init__(
        self,
        hooks: Mapping[HookPoint, Hook],
        destinations: Destinations,
        clock: Clock,
        *,
        ca_file: Path | None = None,
    ) -> None:
        """`ca_file` holds the certificates that are trusted in place of the system's."""
        trust = _trust(ca_file) if hooks else None
        self._clock = clock
        self._lines = {point: _Line(hook, destinations, trust) for point, hook in hooks.items()}

    async def close(self) -> None:
        for line in self._lines.values():
            await line.pool.aclose()

    def has(self, point: HookPoint) -> bool:
        return point in self._lines

    async def __call__(self, point: HookPoint, facts: Mapping[str, Any]) -> HookAnswer:
        """Raises HookRefused where it says no, HookUnavailable where it fails and is one that must be asked.

        Nothing is locked meanwhile: no caller may be in a transaction.
        """
        line = self._lines.get(point)
        if line is None:
            return GO_ON
        if not line.breaker.admits():
            return line.give_up("not_called")
        headers, body = self._compose(line.hook, facts)
        is_asked, started = False, perf_counter()
        try:
            async with asyncio.timeout(line.hook.timeout.total_seconds()), line.slots:
                is_asked = True
                answer = await line.ask(headers, body)
        except HookRefused:
            line.note("refused", perf_counter() - started)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a network does, the failure mode decides
            if not is_asked:  # too many are under way: that is no fault of the service's
                return line.give_up("busy")
            line.note("failed", perf_counter() - started)
            log.warning("hook.failed", hook=point.value, reason=_shown(error))
            return line.give_up()
        line.note("answered", perf_counter() - started)
        return answer

    def _compose(self, hook: Hook, facts: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
        now = self._clock.now()
        message_id = f"msg_{new_uuid().hex}"
        body = msgspec.json.encode({"type": hook.point.value, "id": message_id, "at": now, **facts})
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "user-agent": "Keystead",
            **signature_headers(
                hook.secrets, message_id=message_id, timestamp=int(now.timestamp()), body=body
            ),
        }
        return headers, body


class _Line:
    """What a hook has for itself, so that one that is slow holds up no other."""

    def __init__(self, hook: Hook, destinations: Destinations, trust: ssl.SSLContext | None) -> None:
        in_the_clear = hook.url.startswith("http://")
        self.hook = hook
        self.breaker = Breaker()
        self.slots = asyncio.Semaphore(MAX_AT_ONCE)
        # No redirects, no proxies of the environment, no cookies: it is a pool of connections and nothing more.
        self.pool = AsyncConnectionPool(
            ssl_context=trust,
            max_connections=MAX_AT_ONCE,
            keepalive_expiry=_KEEPALIVE_SECS,
            network_backend=GuardedBackend(replace(destinations, includes_public=not in_the_clear)),
        )

    async def ask(self, headers: Mapping[str, str], body: bytes) -> HookAnswer:
        async with self.pool.stream(
            "POST",
            self.hook.url,
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=body,
        ) as response:
            told = {name.lower(): value for name, value in response.headers}
            data = bytearray()
            async for chunk in response.aiter_stream():
                data += chunk
                if len(data) > MAX_ANSWER_BYTES:
                    raise HookFailed(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            return read_answer(response.status, told.get(b"content-type", b""), bytes(data))

    def note(self, outcome: str, seconds: float) -> None:
        point = self.hook.point.value
        self.breaker.note(success=outcome != "failed")
        HOOKS_LEFT_ALONE.labels(point).set(self.breaker.is_open)
        HOOK_CALLS.labels(point, outcome).inc()
        HOOK_SECONDS.labels(point).observe(seconds)

    def give_up(self, outcome: str | None = None) -> HookAnswer:
        """What its failure means; `outcome` is why it was not called, if it was not."""
        if outcome is not None:
            HOOK_CALLS.labels(self.hook.point.value, outcome).inc()
        if self.hook.on_failure is OnFailure.REFUSE:
            raise HookUnavailable(hook=self.hook.point.value)
        return GO_ON


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CannotStart(f"the certificates of hooks.ca_file, {ca_file}, cannot be read: {error}") from error


def _shown(error: Exception) -> str:
    """For the log. What a faulty protocol is told with may hold the answer, and so what we said of a person."""
    told = isinstance(error, HookFailed | AddressForbidden | ConnectError)
    return f"{type(error).__name__}: {error}"[:200] if told else type(error).__name__
