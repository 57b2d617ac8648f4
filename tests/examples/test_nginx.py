"""nginx in front of an API that knows nothing of tokens."""

import asyncio

import httpx2
import pytest

from tests.examples.forgeries import forged
from tests.examples.pages import run_commands
from tests.support.examples import free_port, missing, running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
async def api(keystead, tmp_path_factory):
    if reason := missing("nginx"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("nginx")
    with running("nginx", keystead.url, folder, API_PORT=str(free_port())) as url:
        async with httpx2.AsyncClient(base_url=url) as client:
            yield client


async def test_the_commands_of_its_page_do_what_stands_beside_them(api, keystead):
    await run_commands("nginx", keystead.url, str(api.base_url))


def bearer(token, **more):
    return {"authorization": f"Bearer {token}", **more}


async def test_without_a_token_nobody_is_let_in(api):
    answer = await api.get("/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await api.get("/_verify")).status_code in (401, 404)


async def test_the_api_is_told_who_calls_by_keystead_and_not_by_the_caller(api, keystead):
    pair = await keystead.sign_in()
    claimed = {"x-auth-subject": "somebody-else", "x-auth-roles": "admin"}
    for _ in range(2):  # the second time from the cache
        answer = await api.get("/me", headers=bearer(pair["access_token"], **claimed))
        assert answer.status_code == 200
        me = await keystead.client.get("/api/v1/users/me", headers=bearer(pair["access_token"]))
        assert answer.json() == {"subject": me.json()["id"], "roles": "user"}


async def test_a_token_that_does_not_hold_is_refused_whatever_is_wrong_with_it(api, keystead):
    other = (await keystead.sign_in(client_id="other"))["access_token"]
    # Keystead knows each session, too: no token of a session that is none is taken, however well it is signed.
    for what, token in (("other", other), ("no session", keystead.signed()), *forged(keystead)):
        answer = await api.get("/me", headers=bearer(token))
        assert answer.status_code == 401, what


async def test_a_role_that_is_missing_is_forbidden_also_after_the_token_was_good_elsewhere(api, keystead):
    user, admin = await keystead.sign_in(), await keystead.sign_in("admin")
    assert (await api.get("/me", headers=bearer(user["access_token"]))).status_code == 200
    assert (await api.get("/reports", headers=bearer(user["access_token"]))).status_code == 403
    assert (await api.get("/reports", headers=bearer(admin["access_token"]))).status_code == 200


async def test_a_body_reaches_the_api_and_not_keystead(api, keystead):
    pair = await keystead.sign_in()
    answer = await api.post("/me", headers=bearer(pair["access_token"]), content=b"x" * 100_000)
    assert answer.status_code == 200


async def test_a_verdict_is_kept_for_a_moment_so_that_keystead_is_asked_once(api, keystead):
    pair = await keystead.sign_in()
    headers = bearer(pair["access_token"])
    assert (await api.get("/me", headers=headers)).status_code == 200
    await keystead.client.post("/api/v1/auth/logout", headers=headers)
    assert (await api.get("/me", headers=headers)).status_code == 200  # Keystead was not asked
    async with asyncio.timeout(20):
        while (await api.get("/me", headers=headers)).status_code == 200:
            await asyncio.sleep(0.2)
    assert (await api.get("/me", headers=headers)).status_code == 401
