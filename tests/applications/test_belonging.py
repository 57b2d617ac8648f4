"""A session belongs to one application: what its tokens say, who takes them, and that nothing makes them another's."""

import jwt as pyjwt
import pytest

from keystead_verify import InvalidToken, Reason
from tests.contract.answers import check_problem
from tests.contract.service import serving
from tests.jwt.forging import OfflineVerifier
from tests.support.applications import ask_to_sign_in, read, sign_in
from tests.support.people import PASSWORD, make_user, new_email, refresh, register

pytestmark = pytest.mark.anyio

AUTH = "/api/v1/auth"
OWN, WEB, SHOP = "https://id.example", "https://web.example", "https://shop.example"
AUDIENCES = {
    "default": OWN,
    "web": "https://api.example",
    "mobile": "https://api.example",  # another front end of the same API
    "shop": "shop",
}
SPANS = {"default": 300, "web": 60, "mobile": 120, "shop": 300}


@pytest.fixture(scope="module")
async def service(cluster):
    configured = {
        "APPLICATIONS__WEB__AUDIENCE": "https://api.example",
        "APPLICATIONS__WEB__ACCESS_TOKEN_TTL_SECS": "60",
        "APPLICATIONS__WEB__MODE": "cookie",
        "APPLICATIONS__WEB__ALLOWED_ORIGINS": WEB,
        "APPLICATIONS__MOBILE__AUDIENCE": "https://api.example",
        "APPLICATIONS__MOBILE__ACCESS_TOKEN_TTL_SECS": "120",
        "APPLICATIONS__SHOP__MODE": "cookie",
        "APPLICATIONS__SHOP__ALLOWED_ORIGINS": SHOP,
    }
    async with serving(cluster, SERVER__PUBLIC_URL=OWN, **configured) as made:
        yield made


def refresh_token_of(answer):
    """From the answer, or from its cookie."""
    if "refresh_token" in answer.json():
        return answer.json()["refresh_token"]
    return answer.headers["set-cookie"].partition("=")[2].partition(";")[0]


async def pairs_of(service, client_id):
    """An answer with a token pair from each place that gives one out."""
    client, email = service.client, new_email()
    body = {"email": email, "password": PASSWORD, "client_id": client_id}
    registered = await client.post(f"{AUTH}/register", json=body)
    bearer = {"authorization": f"Bearer {registered.json()['access_token']}"}
    admin = await service.make_admin()
    yield "register", registered
    yield "login", await ask_to_sign_in(client, email, client_id)
    yield "refresh", await refresh(client, refresh_token_of(registered))
    yield (
        "reauthenticate",
        await client.post(f"{AUTH}/reauthenticate", json={"password": PASSWORD}, headers=bearer),
    )
    yield (
        "issue",
        await client.post(
            "/api/v1/refresh_tokens",
            json={"user_id": registered.json()["user"]["id"], "client_id": client_id},
            headers=admin.bearer,
        ),
    )


@pytest.mark.parametrize("client_id", AUDIENCES)
async def test_every_token_says_whose_it_is_and_only_its_verifiers_take_it(service, client_id):
    document = service.core.keys.read_set()
    keys = pyjwt.PyJWKSet.from_json(document.decode())
    async for place, answer in pairs_of(service, client_id):
        assert answer.is_success, (place, answer.text)
        token = answer.json()["access_token"]
        claims = read(token)
        assert (claims["aud"], claims["client_id"]) == (AUDIENCES[client_id], client_id), place
        assert claims["exp"] - claims["iat"] == SPANS[client_id], place
        key = keys[pyjwt.get_unverified_header(token)["kid"]]
        for audience in {*AUDIENCES.values(), "web", "https://stranger.example"}:
            verifier = OfflineVerifier(document, issuer=OWN, audience=audience)
            verifier.moment = claims["iat"]
            if audience == AUDIENCES[client_id]:
                assert verifier.verify(token).subject == claims["sub"]
                assert pyjwt.decode(token, key, ["RS256"], audience=audience, issuer=OWN) == claims
                continue
            with pytest.raises(InvalidToken) as refused:
                verifier.verify(token)
            assert refused.value.reason is Reason.AUDIENCE
            with pytest.raises(pyjwt.InvalidAudienceError):
                pyjwt.decode(token, key, ["RS256"], audience=audience, issuer=OWN)


async def test_no_name_beside_a_refresh_token_makes_it_anothers(service):
    person = await register(service.client, client_id="mobile")
    bearer = {"authorization": f"Bearer {person.refresh_token}"}
    for named in ("web", "shop", "default", "nobody", "\u017fhop".encode()):
        answer = await service.client.post(f"{AUTH}/refresh", headers=bearer | {"x-client-id": named})
        assert read(answer.json()["access_token"])["client_id"] == "mobile"
        assert "set-cookie" not in answer.headers
    answer = await service.client.post(
        f"{AUTH}/refresh", json={"refresh_token": person.refresh_token, "client_id": "shop"}
    )
    check_problem(answer, 422, "invalid_input")
    proof = await service.client.post(
        f"{AUTH}/reauthenticate", json={"password": PASSWORD, "client_id": "shop"}, headers=person.bearer
    )
    check_problem(proof, 422, "invalid_input")


async def test_a_refresh_token_in_another_applications_cookie_is_no_credential_and_is_not_used_up(service):
    email = new_email()
    await make_user(service.core, email)
    of_web = refresh_token_of(await ask_to_sign_in(service.client, email, "web"))
    of_mobile = (await sign_in(service.client, email, "mobile")).refresh_token
    for token in (of_web, of_mobile):
        cookie = {"cookie": f"__Host-keystead-shop={token}", "origin": SHOP}
        csrf = await service.client.get(f"{AUTH}/csrf", headers=cookie)
        sent = cookie | {"x-csrf-token": csrf.json()["csrf_token"]}
        before = await service.sql("SELECT id, generation, ended_at FROM sessions ORDER BY id")
        answer = await service.client.post(f"{AUTH}/refresh", headers=sent)
        check_problem(answer, 401, "invalid_refresh_token")
        assert "set-cookie" not in answer.headers
        assert await service.sql("SELECT id, generation, ended_at FROM sessions ORDER BY id") == before
        assert (await refresh(service.client, token)).status_code == 200


@pytest.mark.parametrize(
    "client_id",
    [
        "",
        "Shop",
        "SHOP",
        "\u017fhop",
        "sh\u03bfp",
        "shop ",
        "shop\u0000",
        "../shop",
        "x" * 10_000,
        1,
        ["shop"],
    ],
)
async def test_no_other_spelling_names_an_application(service, client_id):
    email = new_email()
    await make_user(service.core, email)
    body = {"email": email, "password": PASSWORD, "client_id": client_id}
    for path in ("login", "register"):
        answer = await service.client.post(f"{AUTH}/{path}", json=body)
        check_problem(answer, 422, "invalid_input")
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/client_id"]
