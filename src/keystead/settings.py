"""Every setting of Keystead, with its default, its bounds and its meaning."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from keystead.kernel import config
from keystead.kernel.config import ConfigError, Given, Key
from keystead.kernel.secrets import Secret

Profile = Literal["development", "production", "test"]
PROFILES: tuple[Profile, ...] = ("development", "production", "test")


class _Section(msgspec.Struct, frozen=True, kw_only=True):
    """A group of settings."""


class Server(_Section, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "0.0.0.0"  # noqa: S104
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 3000
    workers: Annotated[int, Meta(ge=0, le=256, description="Worker processes; 0 is one per processor.")] = 0
    public_url: Annotated[
        str | None,
        Meta(
            description="Where clients reach this service; links and `iss` come from here, never from `Host`."
        ),
    ] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks (CIDR) whose `X-Forwarded-For` is believed, hop by hop."),
    ] = ()
    request_timeout_secs: Annotated[
        float, Meta(gt=0, le=3600, description="Longest that one request may take.")
    ] = 30
    max_request_size: Annotated[
        int,
        Meta(
            ge=16384,
            le=1 << 30,
            description="Largest body in bytes; 16 KiB on auth routes.",
        ),
    ] = 2097152
    drain_secs: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="How long a stopping server still accepts while it says not ready.",
        ),
    ] = 5


class Database(_Section, frozen=True, kw_only=True):
    url: Annotated[
        Secret | None,
        Meta(description="PostgreSQL 15 or newer, as the runtime role. Embedded in development."),
    ] = None
    migration_url: Annotated[
        Secret | None,
        Meta(description="The same database as the owning role, for migrations."),
    ] = None
    max_connections: Annotated[
        int, Meta(ge=1, le=10000, description="Connections of all workers together.")
    ] = 50
    min_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=10000,
            description="Connections kept open, of all workers together.",
        ),
    ] = 5
    acquire_timeout_secs: Annotated[
        float, Meta(gt=0, le=300, description="Longest wait for a free connection.")
    ] = 10
    statement_timeout_secs: Annotated[
        float, Meta(gt=0, le=300, description="Longest that one statement may run.")
    ] = 5
    migrate_on_start: Annotated[
        bool,
        Meta(description="Whether `serve` migrates; if not, it refuses a schema that is behind."),
    ] = False


class Redis(_Section, frozen=True, kw_only=True):
    url: Annotated[
        Secret | None,
        Meta(
            description="Redis or Valkey 7 or newer: redis://, rediss:// or unix://. Embedded in development."
        ),
    ] = None


class Argon2(_Section, frozen=True, kw_only=True):
    memory_kib: Annotated[int, Meta(ge=8, le=262144, description="Argon2id memory in KiB.")] = 19456
    iterations: Annotated[int, Meta(ge=1, le=10, description="Argon2id passes.")] = 2
    parallelism: Annotated[int, Meta(ge=1, le=8, description="Argon2id lanes.")] = 1


class PasswordRules(_Section, frozen=True, kw_only=True):
    min_length: Annotated[
        int,
        Meta(
            ge=8,
            le=64,
            description="Shortest new password, in characters (NIST SP 800-63B-4: 15).",
        ),
    ] = 15
    context_words: Annotated[
        tuple[str, ...],
        Meta(description="Words that count for nothing in a new password, beside the person's own."),
    ] = ("keystead",)


class Auth(_Section, frozen=True, kw_only=True):
    jwt_secret: Annotated[
        Secret | None,
        Meta(description="The ROOT secret, at least 32 characters: every stored key is wrapped under it."),
    ] = None
    jwt_secret_previous: Annotated[
        Secret | None,
        Meta(description="The root secret of before, while it is being replaced."),
    ] = None
    issuer: Annotated[str | None, Meta(description="`iss` of tokens; `server.public_url` by default.")] = None
    audiences: Annotated[
        tuple[str, ...],
        Meta(description="`aud` of tokens: the first is issued, all are accepted; the issuer by default."),
    ] = ()
    client_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="`client_id` of the default application.",
        ),
    ] = "default"
    signing_algorithm: Annotated[
        Literal["RS256", "ES256", "EdDSA", "PS256"],
        Meta(description="Algorithm of new signing keys."),
    ] = "RS256"
    rsa_bits: Annotated[Literal[2048, 3072, 4096], Meta(description="Size of new RSA keys.")] = 3072
    access_token_ttl_secs: Annotated[
        int,
        Meta(
            ge=30,
            le=86400,
            description="Life of an access token; above 3600 with a warning.",
        ),
    ] = 300
    session_idle_days: Annotated[
        float,
        Meta(
            gt=0,
            le=365,
            description="A session ends when it is not refreshed for so long.",
        ),
    ] = 14
    session_absolute_days: Annotated[
        float,
        Meta(
            gt=0,
            le=365,
            description="A session ends after so long, however often refreshed.",
        ),
    ] = 30
    refresh_reuse_window_secs: Annotated[
        int,
        Meta(
            ge=0,
            le=3600,
            description="How long the token before the current one still gets the same answer.",
        ),
    ] = 60
    require_verified_email: Annotated[
        bool,
        Meta(description="Whether a registration waits until the address has been proven."),
    ] = True
    argon2: Argon2 = Argon2()
    hash_threads: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Password hashes at once, of all workers; 0 is one per processor.",
        ),
    ] = 0
    password: PasswordRules = PasswordRules()


class Logging(_Section, frozen=True, kw_only=True):
    level: Annotated[
        Literal["trace", "debug", "info", "warning", "error"],
        Meta(description="Least severe event logged."),
    ] = "info"
    format: Annotated[Literal["json", "console"], Meta(description="Form of a log line.")] = "json"


class Metrics(_Section, frozen=True, kw_only=True):
    prometheus_endpoint: Annotated[
        str,
        Meta(
            pattern=r"^.+:\d{1,5}$",
            description="HOST:PORT of the metrics listener, path `/metrics`.",
        ),
    ] = "0.0.0.0:9090"


class Observability(_Section, frozen=True, kw_only=True):
    metrics: Metrics = Metrics()


class Cors(_Section, frozen=True, kw_only=True):
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(description="Origins of browser applications, exactly as browsers send them."),
    ] = ()
    max_age_secs: Annotated[
        int,
        Meta(ge=0, le=86400, description="How long a browser remembers a preflight."),
    ] = 600


class SecurityHeaders(_Section, frozen=True, kw_only=True):
    legacy: Annotated[
        bool,
        Meta(description="Send the original specification's X-XSS-Protection and Content-Security-Policy."),
    ] = False


class EmbeddedServers(_Section, frozen=True, kw_only=True):
    data_dir: Annotated[
        Path,
        Meta(description="Private folder of the embedded servers and of the generated root secret."),
    ] = Path(".keystead")
    pg_bin: Annotated[
        Path | None,
        Meta(description="Folder of PostgreSQL programs to use; `PG_BIN` is its short name."),
    ] = None


class Settings(_Section, frozen=True, kw_only=True):
    server: Server = Server()
    database: Database = Database()
    redis: Redis = Redis()
    auth: Auth = Auth()
    logging: Logging = Logging()
    observability: Observability = Observability()
    cors: Cors = Cors()
    security_headers: SecurityHeaders = SecurityHeaders()
    embedded: EmbeddedServers = EmbeddedServers()
    profile: Profile = "development"

    @property
    def public_url(self) -> str:
        return (self.server.public_url or f"http://127.0.0.1:{self.server.port}").rstrip("/")

    @property
    def issuer(self) -> str:
        return self.auth.issuer or self.public_url

    @property
    def audiences(self) -> tuple[str, ...]:
        return self.auth.audiences or (self.issuer,)


_DEVELOPMENT: dict[Key, object] = {
    ("server", "host"): "127.0.0.1",
    ("server", "workers"): 1,
    ("server", "drain_secs"): 0,
    ("database", "migrate_on_start"): True,
    ("auth", "require_verified_email"): False,
    ("logging", "format"): "console",
    ("observability", "metrics", "prometheus_endpoint"): "127.0.0.1:9090",
}
PROFILE_DEFAULTS: Mapping[Profile, Mapping[Key, object]] = {
    "development": _DEVELOPMENT,
    "production": {},
    "test": _DEVELOPMENT,
}

# Settings of the contract whose capability is not in this version: accepted, so that a configuration written
# for the whole of Keystead loads, and named in a warning, so that nobody relies on them.
NOT_YET: tuple[Key, ...] = (
    ("auth", "lockout_duration_minutes"),
    ("auth", "max_login_attempts"),
    ("auth", "password", "blocklist"),
    ("auth", "password", "profile"),
    ("cookies",),
    ("csrf",),
    ("database", "replica_url"),
    ("limits",),
    ("mail",),
    ("observability", "tracing"),
)

# Values that stand in examples for everybody to read.
SAMPLE_SECRETS = frozenset({"change-me-change-me-change-me-change-me", "your-super-secret-jwt-key"})

# OWASP's equivalent minimal Argon2id rows: (KiB of memory, passes).
_OWASP_ARGON2 = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and what deserves a warning at start."""

    settings: Settings
    warnings: tuple[str, ...]


