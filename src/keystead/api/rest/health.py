"""Routes of `/health`."""

from http import HTTPStatus

import msgspec

from keystead.api.rest.routes import Answer, Call, Reply, Route
from keystead.kernel.caller import Access
from keystead.kernel.errors import Unavailable
from keystead.limits.types import RouteClass
from keystead.operations.health import CheckReadiness, ReadHealth


class StatusBody(msgspec.Struct):
    status: str


class PartBody(msgspec.Struct):
    status: str
    latency_ms: float
    version: str | None


class HealthBody(msgspec.Struct):
    status: str
    version: str
    parts: dict[str, PartBody]


async def live(_call: Call) -> Reply:
    return Reply(body=StatusBody("ok"))


async def ready(call: Call) -> Reply:
    status = "draining" if call.drain.is_draining else await call.core.operations.check_readiness()
    if status in ("down", "draining"):
        raise Unavailable(reason=status)
    return Reply(body=StatusBody(status))


async def health(call: Call) -> Reply:
    report = await call.core.operations.read_health(call.identity.caller)
    parts = {
        name: PartBody(part.status, part.latency_ms, part.version) for name, part in report.parts.items()
    }
    return Reply(body=HealthBody(report.status, report.version, parts))


ROUTES = (
    Route(
        method="GET",
        path="/health/live",
        handler=live,
        summary="Whether the process runs",
        answers=(Answer(HTTPStatus.OK, StatusBody, "It runs."),),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
    ),
    Route(
        method="GET",
        path="/health/ready",
        handler=ready,
        summary="Whether the process may get traffic",
        answers=(Answer(HTTPStatus.OK, StatusBody, "It may: ok, or degraded, which means without Redis."),),
        requires=CheckReadiness.requires,
        limited_as=RouteClass.FREE,
        refuses=CheckReadiness.refuses,
    ),
    Route(
        method="GET",
        path="/health",
        handler=health,
        summary="How each part is",
        answers=(Answer(HTTPStatus.OK, HealthBody, "The report."),),
        requires=ReadHealth.requires,
        refuses=ReadHealth.refuses,
    ),
)
