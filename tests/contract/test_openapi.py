"""The OpenAPI document is valid, and honest about what is admitted, what is refused and what is answered."""

import asyncio
import os
from collections import Counter
from itertools import count

import asyncpg
import httpx2
import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.core import NOT_SET
from schemathesis.engine import events, from_schema

from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.oauth_errors import oauth_status_of
from keystead.api.rest.problems import STATUS
from keystead.kernel.caller import Access
from tests.conftest import unwatched
from tests.contract.conformance import DOCUMENT
from tests.support.people import PASSWORD
from tests.support.server import serving

pytestmark = pytest.mark.anyio

CASES = int(os.environ.get("KEYSTEAD_SCHEMATHESIS_CASES", "2000"))
# Operations whose requests vary; the others have one each.
VARYING = sum(1 for route in ROUTES if route.body or route.needs_identity or "{" in route.path)
SEED = 20260304

# What a schema cannot say: refused by a rule, each with its own code, though of the right shape.
RULES = {
    "algorithm_unknown",
    "app_metadata_too_large",
    "application_unknown",
    "audience_invalid",
    "because_invalid",
    "claim_invalid",
    "claim_reserved",
    "claim_taken",
    "client_id_invalid",
    "cursor_invalid",
    "description_invalid",
    "email_domain_invalid",
    "email_invalid",
    "full_name_invalid",
    "host_bits_set",
    "password_context_word",
    "password_too_long",
    "password_too_short",
    "password_hash_too_costly",
    "password_hash_unsupported",
    "password_unchanged",
    "permission_unknown",
    "preferences_too_large",
    "link_invalid",
    "name_invalid",
    "network_invalid",
    "network_too_wide",
    "out_of_range",
    "path_invalid",
    "public_key_invalid",
    "role_invalid",
    "role_name_invalid",
    "scope_unknown",
    "url_invalid",
    "role_unknown",
    "several_passwords",
    "time_invalid",
    "token_not_yours_to_make",
    "too_many",
}


