"""Wherever a new password is set, one that others know is refused, and nowhere else."""

import asyncio

import pytest
from argon2 import PasswordHasher

from keystead.accounts.create_user import AccountWanted
from keystead.kernel.caller import Operator
from keystead.users.known_passwords.common import most_common
from tests.contract.answers import check_problem
from tests.contract.service import login, serving
from tests.support.people import PASSWORD, new_email, register
from tests.support.receiver import Receiver
from tests.support.tickets import invitation_ticket, reset_ticket
from tests.users.known_passwords.lists import build, sha1

pytestmark = pytest.mark.anyio

GOOD = "four tall silent lighthouses"
LISTED = "a certain phrase that was stolen"


async def registering(service, password):
    return await service.client.post(
        "/api/v1/auth/register", json={"email": new_email(), "password": password}
    )


async def changing(service, password):
    person = await register(service.client)
    return await service.client.put(
        "/api/v1/users/me/password",
        json={"current_password": PASSWORD, "new_password": password},
        headers=person.bearer,
    )


async def resetting(service, password):
    token = await reset_ticket(service.core, (await register(service.client)).id)
    return await service.client.post(
        "/api/v1/auth/password/reset", json={"token": token, "password": password}
    )


async def accepting(service, password):
    token = await invitation_ticket(service.core)
    return await service.client.post(
        "/api/v1/auth/invitation/accept", json={"token": token, "password": password}
    )


async def creating(service, password):
    admin = await service.make_admin()
    return await service.client.post(
        "/api/v1/users", json={"email": new_email(), "password": password}, headers=admin.bearer
    )


WAYS = {
    "register": (registering, 201, "/password"),
    "change": (changing, 204, "/new_password"),
    "reset": (resetting, 204, "/password"),
    "invitation": (accepting, 204, "/password"),
    "create": (creating, 201, "/password"),
}


@pytest.fixture(scope="module")
def blocklist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    (folder / "list").write_text(f"{LISTED}\n")
    build([folder / "list"], folder / "filter")
    return folder / "filter"


@pytest.fixture(scope="module")
def breaches():
    made = Receiver()
    made.says(b"", media_type="text/plain")
    yield made
    made.close()


@pytest.fixture(scope="module")
async def service(cluster, blocklist, breaches):
    configured = {
        "AUTH__PASSWORD__BLOCKLIST": str(blocklist),
        "AUTH__PASSWORD__BREACH_SERVICE__URL": breaches.url,
        "AUTH__PASSWORD__BREACH_SERVICE__ON_FAILURE": "refuse",
        "AUTH__PASSWORD__BREACH_SERVICE__ALLOW_PRIVATE": "127.0.0.0/8",
    }
    async with serving(cluster, **configured) as made:
        yield made


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("password", ["passwordpassword", LISTED, LISTED.upper()])
async def test_asvs_v5_6_2_12_a_known_password_is_refused_wherever_one_is_set(service, way, password):
    act, _, pointer = WAYS[way]
    answer = await act(service, password)
    (error,) = check_problem(answer, 422, "invalid_input")["errors"]
    assert (error["pointer"], error["code"]) == (pointer, "password_known")
    assert set(error["strength"]) == {"score", "guesses_log10", "warning", "suggestions"}
    assert password.casefold() not in answer.text.casefold()


@pytest.mark.parametrize("way", WAYS)
async def test_any_other_is_taken(service, way):
    act, status, _ = WAYS[way]
    assert (await act(service, GOOD)).status_code == status


async def test_asvs_v5_6_2_4_a_sample_of_the_3000_commonest_is_refused(service):
    for password in most_common(3000, min_length=15)[::100]:
        body = check_problem(await registering(service, password), 422, "invalid_input")
        assert body["errors"][0]["code"] == "password_known"


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_service_knows_is_refused_and_its_silence_is_as_configured(service, breaches, way):
    act, status, _ = WAYS[way]
    # One of its own, so that no answer from before is remembered.
    password, well = f"stolen last night, {way}", breaches.answer
    breaches.says(f"{sha1(password).hex()[5:]}:1".encode(), media_type="text/plain")
    assert (await act(service, password)).json()["errors"][0]["code"] == "password_known"
    breaches.says(b"", status=500)
    other = f"not stolen as yet, {way}"
    check_problem(await act(service, other), 503, "passwords_unchecked")
    breaches.answer = well
    assert (await act(service, other)).status_code == status


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_locked_while_the_service_is_asked(service, breaches, way):
    act, status, _ = WAYS[way]
    calls = len(breaches.calls)
    breaches.delay = 0.3
    asking = asyncio.create_task(act(service, f"a slow answer comes, {way}"))
    while len(breaches.calls) == calls:
        await asyncio.sleep(0.01)
    open_ones = await service.sql(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
        " AND pid <> pg_backend_pid()"
    )
    assert open_ones == []
    assert not asking.done()
    breaches.delay = 0.0
    assert (await asking).status_code == status


