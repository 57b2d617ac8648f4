"""The call of a hook: signed, bounded in time and size, and with a stated meaning of its failure."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import structlog

from keystead.hooks.answer import GO_ON, read_answer
from keystead.hooks.signature import signature_headers
from keystead.hooks.types import Hook, HookAnswer, HookPoint, HookRefused, HookUnavailable, OnFailure
from keystead.kernel.clock import Clock
from keystead.kernel.ids import new_uuid
from keystead.kernel.telemetry import HOOK_CALLS, HOOK_SECONDS, HOOKS_LEFT_ALONE
from keystead.outgoing.destination import Destinations
from keystead.outgoing.line import Line, NotCalled, shown, trusting

log = structlog.get_logger("hooks")


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
        self._clock = clock
        self._called: Mapping[HookPoint, _Called] = {}
        if hooks:
            trust = trusting(ca_file, setting="hooks.ca_file")
            self._called = {point: _called(hook, destinations, trust) for point, hook in hooks.items()}

    async def close(self) -> None:
        for called in self._called.values():
            await called.line.close()

    def has(self, point: HookPoint) -> bool:
        return point in self._called

    async def __call__(self, point: HookPoint, facts: Mapping[str, Any]) -> HookAnswer:
        """Raises HookRefused where it says no, HookUnavailable where it fails and is one that must be asked.

        Nothing is locked meanwhile: no caller may be in a transaction.
        """
        called = self._called.get(point)
        if called is None:
            return GO_ON
        headers, body = self._compose(called.hook, facts)
        started = perf_counter()
        try:
            answer = await called.line.post(headers, body, read_answer)
        except HookRefused:
            called.note("refused", perf_counter() - started)
            raise
        except NotCalled as left_out:
            HOOK_CALLS.labels(point.value, left_out.why).inc()
            return called.give_up()
        except Exception as error:  # noqa: BLE001 - whatever a network does, the failure mode decides
            called.note("failed", perf_counter() - started)
            log.warning("hook.failed", hook=point.value, reason=shown(error))
            return called.give_up()
        called.note("answered", perf_counter() - started)
        return answer

    def _compose(self, hook: Hook, facts: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
        now = self._clock.now()
        message_id = f"msg_{new_uuid().hex}"
        body = msgspec.json.encode({"type": hook.point.value, "id": message_id, "at": now, **facts})
        headers = {
            "content-type": "application/json",
            **signature_headers(
                hook.secrets, message_id=message_id, timestamp=int(now.timestamp()), body=body
            ),
        }
        return headers, body


@dataclass(frozen=True, slots=True)
class _Called:
    hook: Hook
    line: Line

    def note(self, outcome: str, seconds: float) -> None:
        point = self.hook.point.value
        HOOKS_LEFT_ALONE.labels(point).set(self.line.breaker.is_open)
        HOOK_CALLS.labels(point, outcome).inc()
        HOOK_SECONDS.labels(point).observe(seconds)

    def give_up(self) -> HookAnswer:
        """What its failure means."""
        if self.hook.on_failure is OnFailure.REFUSE:
            raise HookUnavailable(hook=self.hook.point.value)
        return GO_ON


def _called(hook: Hook, destinations: Destinations, trust: ssl.SSLContext) -> _Called:
    return _Called(hook, Line(hook.url, destinations, trust, timeout=hook.timeout))