async def test_the_document_is_valid_openapi_31(service):
    served = (await service.client.get("/openapi.json")).json()
    assert served == DOCUMENT
    assert served["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(served).validate()


def test_every_route_is_documented_with_its_answers_its_refusals_and_its_requirement():
    operations = {
        (method.upper(), path): operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        operation = operations[route.method, route.path]
        status = oauth_status_of if route.speaks_oauth else STATUS.__getitem__
        statuses = {answer.status for answer in route.answers} | {status(kind) for kind in route.refusals()}
        assert set(operation["responses"]) == {str(int(status)) for status in statuses}
        assert operation["x-requires"] == str(route.requires)
        assert bool(operation.get("security")) == (route.requires not in (Access.PUBLIC, Access.TICKET))
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(ids) == len(set(ids))


def test_bodies_and_answers_admit_no_member_that_is_not_named():
    """Problems alone may say more."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert ("additionalProperties" in schema) != name.endswith("Problem")
        assert schema.get("additionalProperties", False) is False


@schemathesis.check
def valid_requests_are_refused_by_rules_only(_ctx, response, case):
    """A request as the schema has it never fails for its shape."""
    if case.meta.generation.mode.is_positive and response.status_code == 422:
        problem = response.json()
        codes = {error["code"] for error in problem.get("errors", ())} or {problem["code"]}
        assert codes <= RULES | {"idempotency_key_reused"}, codes


@schemathesis.check
def every_answer_has_the_headers_of_the_contract(_ctx, response, _case):
    if response.status_code == 400 and "x-request-id" not in response.headers:
        return  # what is no HTTP is refused before it reaches us
    assert response.headers["x-content-type-options"] == ["nosniff"]
    assert response.headers["cache-control"][0] in (
        "no-store",
        "private, max-age=5",
        "public, max-age=30",
        "public, max-age=300",
    )
    challenge = "".join(response.headers.get("www-authenticate", ()))
    assert bool(challenge) == (response.status_code == 401 or 'error="insufficient_scope"' in challenge)


# After one of these the caller's session, password or account is not what it was.
USED_UP = {
    *("/api/v1/auth/logout", "/api/v1/auth/logout-all", "/api/v1/auth/reauthenticate"),
    *("/api/v1/users/me", "/api/v1/users/me/password", "/api/v1/users/me/email"),
}


def is_put(context):
    return context.operation.method.upper() == "PUT"


def give_tokens(schema, sign_up, admin):
    """A credential of the kind that an operation takes; a fresh one where it is used up."""

    @schema.auth(refresh_interval=None)
    class Tokens:
        def get(self, _case, context):
            match context.operation.path:
                case "/api/v1/auth/refresh" | "/api/v1/refresh_tokens/{session_id}" if is_put(context):
                    return sign_up()["refresh_token"]
                case "/api/v1/auth/refresh":
                    return sign_up()["refresh_token"]
                case path if path in USED_UP:
                    return sign_up()["access_token"]
                case _:
                    return admin["access_token"]

        def set(self, case, token, context):
            takes_either = {} in context.operation.definition.raw.get("security", ())
            if not (
                takes_either and case.body is not NOT_SET
            ):  # one credential: in the header or in the body
                case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


CONFIGURATION = {
    "seed": SEED,
    "continue-on-failure": True,
    # Half of them: the phases that need no luck send as many again.
    "generation": {"max-examples": max(1, CASES // VARYING // 2), "database": "none"},
    # OAuth has 400 for a grant, a scope or a client's proof that is none (RFC 6749 §5.2).
    "operations": [
        {
            "include-path-regex": "^/api/v1/auth/token",
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401"]}},
        }
    ],
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "412", "422"]},
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422"]
        },
    },
}


@pytest.mark.timeout(max(120, CASES // 10))
async def test_schemathesis_finds_nothing(cluster):
    async with cluster.clone() as urls, serving(urls) as server:
        with httpx2.Client(base_url=server.base_url) as client:
            numbers = count()

            def sign_up():
                body = {"email": f"person-{next(numbers)}@example.com", "password": PASSWORD}
                return client.post("/api/v1/auth/register", json=body).json()

            admin = sign_up()
            await make_admin(urls, admin["user"]["id"])
            with unwatched():  # of millions of calls none is ours
                cases, statuses, failures = await asyncio.to_thread(explore, server.base_url, sign_up, admin)
        assert "request.failed" not in server.logs()
    assert not failures, "\n\n".join(failure[:2500] for failure in failures[:20])
    assert cases >= CASES
    assert not [status for status in statuses if status >= 500]
    # It was not all refusals.
    assert {200, 201, 204, 400, 401, 404, 405, 409, 415, 422} <= set(statuses), statuses


async def make_admin(urls, user_id):
    connection = await asyncpg.connect(urls.owner)
    await connection.execute(
        "INSERT INTO user_roles (user_id, role) VALUES ($1::text::uuid, 'admin')", user_id
    )
    await connection.close()


def explore(url, sign_up, admin):
    """How many cases were sent, the statuses of the answers, and what failed."""
    schema = schemathesis.openapi.from_url(
        f"{url}/openapi.json", config=schemathesis.Config.from_dict(CONFIGURATION)
    )
    give_tokens(schema, sign_up, admin)
    cases, failures = 0, []
    statuses: Counter[int] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(str(event.info if isinstance(event, events.NonFatalError) else event.exception))
        if isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            cases += len(recorder.cases)
            statuses.update(
                one.response.status_code for one in recorder.interactions.values() if one.response
            )
            failures += [
                f"{recorder.label}: {check.name}: {check.failure_info.failure.message}\n{recorder.cases[case].value!r}"
                for case, checks in recorder.checks.items()
                for check in checks
                if check.failure_info is not None
            ]
    return cases, statuses, failures
