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
        Meta(description="Networks (CIDR) of proxies whose word on the client's address counts, hop by hop."),
    ] = ()
    forwarded_header: Annotated[
        Literal["x-forwarded-for", "forwarded"],
        Meta(description="The header that your proxies write (`Forwarded`: RFC 7239); the other is ignored."),
    ] = "x-forwarded-for"
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


class BreachService(_Section, frozen=True, kw_only=True):
    url: Annotated[
        str | None,
        Meta(
            description="Service that knows breached passwords by five digits of their SHA-1, such as "
            "https://api.pwnedpasswords.com/range."
        ),
    ] = None
    timeout_ms: Annotated[int, Meta(ge=50, le=5000, description="Longest wait for its answer.")] = 1000
    on_failure: Annotated[
        Literal["allow", "refuse"],
        Meta(description="What it means when the service does not answer: the password is taken, or a 503."),
    ] = "allow"
    allow_private: Annotated[
        tuple[str, ...],
        Meta(description="Networks (CIDR) that the service may be in, though they are not public."),
    ] = ()
    ca_file: Annotated[
        Path | None, Meta(description="Certificates (PEM) to trust instead of the system's.")
    ] = None


class PasswordRules(_Section, frozen=True, kw_only=True):
    profile: Annotated[
        Literal["nist", "pci"],
        Meta(
            description="`pci` demands letters and digits (PCI DSS 8.3.6), which NIST and ASVS 5.0 forbid, and closes "
            "an account for 30 minutes or more after 10 wrong passwords or fewer (8.3.4), whatever else is set."
        ),
    ] = "nist"
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
    blocklist: Annotated[
        Path | None,
        Meta(
            description="File of known passwords, made by `keystead passwords build`; the commonest are refused "
            "without it, too."
        ),
    ] = None
    min_score: Annotated[
        int,
        Meta(
            ge=0,
            le=4,
            description="Least strength of a new password, by zxcvbn's estimate; 0 estimates only to explain refusals.",
        ),
    ] = 0
    breach_service: BreachService = BreachService()


class LinkLifetimes(_Section, frozen=True, kw_only=True):
    verify_hours: Annotated[
        float, Meta(gt=0, le=168, description="How long a link that proves an address works.")
    ] = 24
    reset_minutes: Annotated[
        float, Meta(gt=0, le=1440, description="How long a link that sets a new password works.")
    ] = 30
    change_email_hours: Annotated[
        float, Meta(gt=0, le=168, description="How long a link that moves an account to a new address works.")
    ] = 2
    invitation_days: Annotated[float, Meta(gt=0, le=30, description="How long an invitation works.")] = 7
    unlock_hours: Annotated[
        float, Meta(gt=0, le=168, description="How long a link that unlocks an account works.")
    ] = 24


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
    introspection_cache_secs: Annotated[
        int,
        Meta(
            ge=0, le=300, description="How long the answer about a token may be used again; 0 is not at all."
        ),
    ] = 5
    max_sessions: Annotated[
        int,
        Meta(ge=1, le=10000, description="Sessions of one user at once; the oldest ends for a new one."),
    ] = 100
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
    longest_hash_wait_ms: Annotated[
        int,
        Meta(ge=0, le=10_000, description="What would wait longer for a password to be hashed is refused."),
    ] = 500
    max_login_attempts: Annotated[
        int,
        Meta(ge=1, le=100, description="Wrong passwords in a row, from one network, before delays begin."),
    ] = 5
    max_account_attempts: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Wrong passwords for one account, from wherever, before a pause."),
    ] = 100
    lockout_duration_minutes: Annotated[
        float,
        Meta(gt=0, le=1440, description="The pause for an account, and the longest delay for a network."),
    ] = 15
    password: PasswordRules = PasswordRules()
    links: LinkLifetimes = LinkLifetimes()


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


class Cookies(_Section, frozen=True, kw_only=True):
    same_site: Annotated[
        Literal["strict", "lax"],
        Meta(description="`SameSite` of the refresh cookie; strict also serves sibling subdomains."),
    ] = "strict"


class Mail(_Section, frozen=True, kw_only=True):
    host: Annotated[
        str | None,
        Meta(description="Your SMTP server. Without one, mails wait; in development `/dev/mail` shows them."),
    ] = None
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port: 587 for starttls, 465 for tls.")] = 587
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="How the connection is protected; `none` is for a server on this machine."),
    ] = "starttls"
    username: Annotated[str | None, Meta(description="Name to sign in to the SMTP server with.")] = None
    password: Annotated[Secret | None, Meta(description="Password to sign in to the SMTP server with.")] = (
        None
    )
    ca_file: Annotated[
        Path | None, Meta(description="Certificates (PEM) to trust instead of the system's.")
    ] = None
    timeout_secs: Annotated[
        float, Meta(gt=0, le=120, description="Longest wait for an answer of the SMTP server.")
    ] = 15
    sender: Annotated[
        str, Meta(min_length=3, max_length=320, description="Who mails come from: `Name <name@domain>`.")
    ] = "keystead@localhost"
    product: Annotated[
        str, Meta(min_length=1, max_length=60, description="Name of your product in mails and on pages.")
    ] = "Keystead"
    locale: Annotated[
        str, Meta(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="Language of who prefers none.")
    ] = "en"
    templates: Annotated[
        Path | None, Meta(description="Folder of templates of your own; see docs/mail.md.")
    ] = None


