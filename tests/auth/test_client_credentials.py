"""The token endpoint under attack: proofs that are none, work that would tell, races, and a database that fails."""

import asyncio
import re
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

import asyncpg
import pytest

from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.client_proof import ASSERTION_TYPE
from keystead.api.rest.oauth_errors import oauth_problem_of
from keystead.audit.store import ADD_EVENT
from keystead.auth.authenticate_client import FIND_CLIENT, ClientAssertion, ClientSecret, InvalidClient
from keystead.kernel.caller import Operator
from keystead.machines.secret_text import SecretKind, new_machine_secret
from tests.support.assertions import ISSUER, assertion, prove, with_public_key
from tests.support.machines import TOKEN, get_token, make_service_account

pytestmark = pytest.mark.anyio

FORM = {"grant_type": "client_credentials"}


async def show_basic(client, credentials: bytes):
    return await client.post(TOKEN, data=FORM, headers={"authorization": b"Basic " + credentials})


@pytest.mark.parametrize("credentials", [b"\xe9", b"\xff\xfe", b"=", b"Og==", b"YTpi YTpi"])
async def test_what_is_no_basic_credential_is_refused_whatever_its_bytes(client, credentials):
    answer = await show_basic(client, credentials)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_rfc_6749_2_3_1_both_parts_of_basic_are_form_urlencoded(client, core):
    machine = await make_service_account(core)

    def escaped(text):
        return "".join(f"%{ord(character):02x}" for character in text)

    pair = f"{escaped(machine.client_id)}:{escaped(machine.secret)}"
    assert (await show_basic(client, b64encode(pair.encode()))).status_code == 200
    for half in ("%zz", "%", "%e9", "%00", "+", quote("é")):
        pair = f"{half}:{machine.secret}"
        assert (await show_basic(client, b64encode(pair.encode()))).status_code == 401


async def test_a_form_that_names_another_client_than_the_header_is_refused(client, core):
    machine, other = await make_service_account(core), await make_service_account(core)
    answer = await get_token(client, machine, client_id=other.client_id)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "client_id" in answer.json()["error_description"]
    assert (await get_token(client, machine, client_id=machine.client_id)).status_code == 200


@pytest.mark.parametrize("name", ["client_secret", "client_assertion", "Client_Secret"])
async def test_a_proof_in_the_url_is_refused(client, core, name):
    machine = await make_service_account(core)
    answer = await client.post(f"{TOKEN}?{name}=x", data=FORM, auth=machine.basic)
    assert (answer.status_code, answer.json()["code"]) == (400, "credential_in_url")


class Counting:
    """A database that remembers what it was asked to run."""

    def __init__(self, db):
        self._db = db
        self.statements = []

    async def fetch_row(self, sql, *args):
        self.statements.append(sql)
        return await self._db.fetch_row(sql, *args)

    async def execute(self, sql, *args):
        self.statements.append(sql)
        return await self._db.execute(sql, *args)


async def proofs_that_do_not_hold(core, db, clock):
    """One for each cause."""
    one, other, revoked, expired = [await make_service_account(core) for _ in range(4)]
    signer, private, _, kid = await with_public_key(core)
    disabled, disabled_private, _, disabled_kid = await with_public_key(core)
    await core.machines.revoke_key.by_id(Operator(), UUID(revoked.key_id))
    await core.machines.change(Operator(), UUID(disabled.client_id), is_disabled=True)
    await db.execute(
        "UPDATE service_keys SET expires_at = keystead_now() WHERE id = $1::text::uuid", expired.key_id
    )
    unknown = new_machine_secret(SecretKind.SERVICE_KEY).reveal()
    return {
        "an unknown client": ClientSecret("nobody", unknown),
        "a wrong secret": ClientSecret(one.client_id, unknown),
        "the secret of another": ClientSecret(one.client_id, other.secret),
        "a revoked secret": ClientSecret(revoked.client_id, revoked.secret),
        "an expired secret": ClientSecret(expired.client_id, expired.secret),
        "a disabled account": ClientSecret(disabled.client_id, disabled.secret),
        "no assertion": ClientAssertion("nonsense"),
        "an unknown key": ClientAssertion(assertion(signer, private, one.client_id, clock)),
        "a wrong signature": ClientAssertion(assertion(signer, disabled_private, kid, clock)),
        "a disabled signer": ClientAssertion(assertion(disabled, disabled_private, disabled_kid, clock)),
    }


async def test_cve_class_44_whatever_is_wrong_with_a_proof_the_work_is_the_same(core, db, clock):
    for cause, proof in (await proofs_that_do_not_hold(core, db, clock)).items():
        counting = Counting(db)
        with pytest.raises(InvalidClient):
            await replace(core.auth.authenticate_client, db=counting)(proof)
        assert counting.statements == [FIND_CLIENT, ADD_EVENT], cause


