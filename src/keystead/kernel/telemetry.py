"""Logs and metrics: their names, their form, and what must never appear in them."""

import contextlib
import logging
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from keystead.kernel.secrets import Secret

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

HTTP_REQUESTS = Counter("http_requests", "Requests answered.", ["method", "route", "status"])
HTTP_REQUEST_DURATION = Histogram(
    "http_request_duration_seconds",
    "Seconds from the request line to the last byte of the answer.",
    ["method", "route"],
    buckets=(
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1.0,
        2.5,
        5.0,
        10.0,
        30.0,
    ),
)
AUTH_ATTEMPTS = Counter("auth_attempts", "Attempts to prove an identity.", ["action", "outcome"])
MAILS = Counter("mails", "What became of mails at each try.", ["kind", "outcome"])
HOOK_CALLS = Counter("hook_calls", "Calls of hooks, and calls that were left out.", ["hook", "outcome"])
HOOK_CLAIMS_IGNORED = Counter(
    "hook_claims_ignored", "Claims of a hook's that the application lets no hook add."
)
HOOKS_LEFT_ALONE = Gauge(
    "hooks_left_alone",
    "Processes whose breaker is open: they leave the hook alone after failures.",
    ["hook"],
    multiprocess_mode="livesum",
)
HOOK_SECONDS = Histogram(
    "hook_call_seconds",
    "How long a hook took to answer, or to fail.",
    ["hook"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
CHALLENGES = Counter("challenges", "Challenges that were demanded, and what became of answers.", ["outcome"])
CHALLENGE_PROVIDER_CALLS = Counter(
    "challenge_provider_calls",
    "Calls of the provider of challenges, and calls that were left out.",
    ["outcome"],
)
CHALLENGE_PROVIDER_LEFT_ALONE = Gauge(
    "challenge_provider_left_alone",
    "Processes whose breaker is open: they leave the provider alone after failures.",
    multiprocess_mode="livesum",
)
CHALLENGE_PROVIDER_SECONDS = Histogram(
    "challenge_provider_call_seconds",
    "How long the provider of challenges took to answer, or to fail.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
RATE_LIMIT_EXCEEDED = Counter("rate_limit_exceeded", "Requests beyond a rule's limit.", ["rule"])
LIMITS_DEGRADED = Gauge(
    "limits_degraded",
    "Processes that limit by themselves because Redis is away.",
    multiprocess_mode="livesum",
)
GUESSES = Counter("guesses", "Guesses at passwords, by what became of them.", ["outcome"])
KNOWN_PASSWORDS = Counter(
    "known_passwords", "New passwords that were refused because others know them.", ["source"]
)
KNOWN_PASSWORDS_FILE_UNSOUND = Gauge(
    "known_passwords_file_unsound",
    "Processes for which the file of known passwords cannot be used, or not renewed.",
    multiprocess_mode="livesum",
)
BREACH_SERVICE_CALLS = Counter(
    "breach_service_calls",
    "Calls of the service that knows breached passwords, and calls that were left out.",
    ["outcome"],
)
BREACH_SERVICE_LEFT_ALONE = Gauge(
    "breach_service_left_alone",
    "Processes whose breaker is open: they leave the service alone after failures.",
    multiprocess_mode="livesum",
)
BREACH_SERVICE_SECONDS = Histogram(
    "breach_service_call_seconds",
    "How long the service that knows breached passwords took to answer, or to fail.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
JWT_TOKENS_ISSUED = Counter("jwt_tokens_issued", "Access tokens signed.")
DATABASE_CONNECTIONS_ACTIVE = Gauge(
    "database_connections_active",
    "Database connections in use.",
    multiprocess_mode="livesum",
)
PASSWORD_HASHES = Counter("password_hashes", "Password hashes that were computed.")
PASSWORD_QUEUE = Gauge(
    "password_hashes_waiting",
    "Password hashes waiting or running.",
    multiprocess_mode="livesum",
)

_LEVELS = {"trace": 0, "debug": 10, "info": 20, "warning": 30, "error": 40}  # structlog knows no others
_SECRET_NAMES = (
    "password",
    "secret",
    "token",
    "authorization",
    "cookie",
    "credential",
    "api_key",
)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """One request answered. Every argument but the last must be of few values: each combination is kept for good."""
    requests, duration = _request_series(method, route, status)
    requests.inc()
    duration.observe(seconds)


@cache  # finding a series by its labels costs as much as changing it
def _request_series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return HTTP_REQUESTS.labels(method, route, status), HTTP_REQUEST_DURATION.labels(method, route)


def bind_request_id(request_id: str) -> None:
    """Every log line and audit event of the current task carries `request_id` from here on."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def current_request_id() -> str | None:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return request_id if isinstance(request_id, str) else None


def configure_logging(*, level: str, form: str) -> None:
    """Send structlog and the standard library's records, one line each, to standard error.

    `level` is one of trace, debug, info, warning, error; `form` is json or console.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    render = _render_json if form == "json" else _render_console
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_LineLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _as_text(render),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.INFO))
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # it announces what our own events say better


def redact(_logger: "WrappedLogger", _method: str, event: "EventDict") -> "EventDict":
    """Hide values whose type or name says secret, however deep they stand."""
    return {name: _redacted(name, value) for name, value in event.items()}


def _redacted(name: str, value: object) -> object:
    if isinstance(value, str):
        return "***" if _names_a_secret(name) else value
    if isinstance(value, Secret | bytes | bytearray):
        return "***"
    if isinstance(value, dict):
        return {str(key): _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(name, item) for item in value]
    return value


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_NAMES)


def _render_json(_logger: "WrappedLogger", _method: str, event: "EventDict") -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)


def _render_console(_logger: "WrappedLogger", _method: str, event: "EventDict") -> bytes:
    """A line for people; control characters are escaped, so one event can never look like two."""
    at, level, name = (
        str(event.pop("timestamp", "")),
        event.pop("level", ""),
        event.pop("event", ""),
    )
    trace = event.pop("exception", None)
    event.pop("logger", None)
    fields = " ".join(f"{key}={_printable(value)}" for key, value in event.items())
    line = f"{at[11:23]} {level:<7} {_printable(name)} {fields}".rstrip()
    if trace:
        line += "".join(f"\n    {_printable(row)}" for row in str(trace).splitlines())
    return line.encode("utf-8", "backslashreplace")


def _printable(value: object) -> str:
    text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _as_text(render: Callable[..., bytes]) -> "Processor":
    def processor(logger: "WrappedLogger", method: str, event: "EventDict") -> str:
        return render(logger, method, event).decode("utf-8", "backslashreplace")

    return processor


class _LineLogger:
    """Writes a whole line in one call, so that lines of several processes do not mix."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # whoever read our log is gone: not a reason to stop serving
            sys.stderr.buffer.write(line + b"\n")
            sys.stderr.buffer.flush()

    debug = info = warning = error = exception = critical = log = msg


class _LineLoggerFactory:
    def __call__(self, *args: object) -> _LineLogger:
        return _LineLogger(str(args[0]) if args else "keystead")
