"""The OpenAPI 3.1 document, generated from the declared routes."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from keystead import __version__
from keystead.api.rest.cookies import PREFIX
from keystead.api.rest.oauth_errors import OAuthProblem, oauth_status_of
from keystead.api.rest.problems import (
    MEDIA_TYPE,
    ChallengeProblem,
    FieldsProblem,
    IfMatchInvalid,
    Problem,
    status_of,
)
from keystead.api.rest.routes import Answer, Route
from keystead.kernel.caller import Access, AnyOf, OwnerOr, OwnScope, Permission
from keystead.kernel.errors import InvalidInput, Refusal
from keystead.limits.challenge.types import MAX_ANSWER_LENGTH, ChallengeFailed, ChallengeRequired

_REF = "#/components/schemas/{name}"
# Refusals that always have more to say.
_PROBLEMS: dict[type[Refusal], type[Problem]] = {
    ChallengeFailed: ChallengeProblem,
    ChallengeRequired: ChallengeProblem,
    InvalidInput: FieldsProblem,
}
_DESCRIPTION = (
    "Refusals are problems (RFC 9457) with a stable `code`; each code has a page under `/docs/errors/{code}`. "
    "Times are RFC 3339 in UTC."
)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """OpenAPI 3.1 (JSON Schema 2020-12) of `routes`."""
    routes = tuple(routes)
    structs = {Problem, ChallengeProblem, FieldsProblem, OAuthProblem, *_structs(routes)}
    _, schemas = msgspec.json.schema_components(
        sorted(structs, key=lambda struct: struct.__name__), ref_template=_REF
    )
    schemas = msgspec.json.decode(msgspec.json.encode(schemas))  # defaults as JSON has them
    for name, schema in schemas.items():
        if not name.endswith("Problem"):  # problems carry further members where there is more to say
            schema.setdefault("additionalProperties", False)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Keystead", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "access_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "ks_ak_…"},
                "client_secret": {"type": "http", "scheme": "basic"},
                "refresh_token": {"type": "http", "scheme": "bearer", "bearerFormat": "rt_…"},
                "refresh_cookie": {"type": "apiKey", "in": "cookie", "name": f"{PREFIX}CLIENT_ID"},
            },
        },
    }


def _structs(routes: Iterable[Route]) -> Iterable[type[msgspec.Struct]]:
    for route in routes:
        for kind in (route.body, *(answer.body for answer in route.answers)):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                yield kind


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        "summary": route.summary,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "responses": _answers(route.answers),
        "x-requires": str(route.requires),
    }
    if parameters := [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)]:
        operation["parameters"] = parameters
    if route.body is not None:
        schema: dict[str, Any] = {"$ref": _REF.format(name=route.body.__name__)}
        if route.text_body is not None:
            schema = {"oneOf": [schema, msgspec.json.schema(route.text_body)]}
        operation["requestBody"] = {
            "required": not route.body_is_optional,
            "content": {media_type: {"schema": schema} for media_type in route.media_types},
        }
    if security := _security(route):
        operation["security"] = security
    by_status: dict[HTTPStatus, list[type[Refusal]]] = defaultdict(list)
    for refusal in route.refusals():
        by_status[oauth_status_of(refusal) if route.speaks_oauth else status_of(refusal)].append(refusal)
    for status, refusals in by_status.items():
        operation["responses"][str(status.value)] = (
            _oauth_refusal(refusals) if route.speaks_oauth else _refusal(refusals, route.told_in_pages)
        )
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"},
        }
        for name in names
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    (_,), components = msgspec.json.schema_components([route.query])
    properties = components[route.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    parameters = []
    if route.takes_key:
        text = "Names the request, so that a repetition makes nothing again and gets the same answer."
        parameters.append(("Idempotency-Key", text, {"type": "string", "pattern": "^[!-~]{1,255}$"}))
    if IfMatchInvalid in route.refuses:
        text = "The ETag that the change may be made to."
        parameters.append(("If-Match", text, {"type": "string", "pattern": '^"?[0-9]{1,9}"?$'}))
    if ChallengeRequired in route.refuses:
        text = "The answer to the challenge that an earlier answer brought."
        parameters.append(
            ("X-Challenge-Response", text, {"type": "string", "pattern": f"^[!-~]{{1,{MAX_ANSWER_LENGTH}}}$"})
        )
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": schema}
        for name, text, schema in parameters
    ]


def _security(route: Route) -> list[dict[str, list[str]]]:
    match route.requires:
        case Access.PUBLIC:
            return []
        case Access.TICKET:  # in the body or in the path
            return []
        case Access.REFRESH_TOKEN:  # in the header, in the body or in the cookie
            return [{"refresh_token": []}, {}]
        case Access.REFRESH_COOKIE:
            return [{"refresh_cookie": []}]
        case Access.SIGNED_IN_OR_REFRESH_TOKEN:
            return [{"access_token": []}, {"refresh_token": []}, {}]
        case Access.CLIENT:
            return [{"client_secret": []}, {}]
        case Access.SIGNED_IN | Access.SIGNED_IN_WITH_PASSWORD:
            return [{"access_token": []}]
        case Access.BEARER | OwnScope() | Permission() | OwnerOr() | AnyOf():
            return [{"access_token": []}, {"api_key": []}]


def _answers(answers: Iterable[Answer]) -> dict[str, Any]:
    """By status; of several of one status, the media types together."""
    found: dict[str, Any] = {}
    for answer in answers:
        described = _answer(answer)
        known = found.setdefault(str(answer.status.value), described)
        if known is not described:
            known["description"] += f" {described['description']}"
            known["content"] |= described["content"]
    return found


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.body is not None:
        is_struct = isinstance(answer.body, type) and issubclass(answer.body, msgspec.Struct)
        schema = (
            {"$ref": _REF.format(name=answer.body.__name__)}
            if is_struct
            else {"type": "object" if answer.body is dict else "string"}
        )
        described["content"] = {answer.media_type: {"schema": schema}}
    return described


def _refusal(refusals: list[type[Refusal]], told_in_pages: Collection[type[Refusal]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    # Input is also refused by the decoder, which has no pages.
    if InvalidInput in refusals or not set(refusals) <= set(told_in_pages):
        content[MEDIA_TYPE] = {"schema": _problem_schema(refusals)}
    if not set(refusals).isdisjoint(told_in_pages):
        content["text/html"] = {"schema": {"type": "string"}}
    return {
        "description": " · ".join(f"`{refusal.code}` {refusal.message}" for refusal in refusals),
        "content": content,
    }


def _oauth_refusal(refusals: list[type[Refusal]]) -> dict[str, Any]:
    return {
        "description": " · ".join(f"`{refusal.code}` {refusal.message}" for refusal in refusals),
        "content": {"application/json": {"schema": {"$ref": _REF.format(name="OAuthProblem")}}},
    }


def _problem_schema(refusals: list[type[Refusal]]) -> dict[str, Any]:
    names = {_PROBLEMS.get(refusal, Problem).__name__ for refusal in refusals}
    schemas = [{"$ref": _REF.format(name=name)} for name in sorted(names)]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