def load(folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read and check the configuration. Raises ConfigError with every problem at once."""
    environ = os.environ if environ is None else environ
    profile, given = config.gather(folder or Path.cwd(), environ, PROFILES)
    if "PG_BIN" in environ:
        given.setdefault(("embedded", "pg_bin"), Given(environ["PG_BIN"], "PG_BIN"))
    problems: list[str] = []
    warnings: list[str] = []
    given = _leave_out_later_ones(given, warnings)
    _apply_older_names(given, problems)
    for key, value in PROFILE_DEFAULTS[profile].items():  # type: ignore[index]  # gather checked it
        given.setdefault(key, Given(value, f"profile {profile}"))
    given[("profile",)] = Given(profile, "APP_ENV")
    problems.extend(config.find_unknown(Settings, given))
    known = {leaf.key for leaf in config.leaves(Settings)}
    settings = config.build(Settings, {key: value for key, value in given.items() if key in known}, problems)
    if settings is not None:
        problems.extend(_find_problems(settings))
        warnings.extend(_find_warnings(settings))
    if settings is None or problems:
        raise ConfigError(problems)
    return Loaded(settings, tuple(warnings))


def _leave_out_later_ones(given: dict[Key, Given], warnings: list[str]) -> dict[Key, Given]:
    later = {key for key in given if any(key[: len(known)] == known for known in NOT_YET)}
    warnings.extend(
        f"{'.'.join(key)} (from {given[key].source}) has no effect in this version of Keystead."
        for key in sorted(later)
    )
    return {key: value for key, value in given.items() if key not in later}


def _apply_older_names(given: dict[Key, Given], problems: list[str]) -> None:
    """`auth.jwt_expiration_hours` and `auth.password_hash_cost` stand for newer settings."""
    for old, new, translate in (
        (
            ("auth", "jwt_expiration_hours"),
            ("auth", "access_token_ttl_secs"),
            _hours_in_seconds,
        ),
        (
            ("auth", "password_hash_cost"),
            ("auth", "argon2", "memory_kib"),
            _memory_of_cost,
        ),
    ):
        if old not in given:
            continue
        value = given.pop(old)
        if new in given:
            problems.append(f"{'.'.join(old)} and {'.'.join(new)} are both set: keep the second.")
            continue
        try:
            given[new] = Given(translate(float(str(value.value))), value.source)
        except (ValueError, OverflowError):
            problems.append(f"{'.'.join(old)} (from {value.source}) must be a number within reason.")


def _hours_in_seconds(hours: float) -> int:
    return int(hours * 3600)


def _memory_of_cost(cost: float) -> int:
    """Cost 12 is the default row; each step doubles the memory."""
    return int(19456 * 2.0 ** (cost - 12))


def _find_problems(settings: Settings) -> Iterator[str]:
    auth, database = settings.auth, settings.database
    if settings.profile == "production":
        yield from _find_missing(settings)
    if auth.jwt_secret is not None and settings.profile != "test":
        yield from _find_weakness(auth.jwt_secret, settings.profile)
    row = (auth.argon2.memory_kib, auth.argon2.iterations)
    if settings.profile != "test" and not any(row[0] >= m and row[1] >= t for m, t in _OWASP_ARGON2):
        yield (
            f"auth.argon2 of {row[0]} KiB and {row[1]} passes is below OWASP's minimum: "
            "use at least 19456 KiB with 2 passes."
        )
    if database.min_connections > database.max_connections:
        yield "database.min_connections is above database.max_connections."
    if auth.session_idle_days > auth.session_absolute_days:
        yield "auth.session_idle_days is above auth.session_absolute_days."
    yield from _find_bad_addresses(settings)


def _find_bad_addresses(settings: Settings) -> Iterator[str]:
    url = settings.server.public_url
    if url is not None and not url.startswith(("http://", "https://")):
        yield "server.public_url must start with https:// (or http:// for a trial)."
    for network in settings.server.trusted_proxies:
        try:
            ip_network(network, strict=False)
        except ValueError:
            yield f"server.trusted_proxies: {network!r} is no network; write it like 10.0.0.0/8 or 192.0.2.7."
    for origin in settings.cors.allowed_origins:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            yield f"cors.allowed_origins: {origin!r} is no origin; write it like https://app.example.com."


def _find_missing(settings: Settings) -> Iterator[str]:
    for key, value, mend in (
        (
            "database.url",
            settings.database.url,
            "the URL of your PostgreSQL, as the runtime role",
        ),
        ("redis.url", settings.redis.url, "the URL of your Redis or Valkey"),
        (
            "auth.jwt_secret",
            settings.auth.jwt_secret,
            "a new secret, made by: openssl rand -base64 48",
        ),
        (
            "server.public_url",
            settings.server.public_url,
            "the URL at which clients reach this service",
        ),
    ):
        if value is None:
            variable = config.PREFIX + key.replace(".", "__").upper()
            yield f"{key} is required in production: set {variable} to {mend}."


def _find_weakness(secret: Secret, profile: Profile) -> Iterator[str]:
    text = secret.reveal()
    mend = "make one with: openssl rand -base64 48"
    if text in SAMPLE_SECRETS and profile == "production":
        yield f"auth.jwt_secret is the value of an example, known to everybody: {mend}."
    elif len(text) < 32:
        yield f"auth.jwt_secret has fewer than 32 characters: {mend}."
    elif _entropy_bits(text) < 96 and profile == "production":
        yield f"auth.jwt_secret repeats itself too much to be random: {mend}."


def _entropy_bits(text: str) -> float:
    counts = Counter(text).values()
    return -sum(count * math.log2(count / len(text)) for count in counts)


def _find_warnings(settings: Settings) -> Iterator[str]:
    auth = settings.auth
    if auth.access_token_ttl_secs > 3600:
        yield "auth.access_token_ttl_secs is above one hour: resource servers accept a revoked token for so long."
    if auth.signing_algorithm in ("RS256", "PS256") and auth.rsa_bits < 3072:
        yield "auth.rsa_bits is 2048: below the 128-bit strength of the default of 3072."
    if auth.password.min_length < 15:
        yield "auth.password.min_length is below 15, NIST's minimum where no second factor is enforced."
    if settings.profile == "production" and settings.public_url.startswith("http://"):
        yield "server.public_url is not https://: tokens can be read on the way."


def masked(settings: msgspec.Struct) -> dict[str, Any]:
    """The settings as plain values, with every secret hidden."""

    def plain(value: object) -> object:
        if isinstance(value, msgspec.Struct):
            return masked(value)
        if isinstance(value, Secret):
            return "***"
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, Path) else value

    return {name: plain(getattr(settings, name)) for name in settings.__struct_fields__}
