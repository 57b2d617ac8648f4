"""Everybody gets their own account and nobody else's, however many come at once; and a disabled user gets none."""

import asyncio
import base64
import json
import random
from collections import Counter

import pytest

from tests.contract.answers import check_problem
from tests.contract.service import login, send, serving
from tests.support.people import PASSWORD, new_email, refresh, register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
REGISTER = "/api/v1/auth/register"


async def test_asvs_v5_8_2_2_everybody_sees_their_own_account_and_nobody_elses(service):
    one = await register(service.client, full_name="One")
    other = await register(service.client, full_name="Other")
    for person, name in ((one, "One"), (other, "Other"), (one, "One")):
        for query in ("", f"?id={one.id}", f"?user_id={other.id}"):
            me = (await service.client.get(ME + query, headers=person.bearer)).json()
            assert (me["id"], me["email"], me["full_name"]) == (person.id, person.email, name)
    await service.client.put(ME, json={"full_name": "Changed"}, headers=one.bearer)
    assert (await service.client.get(ME, headers=other.bearer)).json()["full_name"] == "Other"


async def test_cve_class_32_and_8_five_hundred_people_at_once_each_get_their_own_account(cluster):
    async with serving(cluster, AUTH__HASH_THREADS="64", DATABASE__MAX_CONNECTIONS="20") as service:

        async def join(number):
            email = new_email()
            made = await until_done(attempt(service, email, full_name=str(number)) for _ in range(1000))
            pair = await until_done(login(service.client, email) for _ in range(1000))
            bearer = {"authorization": f"Bearer {pair['access_token']}"}
            me = (await service.client.get(ME, headers=bearer)).json()
            assert (me["id"], me["email"], me["full_name"]) == (made["user"]["id"], email, str(number))
            return me["id"], made["session_id"], pair["session_id"], sub_of(made), sub_of(pair)

        rows = await asyncio.gather(*(join(number) for number in range(500)))
    assert all(user == first == second for user, _, _, first, second in rows)
    assert len({user for user, *_ in rows}) == 500
    assert len({session for _, *sessions, _, _ in rows for session in sessions}) == 1000


async def attempt(service, email, *, full_name):
    return await service.client.post(
        REGISTER, json={"email": email, "password": PASSWORD, "full_name": full_name}
    )


async def until_done(attempts):
    """The first answer that is no 503: the queue of hashes is bounded, and who does not fit comes again, ever later."""
    for number, one in enumerate(attempts):
        answer = await one
        if answer.status_code != 503:
            return answer.json()
        await asyncio.sleep(min(0.1 * 2**number, 3) * random.random())
    raise AssertionError("the service never had time")


def sub_of(pair):
    payload = pair["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]


async def test_asvs_v5_7_4_2_and_cve_class_25_a_disabled_user_is_out_on_every_path_at_once(service):
    person = await register(service.client)
    second = (await login(service.client, person.email)).json()
    await service.disable(person)
    for access, token in (
        (person.access_token, person.refresh_token),
        (second["access_token"], second["refresh_token"]),
    ):
        bearer = {"authorization": f"Bearer {access}"}
        for method, path, body in (
            ("GET", ME, None),
            ("PUT", ME, {"full_name": "x"}),
            ("PATCH", ME, {"full_name": "x"}),
            ("GET", "/health", None),
            ("POST", "/api/v1/auth/logout", None),
            ("POST", "/api/v1/auth/logout-all", None),
        ):
            answer = await service.client.request(method, path, json=body, headers=bearer)
            check_problem(answer, 401, "unauthorized")
        check_problem(await refresh(service.client, token), 401, "invalid_refresh_token")
        answer = await service.client.post("/api/v1/auth/refresh", json={"refresh_token": token})
        check_problem(answer, 401, "invalid_refresh_token")
    check_problem(await login(service.client, person.email), 401, "invalid_credentials")
    answer = await send(service, json.dumps({"email": person.email, "password": PASSWORD}), path=REGISTER)
    check_problem(answer, 409, "email_taken")


async def test_cve_class_48_fifty_right_logins_at_once_all_succeed(cluster):
    async with serving(cluster, AUTH__HASH_THREADS="4") as service:
        person = await register(service.client)
        answers = await asyncio.gather(*(login(service.client, person.email) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert len({answer.json()["session_id"] for answer in answers}) == 50
