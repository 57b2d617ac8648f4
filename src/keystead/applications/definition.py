"""What defines an application, wherever it stands; what is wrong with a definition; and what it makes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import msgspec

from keystead.kernel.application import Application, ClaimMapping, Lifetimes, LinkTo
from keystead.kernel.errors import FieldError, InvalidInput

# Claims that mean something already (RFC 7519, RFC 8693, RFC 9068, OpenID Connect), or that are ours.
RESERVED_CLAIMS = frozenset(
    {
        "acr",
        "act",
        "amr",
        "at_hash",
        "aud",
        "auth_time",
        "azp",
        "client_id",
        "cnf",
        "exp",
        "iat",
        "iss",
        "jti",
    }
    | {"key_id", "may_act", "nbf", "nonce", "roles", "scope", "sid", "sub", "token_use"}
)
MAX_CLAIMS = 20
MAX_ORIGINS = 50
MAX_ROLES = 100

_CLIENT_ID = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_AUDIENCE = re.compile(r"[!-~]{1,256}", re.ASCII)
_CLAIM = re.compile(r"[!-~]{1,128}", re.ASCII)
_ROLE = re.compile(r"[!-+.-~-]{1,128}", re.ASCII)  # several stand in one header of /verify, between commas
_PATH = re.compile(r"[^\s.]{1,64}(\.[^\s.]{1,64}){0,7}")
# As browsers write it: without the port that the scheme has anyway.
_ORIGIN = re.compile(
    r"(?:https://(?!\S*:443$)|http://(?!\S*:80$))(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[1-9]\d{0,4})?", re.ASCII
)
# Of characters that a URL is written with (RFC 3986), so that no two readers see two places in it; plain http to this
# machine alone.
_AUTHORITY = r"(?:https://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)|http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::\d{1,5})?"
_REST = r"[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*"
_REDIRECT = re.compile(f"{_AUTHORITY}/{_REST}", re.ASCII)
_LINK = re.compile(
    rf"{_AUTHORITY}/{_REST}(?:\{{token\}}{_REST}(?:#{_REST})?|#{_REST}\{{token\}}{_REST})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ClaimsDefinition:
    roles: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)  # claim → path in app_metadata: `billing.plan`
    from_hook: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """None, and a link that is not there, is the installation's default."""

    name: str | None = None
    audience: str | None = None
    mode: Literal["token", "cookie"] = "token"
    allowed_origins: tuple[str, ...] = ()
    redirect_urls: tuple[str, ...] = ()
    links: Mapping[LinkTo, str] = field(default_factory=dict)
    access_token_ttl_secs: int | None = None
    session_idle_days: float | None = None
    session_absolute_days: float | None = None
    refresh_reuse_window_secs: int | None = None
    claims: ClaimsDefinition = ClaimsDefinition()


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an application has that does not say otherwise. `public_url` is where our own pages are."""

    client_id: str
    name: str
    audience: str
    lifetimes: Lifetimes
    public_url: str


def build(client_id: str, definition: Definition, defaults: Defaults) -> Application:
    """An application of a definition without faults. Without an audience of its own, tokens are for its name: another
    application's verifier refuses them."""
    audience = defaults.audience if client_id == defaults.client_id else client_id
    return Application(
        client_id=client_id,
        name=definition.name or defaults.name,
        audience=definition.audience or audience,
        origins=frozenset(definition.allowed_origins),
        redirect_urls=definition.redirect_urls,
        uses_cookies=definition.mode == "cookie",
        links={to: definition.links.get(to) or _own_page(defaults, to) for to in LinkTo},
        lifetimes=lifetimes_of(definition, defaults.lifetimes),
        claims=ClaimMapping(
            roles=dict(definition.claims.roles),
            metadata={claim: tuple(path.split(".")) for claim, path in definition.claims.metadata.items()},
            from_hook=frozenset(definition.claims.from_hook),
        ),
    )


def lifetimes_of(definition: Definition, defaults: Lifetimes) -> Lifetimes:
    """A shorter default may make an idle time too long that was not: it then lasts as long as the session may."""
    absolute = _span(definition.session_absolute_days, "days", defaults.absolute)
    return Lifetimes(
        access_token=_span(definition.access_token_ttl_secs, "seconds", defaults.access_token),
        idle=min(_span(definition.session_idle_days, "days", defaults.idle), absolute),
        absolute=absolute,
        reuse_window=_span(definition.refresh_reuse_window_secs, "seconds", defaults.reuse_window),
    )


def read_definition(
    client_id: str, members: Mapping[str, Any], defaults: Lifetimes | None = None
) -> Definition:
    """Of its members, as JSON has them. Raises InvalidInput with every fault; see `find_faults`."""
    try:
        definition = msgspec.convert(members, Definition)
    except msgspec.ValidationError as error:
        raise InvalidInput(FieldError("", "invalid", f"{error}.")) from None
    if faults := list(find_faults(client_id, definition, defaults)):
        raise InvalidInput(*faults)
    return definition


