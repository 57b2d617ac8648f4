"""What a browser had before a sign-in does not become the session, and what somebody left there is nobody's."""

import pytest

from tests.contract.service import serving
from tests.support.people import PASSWORD, Person, make_user, new_email

pytestmark = pytest.mark.anyio

AUTH = "/api/v1/auth"
ME = "/api/v1/users/me"
PAGE = "https://app.example"
COOKIE = "__Host-keystead-web"


@pytest.fixture(scope="module")
async def service(cluster):
    web = {"APPLICATIONS__WEB__MODE": "cookie", "APPLICATIONS__WEB__ALLOWED_ORIGINS": PAGE}
    async with serving(cluster, SERVER__PUBLIC_URL="https://id.example", **web) as made:
        yield made


async def sign_in(service, **headers):
    """Somebody new who signs in on the application's page; `headers` are what the browser sends along."""
    email = new_email()
    user_id = await make_user(service.core, email)
    body = {"email": email, "password": PASSWORD, "client_id": "web"}
    answer = await service.client.post(f"{AUTH}/login", json=body, headers={"origin": PAGE, **headers})
    assert answer.status_code == 200, answer.text
    [cookie] = [each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE)]
    token = cookie.partition("=")[2].partition(";")[0]
    pair = answer.json()
    return Person(str(user_id), email, pair["access_token"], token, pair["session_id"])


def cookie_of(person):
    return {"cookie": f"{COOKIE}={person.refresh_token}", "origin": PAGE}


async def csrf_of(service, person):
    answer = await service.client.get(f"{AUTH}/csrf", headers=cookie_of(person))
    return answer.json()["csrf_token"]


async def refresh(service, person):
    csrf = {"x-csrf-token": await csrf_of(service, person)}
    return await service.client.post(f"{AUTH}/refresh", headers=cookie_of(person) | csrf)


async def owner_of(service, person):
    return (await service.client.get(ME, headers=person.bearer)).json().get("id")


async def test_cve_class_29_the_next_person_in_a_browser_has_a_session_of_their_own(service):
    one = await sign_in(service)
    csrf = {"x-csrf-token": await csrf_of(service, one)}
    assert (await service.client.post(f"{AUTH}/logout", headers=cookie_of(one) | csrf)).status_code == 204
    other = await sign_in(service, cookie=f"{COOKIE}={one.refresh_token}")  # had it not been cleared
    assert other.session_id != one.session_id
    assert await owner_of(service, other) == other.id
    assert await owner_of(service, one) is None
    assert (await refresh(service, one)).status_code == 401


async def test_cve_class_29_whoever_did_not_sign_out_keeps_a_session_that_is_not_the_next_ones(service):
    one = await sign_in(service)
    other = await sign_in(service, cookie=f"{COOKIE}={one.refresh_token}")
    assert (other.session_id, other.refresh_token) != (one.session_id, one.refresh_token)
    assert (await owner_of(service, one), await owner_of(service, other)) == (one.id, other.id)
    assert (await refresh(service, other)).json()["session_id"] == other.session_id


@pytest.mark.parametrize(
    "header", ["cookie", "authorization", "x-session-id", "x-csrf-token", "idempotency-key"]
)
async def test_cve_class_30_what_was_planted_before_a_sign_in_opens_nothing_of_whoever_signs_in(
    service, header
):
    attacker = await sign_in(service)
    planted = {
        "cookie": f"{COOKIE}={attacker.refresh_token}",
        "authorization": f"Bearer {attacker.access_token}",
        "x-session-id": attacker.session_id,
        "x-csrf-token": await csrf_of(service, attacker),
        "idempotency-key": attacker.session_id,
    }
    victim = await sign_in(service, **{header: planted[header]})
    assert victim.session_id != attacker.session_id
    assert victim.refresh_token != attacker.refresh_token
    assert await owner_of(service, attacker) == attacker.id
    assert (await refresh(service, attacker)).json()["session_id"] == attacker.session_id
    rows = await service.sql("SELECT id::text FROM sessions WHERE user_id = $1::text::uuid", victim.id)
    assert [row["id"] for row in rows] == [victim.session_id]


async def test_cve_class_30_a_session_id_of_the_callers_choice_is_never_taken(service):
    email = new_email()
    await make_user(service.core, email)
    body = {"email": email, "password": PASSWORD, "client_id": "web"}
    for name in ("session_id", "sid", "refresh_token"):
        answer = await service.client.post(
            f"{AUTH}/login",
            json=body | {name: "018f0000-0000-7000-8000-000000000001"},
            headers={"origin": PAGE},
        )
        assert answer.status_code == 422
