"""The reference of the API and the catalogue of errors, as Markdown, from the declared routes."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from keystead.api.rest.problems import STATUS
from keystead.api.rest.routes import Answer, Route
from keystead.kernel.caller import Access, AnyOf, OwnerOr, OwnScope, Permission, Requirement
from keystead.kernel.errors import Refusal

_TITLES = {
    "health": "Health",
    "auth": "Sign-up, sign-in, sessions",
    "recovery": "Verification and recovery",
    "users": "One's own account",
    "directory": "Accounts, for administrators",
    "sessions": "Refresh tokens as a resource",
    "roles": "Roles",
    "applications": "Applications",
    "token": "Tokens for machines",
    "service_accounts": "Service accounts",
    "api_keys": "API keys",
    "introspection": "Introspection, revocation and verify",
    "metadata": "Keys, metadata, documentation",
    "links": "Pages behind mailed links",
    "pages": "What those pages load",
    "dev_mail": "Mails, in development",
}

_WHO = {
    Access.PUBLIC: "Open to everybody.",
    Access.BEARER: "For whoever shows an access token or an API key.",
    Access.CLIENT: "For a service account that proves itself.",
    Access.SIGNED_IN: "For a person in a session.",
    Access.SIGNED_IN_WITH_PASSWORD: "For a person in a session, with their password.",
    Access.REFRESH_TOKEN: "For who holds a refresh token.",
    Access.REFRESH_COOKIE: "For who holds the refresh cookie.",
    Access.SIGNED_IN_OR_REFRESH_TOKEN: "For who holds an access or a refresh token.",
    Access.TICKET: "For who holds the token of a mailed link.",
}
_ABOUT_THE_API = """# API

Base: the address of your installation. Bodies are JSON unless said otherwise; times are RFC 3339 in UTC; lists answer
`{items, next_cursor}`. A refusal is a problem (RFC 9457) whose `code` is in [Errors](errors.md). The same as OpenAPI
3.1: [openapi.json](openapi.json), and `/openapi.json` of a running server.
"""
_ABOUT_ERRORS = """# Errors

Every refusal is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `request_id`, and what more
there is to say; a 422 lists every bad field by JSON pointer in `errors`. Programs decide by `code`, which never changes
its meaning; people get the `title`; the log has the `request_id`. Each code also has a page on a running server, under
`/docs/errors/`.
"""


def api(routes: Iterable[Route]) -> str:
    """Every route: who may call it, what goes in, what comes out, what it refuses."""
    routes = tuple(routes)
    everywhere = set.intersection(*(set(route.refusals()) for route in routes))
    sections = []
    for room, group in groupby(routes, key=_room):
        title = _TITLES.get(room, room.replace("_", " ").capitalize())
        sections.append(f"## {title}\n\n" + "\n\n".join(_route(route, everywhere) for route in group))
    shared = _links(sorted(everywhere, key=lambda kind: kind.code))
    return "\n".join(
        [_ABOUT_THE_API, f"Every route may also refuse with {shared}.\n", "\n\n".join(sections), ""]
    )


def errors(routes: Iterable[Route]) -> str:
    """Every code, with its status, what it means and who says it."""
    routes = tuple(routes)
    entries = []
    for kind, status in sorted(STATUS.items(), key=lambda entry: (entry[1], entry[0].code)):
        more = " ".join((kind.__doc__ or "").split())
        saying = [f"`{route.method} {route.path}`" for route in routes if kind in set(route.refusals())]
        said_by = "Any route." if len(saying) == len(routes) else f"{', '.join(saying[:6])}"
        more_of_them = f" and {len(saying) - 6} more" if 6 < len(saying) < len(routes) else ""
        entries.append(
            f"### {kind.code}\n\n**{status.value} {status.phrase}.** {kind.message}"
            + (f"\n\n{more}" if more else "")
            + (f"\n\nSaid by: {said_by}{more_of_them}" if saying else "")
        )
    return "\n".join([_ABOUT_ERRORS, "\n\n".join(entries), ""])


def _room(route: Route) -> str:
    return route.handler.__module__.rpartition(".")[2]


def _route(route: Route, everywhere: set[type[Refusal]]) -> str:
    lines = [f"### `{route.method} {route.path}`", "", f"{route.summary}. {_who(route.requires)}"]
    if route.is_sensitive:
        lines[-1] += " A fresh proof of identity is needed."
    if route.query is not None:
        lines += ["", "Query:", "", *_fields(route.query)]
    if route.body is not None:
        form = "form" if route.body_is_form else "body"
        lines += ["", f"The {form}:", "", *_fields(route.body)]
    lines += ["", *(_answer(answer) for answer in route.answers)]
    codes = _links(kind for kind in route.refusals() if kind not in everywhere)
    if codes:
        lines += ["", f"Refuses: {codes}"]
    return "\n".join(lines)


def _links(refusals: Iterable[type[Refusal]]) -> str:
    return ", ".join(f"[{kind.code}](errors.md#{kind.code})" for kind in refusals)


def _who(requires: Requirement) -> str:
    match requires:
        case Access() as access:
            return _WHO[access]
        case OwnScope() as scope:
            return f"For a person, or their API key with `{scope}`."
        case Permission() as permission:
            return f"Needs `{permission}`."
        case OwnerOr(permission=permission):
            return f"For the person it is about, or with `{permission}`."
        case AnyOf(permissions=permissions):
            return f"Needs {' or '.join(f'`{each}`' for each in permissions)}."


def _answer(answer: Answer) -> str:
    shape = ""
    if isinstance(answer.body, type) and issubclass(answer.body, msgspec.Struct):
        shape = f" `{{{', '.join(field.encode_name for field in msgspec.structs.fields(answer.body))}}}`"
    return f"- **{answer.status.value}**{shape} {answer.description}".rstrip()


def _fields(struct: type[msgspec.Struct]) -> Iterator[str]:
    (_,), components = msgspec.json.schema_components([struct])
    schema = components[struct.__name__]
    required = set(schema.get("required", ()))
    yield "| field | type | |"
    yield "| --- | --- | --- |"
    for name, field in schema["properties"].items():
        kind, bounds = _describe(field, components)
        note = ", ".join(filter(None, ["required" if name in required else "", bounds]))
        yield f"| `{name}` | {kind} | {note} |"


def _describe(field: dict[str, Any], components: dict[str, Any]) -> tuple[str, str]:
    """The type in a word or two, and its bounds."""
    if "anyOf" in field:
        parts = [_describe(part, components) for part in field["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind, _ in parts)), next((b for _, b in parts if b), "")
    if "$ref" in field:
        target = components[field["$ref"].rpartition("/")[2]]
        members = ", ".join(target.get("properties", {}))
        return (f"object `{{{members}}}`" if members else str(target.get("type", "object"))), ""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"]), ""
    kind = str(field.get("type", "any"))
    if kind == "array":
        inner, bounds = _describe(field.get("items", {}), components)
        return f"list of {inner}", bounds
    limits = [
        text.format(field[name])
        for name, text in (
            ("minLength", "at least {} long"),
            ("maxLength", "at most {} long"),
            ("minimum", "from {}"),
            ("maximum", "to {}"),
        )
        if name in field
    ]
    return kind, ", ".join(limits)
