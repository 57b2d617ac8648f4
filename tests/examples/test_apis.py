"""Each API of the examples, as its reader starts it, lets in whom it should and nobody else."""

import httpx2
import pytest

from tests.examples.forgeries import forged
from tests.examples.pages import run_commands
from tests.support.examples import missing, running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

APIS = ("fastapi", "django", "flask", "express", "go")


@pytest.fixture(scope="module", params=APIS)
async def api(request, keystead, tmp_path_factory):
    """A client of the running example."""
    if reason := missing(request.param):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, keystead.url, folder) as url:
        async with httpx2.AsyncClient(base_url=url) as client:
            yield client


async def test_an_api_of_another_application_takes_the_tokens_of_that_one_alone(keystead, tmp_path):
    with running("flask", keystead.url, tmp_path, API_AUDIENCE="https://other.example") as url:
        for client_id, status in (("other", 200), (None, 401)):
            pair = await keystead.sign_in(client_id=client_id)
            answer = httpx2.get(f"{url}/me", headers=bearer(pair["access_token"]))
            assert answer.status_code == status


async def test_the_commands_of_its_page_do_what_stands_beside_them(request, api, keystead):
    await run_commands(request.node.callspec.params["api"], keystead.url, str(api.base_url))


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def test_without_a_token_nobody_is_let_in_and_no_error_is_named(api):
    for headers in ({}, {"authorization": "Basic dXNlcjpwdw=="}, {"authorization": "Bearer"}):
        answer = await api.get("/me", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="api"'


async def test_with_a_token_the_api_knows_who_calls(api, keystead):
    pair = await keystead.sign_in()
    answer = await api.get("/me", headers=bearer(pair["access_token"]))
    assert answer.status_code == 200
    me = await keystead.client.get("/api/v1/users/me", headers=bearer(pair["access_token"]))
    assert answer.json() == {"subject": me.json()["id"], "roles": ["user"]}


async def test_a_token_that_does_not_hold_is_refused_whatever_is_wrong_with_it(api, keystead):
    assert (await api.get("/me", headers=bearer(keystead.signed()))).status_code == 200
    other = (await keystead.sign_in(client_id="other"))["access_token"]
    for what, token in (("of another application", other), *forged(keystead)):
        answer = await api.get("/me", headers=bearer(token))
        assert answer.status_code == 401, what
        assert 'error="invalid_token"' in answer.headers["www-authenticate"], what


async def test_two_tokens_are_none(api, keystead):
    good = f"Bearer {keystead.signed()}"
    answer = await api.get("/me", headers=[("authorization", good), ("authorization", "Bearer x")])
    assert answer.status_code in (400, 401)


async def test_a_role_that_is_missing_is_forbidden(api, keystead):
    user, admin = await keystead.sign_in(), await keystead.sign_in("admin")
    answer = await api.get("/reports", headers=bearer(user["access_token"]))
    assert answer.status_code == 403
    answer = await api.get("/reports", headers=bearer(admin["access_token"]))
    assert answer.status_code == 200


async def test_a_payment_asks_for_a_fresh_proof_and_takes_it(api, keystead):
    pair = await keystead.sign_in_long_ago()
    assert (await api.get("/me", headers=bearer(pair["access_token"]))).status_code == 200
    answer = await api.post("/payments", headers=bearer(pair["access_token"]))
    assert answer.status_code == 401
    assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]
    assert 'max_age="300"' in answer.headers["www-authenticate"]
    assert (await api.post("/payments", headers=bearer(keystead.signed(auth_time=...)))).status_code == 401

    pair = await keystead.reauthenticate(pair)
    answer = await api.post("/payments", headers=bearer(pair["access_token"]))
    assert answer.status_code == 200


@pytest.mark.parametrize("name", APIS)
async def test_with_an_issuer_that_is_away_the_api_starts_and_answers_503(name, keystead, tmp_path):
    if reason := missing(name):
        pytest.skip(reason)
    nowhere = "http://127.0.0.1:9"
    with running(name, nowhere, tmp_path) as url:
        assert httpx2.get(f"{url}/me").status_code == 401
        token = keystead.signed(iss=nowhere, aud=nowhere)
        answer = httpx2.get(f"{url}/me", headers=bearer(token))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