async def test_cve_class_45_whatever_is_wrong_with_a_proof_the_answer_has_the_same_bytes(
    client, core, db, clock
):
    answers = {}
    for cause, proof in (await proofs_that_do_not_hold(core, db, clock)).items():
        if isinstance(proof, ClientSecret):
            form = {"client_id": proof.client_id, "client_secret": proof.secret}
        else:
            form = {"client_assertion": proof.assertion, "client_assertion_type": ASSERTION_TYPE}
        answer = await client.post(TOKEN, data={**FORM, **form}, headers={"x-request-id": "one-for-all"})
        answers[cause] = (answer.status_code, answer.content, answer.headers["www-authenticate"])
    assert len(set(answers.values())) == 1, answers
    events = await db.fetch("SELECT subject_id FROM audit_events WHERE event = 'client.refused'")
    assert len(events) == len(answers)


async def test_cve_class_26_a_database_that_fails_never_counts_as_the_first_use(client, core, clock, urls):
    machine, private, _, kid = await with_public_key(core)
    token = assertion(machine, private, kid, clock)
    owner = await asyncpg.connect(urls.owner)
    try:
        await owner.execute("ALTER TABLE used_assertions RENAME TO away")
        assert (await prove(client, token)).status_code == 500
        await owner.execute("ALTER TABLE away RENAME TO used_assertions")
    finally:
        await owner.close()
    assert (await prove(client, token)).status_code == 200
    assert (await prove(client, token)).status_code == 401


async def test_a_used_assertion_is_remembered_for_as_long_as_it_could_count(client, core, clock):
    machine, private, _, kid = await with_public_key(core)
    token = assertion(machine, private, kid, clock)
    assert (await prove(client, token)).status_code == 200
    for seconds in (60, 29, 2):
        await clock.advance(timedelta(seconds=seconds))
        await core.operations.sweep()
        assert (await prove(client, token)).status_code == 401


async def test_the_leeway_for_a_clock_that_differs_is_thirty_seconds(client, core, clock):
    machine, private, _, kid = await with_public_key(core)
    now = int(clock.now().timestamp())
    for times, status in (
        ({"exp": now - 25}, 200),
        ({"exp": now - 35}, 401),
        ({"iat": now + 25}, 200),
        ({"iat": now + 35}, 401),
        ({"exp": now + 325}, 200),
        ({"exp": now + 335}, 401),
        ({"iat": now - 325}, 200),
        ({"iat": now - 335}, 401),
        ({"iat": ...}, 200),
        ({"nbf": now - 9999}, 200),
        ({"nbf": True}, 401),
        ({"exp": True}, 401),
        ({"iat": 1.5}, 401),
        ({"exp": 10**4000}, 401),
        ({"iat": -(10**300)}, 401),
    ):
        answer = await prove(client, assertion(machine, private, kid, clock, **times))
        assert answer.status_code == status, times


async def test_an_assertion_is_for_the_issuer_or_the_token_endpoint_whatever_the_host_header_says(
    client, core, clock
):
    machine, private, _, kid = await with_public_key(core)
    for audience, status in (
        (ISSUER, 200),
        (f"{ISSUER}{TOKEN}", 200),
        (f"{ISSUER}/", 401),
        ("http://evil.example", 401),
        (f"http://evil.example{TOKEN}", 401),
        ([ISSUER], 401),
        (ISSUER.upper(), 401),
    ):
        token = assertion(machine, private, kid, clock, aud=audience)
        form = {**FORM, "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}
        answer = await client.post(TOKEN, data=form, headers={"host": "evil.example"})
        assert answer.status_code == status, audience


async def test_a_key_that_is_revoked_during_the_exchange_leaves_no_token_that_counts(client, core):
    for _ in range(10):
        machine = await make_service_account(core, roles=("admin",))
        answer, _ = await asyncio.gather(
            get_token(client, machine), core.machines.revoke_key.by_id(Operator(), UUID(machine.key_id))
        )
        if answer.status_code == 200:
            headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
            assert (await client.get("/api/v1/users", headers=headers)).status_code == 401
        assert (await get_token(client, machine)).status_code == 401


async def test_more_roles_than_a_token_can_hold_is_a_bad_request_that_names_them(client, core, db):
    names = tuple(f"{'r' * 59}{number:03}" for number in range(50))
    await db.execute("INSERT INTO roles (name, permissions) SELECT unnest($1::text[]), '{}'", names)
    answer = await get_token(client, await make_service_account(core, roles=names))
    body = answer.json()
    assert (answer.status_code, body["error"], body["claim"]) == (400, "invalid_request", "roles")


def test_rfc_6749_5_2_every_error_and_its_description_keep_to_their_characters():
    allowed = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
    speaking = [route for route in ROUTES if route.speaks_oauth]
    assert speaking
    for refusal in {refusal for route in speaking for refusal in route.refusals()}:
        body = oauth_problem_of(refusal(), "id")
        for text in (body["error"], body["error_description"]):
            assert allowed.fullmatch(text), text
