"""Guards that stand behind other guards: each holds alone, so that forgetting one opens nothing."""

from http import HTTPStatus

import httpx2
import pytest

from keystead.api.rest.routes import Answer, Reply, Route
from keystead.api.rest.server import Environment, PathApp
from keystead.kernel.caller import Permission
from keystead.users import store
from keystead.users.types import EmailTaken
from tests.conftest import settings_for
from tests.support.people import make_user, new_email, register

pytestmark = pytest.mark.anyio

ATTEMPT = "SELECT id, password_version FROM users WHERE status = 'pending'"


async def test_a_route_refuses_who_lacks_its_permission_even_if_its_verb_forgets_to(
    client, core, urls, drain
):
    async def tell_everybody(_call):
        return Reply(HTTPStatus.NO_CONTENT)

    careless = Route(
        method="GET",
        path="/secrets",
        handler=tell_everybody,
        summary="Told to everybody by mistake",
        answers=(Answer(HTTPStatus.NO_CONTENT),),
        requires=Permission.HEALTH_READ,
    )
    app = PathApp("/secrets", {"GET": careless}, Environment(core, settings_for(urls), drain))
    person = await register(client)

    async def edge(scope, receive, send):
        await app(scope | {"keystead.address": "127.0.0.1"}, receive, send)

    transport = httpx2.ASGITransport(app=edge)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:3000") as stranger:
        assert (await stranger.get("/secrets")).status_code == 401
        answer = await stranger.get("/secrets", headers=person.bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


class TestWhereAddressesMustBeProven:
    @pytest.fixture
    def configured(self):
        return {"AUTH__REQUIRE_VERIFIED_EMAIL": "true"}

    async def test_an_attempt_at_a_taken_address_is_refused_even_when_it_is_named(self, client, core, db):
        email = new_email()
        owner = await make_user(core, email)
        body = {"email": email, "password": "the password of an attacker"}
        assert (await client.post("/api/v1/auth/register", json=body)).status_code == 202
        [attempt] = await db.fetch(ATTEMPT)
        with pytest.raises(EmailTaken):
            await core.accounts.verify_user(email=email, attempt=attempt["id"])
        # Behind both statements stands an index; they refuse without it.
        assert not await store.verify_pending(db, attempt["id"])
        assert not await store.complete_pending(
            db,
            attempt["id"],
            password_version=attempt["password_version"],
            new_hash="!none",
            full_name_sealed=None,
        )
        assert await core.accounts.verify_user(email=email) == owner