def find_faults(
    client_id: str, definition: Definition, defaults: Lifetimes | None = None
) -> Iterator[FieldError]:
    """What is wrong, by JSON pointer into the definition (`/client_id` is its name).

    Beside these `defaults`; without any, in itself.
    """
    if not _CLIENT_ID.fullmatch(client_id):
        message = "Use 1 to 64 lower-case letters, digits, - and _ for the name of an application."
        yield FieldError("/client_id", "client_id_invalid", message)
    if definition.name is not None and not (0 < len(definition.name) <= 60 and definition.name.isprintable()):
        yield FieldError("/name", "name_invalid", "Use 1 to 60 characters that print.")
    if definition.audience is not None and not _AUDIENCE.fullmatch(definition.audience):
        message = "Use 1 to 256 ASCII characters without spaces, as in https://api.example.com."
        yield FieldError("/audience", "audience_invalid", message)
    yield from _find_bad_urls(definition)
    yield from _find_bad_lifetimes(definition, defaults)
    yield from _find_bad_claims(definition.claims)


def is_origin(text: str) -> bool:
    """Whether a browser would send it as `Origin`."""
    return _ORIGIN.fullmatch(text) is not None


def _find_bad_urls(definition: Definition) -> Iterator[FieldError]:
    for name, urls, is_good, example in (
        ("allowed_origins", definition.allowed_origins, is_origin, "https://app.example.com"),
        ("redirect_urls", definition.redirect_urls, _REDIRECT.fullmatch, "https://app.example.com/signed-in"),
    ):
        if len(urls) > MAX_ORIGINS:
            yield FieldError(f"/{name}", "too_many", f"At most {MAX_ORIGINS}.")
        for number, url in enumerate(urls[:MAX_ORIGINS]):
            if len(url) > 2048 or not is_good(url):
                word = "origin" if name == "allowed_origins" else "URL to go on at"
                yield FieldError(
                    f"/{name}/{number}", "url_invalid", f"{url!r:.200} is no {word}; write it like {example}."
                )
    for to, url in definition.links.items():
        if len(url) > 2048 or not _LINK.fullmatch(url):
            message = (
                f"{url!r:.200} is no link; write it like https://app.example.com/{to}#{{token}}, "
                "with {token} once."
            )
            yield FieldError(f"/links/{to}_url", "link_invalid", message)


def _find_bad_lifetimes(definition: Definition, defaults: Lifetimes | None) -> Iterator[FieldError]:
    for name, value, low, high in (
        ("access_token_ttl_secs", definition.access_token_ttl_secs, 30, 86400),
        ("session_idle_days", definition.session_idle_days, 0.001, 365),
        ("session_absolute_days", definition.session_absolute_days, 0.001, 365),
        ("refresh_reuse_window_secs", definition.refresh_reuse_window_secs, 0, 3600),
    ):
        if value is not None and not low <= value <= high:
            yield FieldError(f"/{name}", "out_of_range", f"Use {low} to {high}.")
            return
    if defaults is None:
        return
    idle = _span(definition.session_idle_days, "days", defaults.idle)
    if idle > lifetimes_of(definition, defaults).absolute:
        message = "A session's idle time is above its absolute one."
        yield FieldError("/session_idle_days", "out_of_range", message)


def _find_bad_claims(claims: ClaimsDefinition) -> Iterator[FieldError]:
    for name, count, most in (
        ("roles", len(claims.roles), MAX_ROLES),
        ("metadata", len(claims.metadata), MAX_CLAIMS),
        ("from_hook", len(claims.from_hook), MAX_CLAIMS),
    ):
        if count > most:
            yield FieldError(f"/claims/{name}", "too_many", f"At most {most}.")
            return
    for role, shown in claims.roles.items():
        if not _ROLE.fullmatch(shown) or not _ROLE.fullmatch(role):
            message = (
                f"{role!r:.80} is shown as {shown!r:.80}: use 1 to 128 ASCII characters, no spaces or commas."
            )
            yield FieldError("/claims/roles", "role_invalid", message)
    for claim, path in claims.metadata.items():
        yield from _find_bad_claim("/claims/metadata", claim)
        if not (_PATH.fullmatch(path) and path.isprintable()):
            message = f"{path!r:.80} is no path in app_metadata; write it like billing.plan."
            yield FieldError("/claims/metadata", "path_invalid", message)
    for claim in claims.from_hook:
        yield from _find_bad_claim("/claims/from_hook", claim)
    if both := sorted(set(claims.metadata) & set(claims.from_hook)):
        message = f"{both[0]!r:.80} comes from app_metadata and from the hook: keep one."
        yield FieldError("/claims/from_hook", "claim_taken", message)


def _find_bad_claim(pointer: str, claim: str) -> Iterator[FieldError]:
    if claim in RESERVED_CLAIMS:
        message = f"{claim!r} is what every token says by itself: choose another name."
        yield FieldError(pointer, "claim_reserved", message)
    elif not _CLAIM.fullmatch(claim):
        message = f"{claim!r:.80} is no claim: use 1 to 128 ASCII characters without spaces."
        yield FieldError(pointer, "claim_invalid", message)


def _span(value: float | None, unit: str, default: timedelta) -> timedelta:
    return default if value is None else timedelta(**{unit: value})


def _own_page(defaults: Defaults, to: LinkTo) -> str:
    return f"{defaults.public_url}/{to.value.replace('_', '-')}/{{token}}"
