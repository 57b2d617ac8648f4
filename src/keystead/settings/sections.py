"""Every setting, with its default, its bounds and its meaning."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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