class Links(_Section, frozen=True, kw_only=True):
    verify_url: Annotated[str | None, Meta(description="Page of yours that proves an address.")] = None
    reset_url: Annotated[str | None, Meta(description="Page of yours that sets a new password.")] = None
    change_email_url: Annotated[
        str | None, Meta(description="Page of yours that confirms a new address.")
    ] = None
    invitation_url: Annotated[str | None, Meta(description="Page of yours that accepts an invitation.")] = (
        None
    )
    unlock_url: Annotated[str | None, Meta(description="Page of yours that unlocks an account.")] = None


class Claims(_Section, frozen=True, kw_only=True):
    roles: Annotated[
        dict[str, str],
        Meta(description="How tokens show this role; without any, each role under its own name."),
    ] = {}
    metadata: Annotated[
        dict[str, str],
        Meta(description="Where in `app_metadata` this claim comes from, as in `billing.plan`."),
    ] = {}
    from_hook: Annotated[tuple[str, ...], Meta(description="Claims that the before-token hook may add.")] = ()


class ApplicationSection(_Section, frozen=True, kw_only=True):
    name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=60)] | None,
        Meta(description="Its name in mails and on pages; `mail.product` otherwise."),
    ] = None
    audience: Annotated[
        str | None,
        Meta(description="`aud` of its tokens; its name otherwise, and `auth.audiences` of the default one."),
    ] = None
    mode: Annotated[
        Literal["token", "cookie"],
        Meta(
            description="Where its refresh token goes: into the answer, or into a cookie no script can read."
        ),
    ] = "token"
    allowed_origins: Annotated[
        tuple[str, ...], Meta(description="Origins of its pages, exactly as browsers send them.")
    ] = ()
    redirect_urls: Annotated[
        tuple[str, ...],
        Meta(description="Where people go on in it; our own pages lead to the first when they are done."),
    ] = ()
    links: Links = Links()
    access_token_ttl_secs: Annotated[
        int | None, Meta(description="Instead of `auth.access_token_ttl_secs`.")
    ] = None
    session_idle_days: Annotated[float | None, Meta(description="Instead of `auth.session_idle_days`.")] = (
        None
    )
    session_absolute_days: Annotated[
        float | None, Meta(description="Instead of `auth.session_absolute_days`.")
    ] = None
    refresh_reuse_window_secs: Annotated[
        int | None, Meta(description="Instead of `auth.refresh_reuse_window_secs`.")
    ] = None
    claims: Claims = Claims()


class HookSection(_Section, frozen=True, kw_only=True):
    url: Annotated[
        str | None, Meta(description="Address of yours that is called; without one, nothing is.")
    ] = None
    secret: Annotated[
        Secret | None, Meta(description="Signs the calls: `whsec_` and base64, or at least 32 characters.")
    ] = None
    secret_previous: Annotated[
        Secret | None, Meta(description="The one before, which signs, too, while it is being replaced.")
    ] = None
    timeout_ms: Annotated[int, Meta(ge=50, le=5000, description="Longest wait for its answer.")] = 1000
    on_failure: Annotated[
        Literal["refuse", "allow"],
        Meta(description="What it means when it does not answer as it should."),
    ] = "refuse"


class AfterLoginHook(HookSection, frozen=True, kw_only=True):
    on_failure: Annotated[
        Literal["refuse", "allow"],
        Meta(description="What it means when it does not answer as it should."),
    ] = "allow"


class Hooks(_Section, frozen=True, kw_only=True):
    before_registration: HookSection = HookSection()
    before_token: HookSection = HookSection()
    after_login: AfterLoginHook = AfterLoginHook()
    allow_private: Annotated[
        tuple[str, ...],
        Meta(description="Networks (CIDR) that hooks may be in, though they are not public."),
    ] = ()
    ca_file: Annotated[
        Path | None, Meta(description="Certificates (PEM) to trust instead of the system's.")
    ] = None


