"""Whether an answer is one that the OpenAPI document promises."""

import re
from functools import lru_cache

from openapi_schema_validator import OAS31Validator, oas31_format_checker

from keystead.api.rest import openapi
from keystead.api.rest.catalogue import ROUTES

DOCUMENT = openapi.document(ROUTES)
# Said of any path and method, so not repeated for each: there is nothing here, or nothing for this method.
UNDOCUMENTED = {404, 405}
_PATHS = [
    (re.compile(re.sub(r"{\w+}", "[^/]+", template)), operations)
    for template, operations in DOCUMENT["paths"].items()
]


def operation_of(method, path):
    """The documented operation that a request reaches, if any."""
    for pattern, operations in _PATHS:
        if pattern.fullmatch(path):
            return operations.get("get" if method == "HEAD" else method.lower())
    return None


@lru_cache
def validator_of(reference):
    schema = {"$ref": reference, "components": DOCUMENT["components"]}
    return OAS31Validator(schema, format_checker=oas31_format_checker)


async def check_conformance(answer):
    """Hangs in the client of every contract test."""
    operation = operation_of(answer.request.method, answer.request.url.path)
    if operation is None:
        return
    documented = operation["responses"].get(str(answer.status_code))
    if documented is None:
        assert answer.status_code in UNDOCUMENTED, f"{answer.status_code} is not documented"
        return
    body = await answer.aread()
    if "content" not in documented:
        assert (body, answer.headers.get("content-type")) == (b"", None)
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in documented["content"]
    content = documented["content"][media_type]
    if "$ref" in content["schema"] and answer.request.method != "HEAD":
        validator_of(content["schema"]["$ref"]).validate(answer.json())