async def test_who_has_a_known_password_already_still_signs_in(service):
    email = new_email()
    stored = PasswordHasher(1, 8, 1).hash("passwordpassword")
    await service.core.accounts.create(Operator(), AccountWanted(email=email, password_hash=stored))
    answer = await service.client.post(
        "/api/v1/auth/login", json={"email": email, "password": "passwordpassword"}
    )
    assert answer.status_code == 200
    again = await service.client.post(
        "/api/v1/auth/reauthenticate",
        json={"password": "passwordpassword"},
        headers={"authorization": f"Bearer {answer.json()['access_token']}"},
    )
    assert again.status_code == 200


async def test_asvs_v5_6_2_2_and_6_2_3_a_change_needs_the_current_password_and_a_new_one(service):
    person = await register(service.client)
    for body, status in (
        ({"new_password": GOOD}, 422),
        ({"current_password": PASSWORD}, 422),
        ({"current_password": "not that one at all", "new_password": GOOD}, 401),
        ({"current_password": PASSWORD, "new_password": GOOD}, 204),
    ):
        answer = await service.client.put("/api/v1/users/me/password", json=body, headers=person.bearer)
        assert answer.status_code == status
    assert (await login(service.client, person.email)).status_code == 401


async def test_asvs_v5_6_2_8_a_password_is_verified_exactly_as_it_was_received(service):
    email, password = new_email(), "  Four Tall\u0000 silent lighthouses "
    answer = await service.client.post("/api/v1/auth/register", json={"email": email, "password": password})
    assert answer.status_code == 201
    for other in (password.strip(), password.lower(), password.replace("\u0000", "")):
        answer = await service.client.post("/api/v1/auth/login", json={"email": email, "password": other})
        assert answer.status_code == 401
    answer = await service.client.post("/api/v1/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200


async def test_asvs_v5_6_2_10_a_password_does_not_expire(service):
    person = await register(service.client)
    await service.sql(
        "UPDATE users SET created_at = created_at - interval '3 years', updated_at = updated_at - interval '3 years'"
        " WHERE id = $1::text::uuid",
        person.id,
    )
    assert (await login(service.client, person.email)).status_code == 200


@pytest.mark.parametrize("length", [64, 128, 1024])
async def test_asvs_v5_6_2_9_long_passwords_are_taken(service, length):
    password = ("unlikely words in an unlikely order " * 30)[:length]
    assert (await registering(service, password)).status_code == 201
    body = check_problem(await registering(service, password.ljust(1025, "x")), 422, "invalid_input")
    assert body["errors"][0]["code"] == "password_too_long"


async def test_the_rules_are_told(service):
    assert (await service.client.get("/api/v1/auth/policy")).json() == {
        "min_length": 15,
        "max_bytes": 1024,
        "min_score": 0,
        "composition_rules": False,
        "known_passwords": False,
        "expires": False,
    }


async def test_pci_and_a_least_strength_hold_where_they_are_set(cluster):
    configured = {
        "AUTH__PASSWORD__PROFILE": "pci",
        "AUTH__PASSWORD__MIN_LENGTH": "12",
        "AUTH__PASSWORD__MIN_SCORE": "3",
    }
    async with serving(cluster, **configured) as service:
        told = (await service.client.get("/api/v1/auth/policy")).json()
        assert (told["min_length"], told["min_score"], told["composition_rules"]) == (12, 3, True)
        for password, code in (
            (GOOD, "password_composition"),
            ("1991-1991-abc", "password_too_weak"),
            ("qv7-tram-lemon", None),
        ):
            answer = await registering(service, password)
            if code is None:
                assert answer.status_code == 201
            else:
                assert answer.json()["errors"][0]["code"] == code