class Challenge(_Section, frozen=True, kw_only=True):
    kind: Annotated[
        Literal["proof_of_work", "turnstile", "hcaptcha", "recaptcha"],
        Meta(description="What a doubtful request must bring: work of its client's, or a provider's token."),
    ] = "proof_of_work"
    site_key: Annotated[
        str | None, Meta(description="The provider's public key of your site, for its widget.")
    ] = None
    secret: Annotated[
        Secret | None, Meta(description="The provider's secret key, for the call that verifies tokens.")
    ] = None
    hostnames: Annotated[
        tuple[str, ...],
        Meta(description="Hosts of your pages with the widget: a token that was won elsewhere is refused."),
    ] = ()
    url: Annotated[
        str | None, Meta(description="Where tokens are verified; the provider's own address otherwise.")
    ] = None
    timeout_secs: Annotated[
        float, Meta(gt=0, le=10, description="Longest wait for the provider's answer.")
    ] = 3
    on_failure: Annotated[
        Literal["proof_of_work", "refuse"],
        Meta(description="What is asked when the provider does not answer: work instead, or patience (503)."),
    ] = "proof_of_work"
    check_action: Annotated[
        bool,
        Meta(
            description="Turnstile, reCAPTCHA v3: the token must be for the action that the challenge names."
        ),
    ] = True
    min_score: Annotated[
        float, Meta(ge=0, le=1, description="reCAPTCHA v3: the least score that passes.")
    ] = 0.5
    allow_private: Annotated[
        tuple[str, ...],
        Meta(description="Networks (CIDR) that the provider may be in, though they are not public."),
    ] = ()
    ca_file: Annotated[
        Path | None, Meta(description="Certificates (PEM) to trust instead of the system's.")
    ] = None


class LimitRule(_Section, frozen=True, kw_only=True):
    enabled: Annotated[bool, Meta(description="Whether the rule holds.")] = True
    routes: Annotated[
        Annotated[tuple[str, ...], Meta(max_length=20)] | None,
        Meta(description="Classes of routes that it holds for."),
    ] = None
    per: Annotated[
        Literal["address", "network", "user", "application", "everybody"] | None,
        Meta(description="Who shares a bucket."),
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=10_000_000)] | None, Meta(description="Tokens of a full bucket.")
    ] = None
    window_secs: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)] | None,
        Meta(description="How long an empty bucket takes to be full."),
    ] = None
    strategy: Annotated[
        Literal["bucket", "adaptive", "concurrency"] | None, Meta(description="How it counts.")
    ] = None
    cost: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None, Meta(description="Tokens that a request takes.")
    ] = None
    refunds: Annotated[bool | None, Meta(description="Whether a success gives its tokens back.")] = None
    leased: Annotated[bool | None, Meta(description="Whether workers take tokens in batches.")] = None
    challenge: Annotated[
        Annotated[int, Meta(ge=0, le=24)] | None,
        Meta(description="Difficulty of what may be solved instead of being refused; 0 refuses."),
    ] = None
    countries: Annotated[
        Annotated[tuple[str, ...], Meta(max_length=300)] | None,
        Meta(description="Only for addresses there (ISO 3166)."),
    ] = None
    asns: Annotated[
        Annotated[tuple[int, ...], Meta(max_length=1000)] | None,
        Meta(description="Only for addresses of these networks (ASN)."),
    ] = None


class Limits(_Section, frozen=True, kw_only=True):
    mode: Annotated[
        Literal["enforce", "observe"],
        Meta(description="`observe` counts and logs what the rules would refuse, and lets it pass."),
    ] = "enforce"
    degraded_share: Annotated[
        float,
        Meta(gt=0, le=1, description="Share of each limit that a replica keeps to while Redis is away."),
    ] = 0.25
    rules: dict[str, LimitRule] = {}
    allow: Annotated[
        tuple[str, ...],
        Meta(max_length=1000, description="Networks (CIDR) that no limit applies to."),
    ] = ()
    deny: Annotated[
        tuple[str, ...],
        Meta(max_length=1000, description="Networks (CIDR) whose requests are refused."),
    ] = ()
    deny_countries: Annotated[
        tuple[str, ...],
        Meta(max_length=300, description="Countries (ISO 3166, like `XY`) whose requests are refused."),
    ] = ()
    places_files: Annotated[
        tuple[Path, ...],
        Meta(max_length=4, description="Files in MaxMind's format that know countries and networks (ASN)."),
    ] = ()


class Privacy(_Section, frozen=True, kw_only=True):
    erasure_log: Annotated[
        Path | None,
        Meta(description="File that a line is added to for each erased account; keep it off this host."),
    ] = None
    keep_ended_sessions_days: Annotated[
        float, Meta(ge=0, le=3650, description="How long the row of a session outlives the session.")
    ] = 30
    keep_attempts_days: Annotated[
        float, Meta(gt=0, le=365, description="How long a registration waits for the proof of its address.")
    ] = 7
    keep_mails_days: Annotated[
        float, Meta(ge=1, le=365, description="How long the record of a mail outlives its sending.")
    ] = 7


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
    cookies: Cookies = Cookies()
    security_headers: SecurityHeaders = SecurityHeaders()
    mail: Mail = Mail()
    applications: dict[str, ApplicationSection] = {}
    hooks: Hooks = Hooks()
    challenge: Challenge = Challenge()
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
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
