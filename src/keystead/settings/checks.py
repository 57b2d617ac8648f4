"""What the sections cannot say one by one: what is missing, weak, contradictory or unwise."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from keystead.applications.definition import find_faults, is_origin
from keystead.hooks.signature import is_strong
from keystead.hooks.types import HookPoint
from keystead.kernel import config
from keystead.kernel.secrets import Secret
from keystead.limits.networks import NetworkFault, read_network
from keystead.outgoing.url import find_fault
from keystead.settings.applications import defaults_of, definition_of
from keystead.settings.limits import find_rule_faults
from keystead.settings.sections import Challenge, Profile, Settings

# Values that stand in examples for everybody to read.
SAMPLE_SECRETS = frozenset({"change-me-change-me-change-me-change-me", "your-super-secret-jwt-key"})

_SENDER = re.compile(r"[^<>@]*<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_HOSTNAME = re.compile(r"[a-z0-9.-]{1,253}", re.ASCII)
_SITE_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)

# OWASP's equivalent minimal Argon2id rows: (KiB of memory, passes).
_OWASP_ARGON2 = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))


def find_problems(settings: Settings) -> Iterator[str]:
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
    if settings.privacy.keep_attempts_days < auth.links.invitation_days:
        yield "privacy.keep_attempts_days is below auth.links.invitation_days: invitations would be swept unused."
    yield from _find_bad_addresses(settings)
    yield from _find_bad_applications(settings)
    yield from _find_bad_mail(settings)
    yield from _find_bad_hooks(settings)
    yield from _find_bad_challenge(settings)
    yield from _find_bad_password_rules(settings)
    yield from find_rule_faults(settings)
    yield from _find_bad_lists(settings)


def _find_bad_addresses(settings: Settings) -> Iterator[str]:
    url = settings.server.public_url
    if url is not None and not url.startswith(("http://", "https://")):
        yield "server.public_url must start with https:// (or http:// for a trial)."
    for network in settings.server.trusted_proxies:
        if not _is_network(network):
            yield f"server.trusted_proxies: {network!r} is no network; write it like 10.0.0.0/8 or 192.0.2.7."
    yield from _find_bad_origins("cors.allowed_origins", settings.cors.allowed_origins)


def _find_bad_origins(key: str, origins: Iterable[str]) -> Iterator[str]:
    for origin in origins:
        if not is_origin(origin):
            yield f"{key}: {origin!r} is no origin; write it like https://app.example.com."


def _find_bad_applications(settings: Settings) -> Iterator[str]:
    defaults = defaults_of(settings).lifetimes
    for client_id, section in settings.applications.items():
        for fault in find_faults(client_id, definition_of(section), defaults):
            place = "" if fault.pointer == "/client_id" else fault.pointer.replace("/", ".")
            yield f"applications.{client_id}{place}: {fault.message}"


def _find_bad_hooks(settings: Settings) -> Iterator[str]:
    hooks = settings.hooks
    for network in hooks.allow_private:
        if not _is_network(network):
            yield f"hooks.allow_private: {network!r} is no network; write it like 10.1.2.0/24."
    allowed = tuple(ip_network(text, strict=False) for text in hooks.allow_private if _is_network(text))
    for point in HookPoint:
        section, key = getattr(hooks, point.value), f"hooks.{point.value}"
        if section.url is None:
            if section.secret is not None:
                yield f"{key}.secret is set and {key}.url is not: nothing would be called."
            continue
        if fault := find_fault(section.url, allowed, allowed_by="hooks.allow_private"):
            yield f"{key}.url {fault}."
        if section.secret is None:
            yield f"{key}.secret is not set: without it nobody can tell our calls from others."
        for name in ("secret", "secret_previous"):
            secret = getattr(section, name)
            if secret is not None and not is_strong(secret):
                yield (
                    f"{key}.{name} is too short, or no base64 after whsec_: "
                    "make one with openssl rand -base64 32, and write whsec_ before it."
                )


def _find_bad_password_rules(settings: Settings) -> Iterator[str]:
    rules = settings.auth.password
    if rules.profile == "pci" and rules.min_length < 12:
        yield (
            f"auth.password.min_length is {rules.min_length} and auth.password.profile is pci: PCI DSS 8.3.6 wants 12."
        )
    key, section = "auth.password.breach_service", rules.breach_service
    for network in section.allow_private:
        if not _is_network(network):
            yield f"{key}.allow_private: {network!r} is no network; write it like 10.1.2.0/24."
    if section.url is not None:
        allowed = tuple(ip_network(text, strict=False) for text in section.allow_private if _is_network(text))
        if fault := find_fault(section.url, allowed, allowed_by=f"{key}.allow_private"):
            yield f"{key}.url {fault}."
        elif "?" in section.url:
            yield f"{key}.url has a query: five digits are put behind it, after a slash."


def _find_bad_challenge(settings: Settings) -> Iterator[str]:
    section, own = settings.challenge, settings.challenge.kind == "proof_of_work"
    for name in ("site_key", "secret", "hostnames"):
        value = getattr(section, name)
        if own and value:
            yield f"challenge.{name} is set and challenge.kind is proof_of_work: no provider would be asked."
        if not own and not value:
            yield f"challenge.{name} is not set: {section.kind} needs it."
    if section.site_key is not None and not _SITE_KEY.fullmatch(section.site_key):
        yield "challenge.site_key: there are characters in it that no provider's key has."
    for hostname in section.hostnames:
        if not _HOSTNAME.fullmatch(hostname):
            yield f"challenge.hostnames: {hostname!r} is no host; write it like app.example.com, in lower case."
    yield from _find_bad_place(section)


def _find_bad_place(section: Challenge) -> Iterator[str]:
    for network in section.allow_private:
        if not _is_network(network):
            yield f"challenge.allow_private: {network!r} is no network; write it like 10.1.2.0/24."
    if section.url is not None:
        allowed = tuple(ip_network(text, strict=False) for text in section.allow_private if _is_network(text))
        if fault := find_fault(section.url, allowed, allowed_by="challenge.allow_private"):
            yield f"challenge.url {fault}."


def _find_bad_lists(settings: Settings) -> Iterator[str]:
    section, allowed = settings.limits, set()
    for name in ("allow", "deny"):
        for text in getattr(section, name):
            try:
                network = read_network(text)
            except NetworkFault as fault:
                yield f"limits.{name}: {text!r}: {fault.message}"
                continue
            if name == "allow":
                allowed.add(network)
            elif network in allowed:
                yield f"limits.deny: {network} stands in limits.allow, too: take it out of one of them."
    for country in section.deny_countries:
        if not _COUNTRY.fullmatch(country):
            yield f"limits.deny_countries: {country!r} is no country; write its code of ISO 3166, in capitals."
    if section.deny_countries and not section.places_files:
        yield "limits.deny_countries is set and limits.places_files is not: no address would have a country."


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _find_bad_mail(settings: Settings) -> Iterator[str]:
    mail = settings.mail
    if not _SENDER.fullmatch(mail.sender) or not mail.sender.isprintable():
        yield f"mail.sender: {mail.sender!r} is no address; write it like Example App <no-reply@example.com>."
    if mail.host is not None and not _HOST.fullmatch(mail.host):
        yield f"mail.host: {mail.host!r} is no host; write it like smtp.example.com."
    if (mail.username is None) != (mail.password is None):
        yield "mail.username and mail.password belong together: set both or none."
    if mail.username is not None and mail.security == "none" and settings.profile == "production":
        yield "mail.security is none, which would send mail.password in the clear: use starttls or tls."


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


def find_warnings(settings: Settings) -> Iterator[str]:
    auth = settings.auth
    if auth.access_token_ttl_secs > 3600:
        yield "auth.access_token_ttl_secs is above one hour: resource servers accept a revoked token for so long."
    if auth.signing_algorithm in ("RS256", "PS256") and auth.rsa_bits < 3072:
        yield "auth.rsa_bits is 2048: below the 128-bit strength of the default of 3072."
    if auth.password.min_length < 15:
        yield "auth.password.min_length is below 15, NIST's minimum where no second factor is enforced."
    if auth.password.profile == "pci":
        yield (
            "auth.password.profile is pci: it demands letters and digits, against ASVS 5.0 (6.2.5) and NIST "
            "SP 800-63B-4, which permit no such rule."
        )
    if settings.profile == "production" and settings.mail.host is None:
        yield "mail.host is not set: links to prove an address or set a new password reach nobody."
    if settings.profile == "production" and settings.public_url.startswith("http://"):
        yield "server.public_url is not https://: tokens can be read on the way."
