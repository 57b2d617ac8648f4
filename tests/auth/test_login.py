"""Login: what it admits, what it refuses, and what stays behind."""

import asyncio
from datetime import timedelta

import pytest

from keystead.auth.start_session import Holder
from keystead.kernel.caller import Origin
from keystead.users.passwords import Argon2Cost, Hasher
from tests.support.people import PASSWORD, make_user, new_email, refresh, register

pytestmark = pytest.mark.anyio

EVENTS = "SELECT event, subject_id FROM audit_events ORDER BY id"


async def login(client, email, password=PASSWORD):
    return await client.post("/api/v1/auth/login", json={"email": email, "password": password})


async def test_the_right_password_starts_a_session_of_its_own(client, db):
    person = await register(client)
    first, second = (await login(client, person.email)).json(), (await login(client, person.email)).json()
    assert len({person.session_id, first["session_id"], second["session_id"]}) == 3
    assert first["expires_in"] == 300
    assert first["refresh_expires_in"] == 14 * 86400
    live = await db.fetch(
        "SELECT id FROM sessions WHERE user_id = $1::text::uuid AND ended_at IS NULL", person.id
    )
    assert len(live) == 3


async def test_cve_class_51_every_spelling_of_an_address_is_one_account(client):
    person = await register(client, email="jos\u00e9.Smith@B\u00fccher.example")
    for spelling in ("jose\u0301.smith@b\u00fccher.example", "jos\u00e9.SMITH@xn--bcher-kva.EXAMPLE"):
        assert (await login(client, spelling)).status_code == 200
        again = await client.post(
            "/api/v1/auth/register", json={"email": spelling, "password": PASSWORD, "full_name": None}
        )
        assert again.json()["code"] == "email_taken"
    assert person.email


async def test_a_failed_login_is_recorded_for_known_and_unknown_alike_and_survives_the_refusal(client, db):
    person = await register(client)
    for email in (person.email, new_email()):
        assert (await login(client, email, "not the password at all")).status_code == 401
    rows = [tuple(row) for row in await db.fetch(EVENTS)][-2:]
    assert [event for event, _ in rows] == ["login.failed", "login.failed"]
    assert [str(subject) for _, subject in rows] == [person.id, "None"]


async def test_a_disabled_user_is_refused_like_a_wrong_password(client, db):
    person = await register(client)
    await db.execute("UPDATE users SET status = 'disabled' WHERE id = $1::text::uuid", person.id)
    answer = await login(client, person.email)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


async def test_a_password_that_changed_during_the_check_starts_no_session(client, core, db):
    person = await register(client)
    stored = await db.fetch_row(
        "SELECT id, wrapped FROM users JOIN data_keys ON owner_id = id WHERE id = $1::text::uuid", person.id
    )
    holder = Holder(stored["id"], stored["wrapped"], password_version=2)
    async with db.begin() as tx:
        session = await core.auth.login.start_session(
            tx,
            holder,
            origin=Origin("127.0.0.1", ""),
            application=core.applications.book.default,
            amr=("pwd",),
        )
    assert session is None
    assert person.id


async def test_a_hash_of_other_parameters_is_renewed_at_login_and_still_opens(client, db, core):
    person = await register(client)
    other = Hasher(
        Argon2Cost(memory_kib=16, iterations=1, parallelism=1), threads=1, longest_wait=timedelta(seconds=60)
    )
    outdated = await other.hash(PASSWORD)
    other.close()
    await db.execute("UPDATE users SET password_hash = $1", outdated)
    answers = await asyncio.gather(*(login(client, person.email) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    renewed = await db.fetch_row("SELECT password_hash, password_version FROM users")
    assert renewed["password_hash"] != outdated
    assert renewed["password_version"] == 1
    assert not core.auth.login.hasher.is_outdated(renewed["password_hash"])
    assert (await login(client, person.email)).status_code == 200


async def test_asvs_v5_6_2_10_a_password_never_expires(client, clock):
    person = await register(client)
    await clock.advance(timedelta(days=400))
    assert (await login(client, person.email)).status_code == 200


async def test_the_rules_for_new_passwords_are_never_applied_at_login(client, db, core):
    person = await register(client)
    await db.execute("UPDATE users SET password_hash = $1", await core.auth.login.hasher.hash("short"))
    assert (await login(client, person.email, "short")).status_code == 200


class TestWhereAddressesMustBeProven:
    @pytest.fixture
    def configured(self):
        return {"AUTH__REQUIRE_VERIFIED_EMAIL": "true"}

    async def attempt(self, client, email, password=PASSWORD):
        answer = await client.post(
            "/api/v1/auth/register", json={"email": email, "password": password, "full_name": "John Doe"}
        )
        assert (answer.status_code, answer.json()) == (202, {"status": "verification_required"})

    async def test_an_attempt_signs_in_once_its_address_is_proven(self, client, core):
        email = new_email()
        await self.attempt(client, email)
        waiting = await login(client, email)
        assert (waiting.status_code, waiting.json()["code"]) == (403, "email_unverified")
        assert (await login(client, email, "not the password at all")).status_code == 401
        await core.accounts.verify_user(email=email)
        assert (await login(client, email)).status_code == 200

    async def test_the_attempt_that_is_verified_wins_and_no_other_can_be_after_it(self, client, core, db):
        email = new_email()
        await self.attempt(client, email, "the password of an attacker")
        await self.attempt(client, email)
        ids = [row["id"] for row in await db.fetch("SELECT id FROM users ORDER BY created_at")]
        with pytest.raises(Exception, match="Several people"):
            await core.accounts.verify_user(email=email)
        await asyncio.gather(*(core.accounts.verify_user(email=email, attempt=ids[1]) for _ in range(5)))
        assert (await login(client, email)).status_code == 200
        assert (await login(client, email, "the password of an attacker")).status_code == 401
        with pytest.raises(Exception, match="no such user"):
            await core.accounts.verify_user(email=email, attempt=ids[0])
        assert await core.accounts.verify_user(email=email) == ids[1]
        verified = await db.fetch("SELECT FROM audit_events WHERE event = 'user.verified'")
        assert len(verified) == 1
        assert len(await db.fetch("SELECT FROM data_keys")) == 1

    async def test_an_attempt_at_a_taken_address_changes_nothing_for_its_owner(self, client, core):
        email = new_email()
        await make_user(core, email)
        await self.attempt(client, email, "the password of an attacker")
        assert (await login(client, email)).status_code == 200
        assert (await login(client, email, "the password of an attacker")).status_code == 403


async def test_logout_ends_the_session_at_once_for_both_tokens(client, db):
    person = await register(client)
    assert (await client.post("/api/v1/auth/logout", headers=person.bearer)).status_code == 204
    assert (await client.get("/api/v1/users/me", headers=person.bearer)).status_code == 401
    assert (await refresh(client, person.refresh_token)).status_code == 401
    assert (await client.post("/api/v1/auth/logout", headers=person.bearer)).status_code == 401
    row = await db.fetch_row("SELECT ended_because FROM sessions")
    assert row["ended_because"] == "logout"
    ended = await db.fetch("SELECT FROM audit_events WHERE event = 'session.ended'")
    assert len(ended) == 1


async def test_a_refresh_token_alone_ends_its_session_and_doing_so_twice_is_no_error(client):
    person = await register(client)
    for send in (
        {"json": {"refresh_token": person.refresh_token}},
        {"headers": {"authorization": f"Bearer {person.refresh_token}"}},
    ):
        assert (await client.post("/api/v1/auth/logout", **send)).status_code == 204
    assert (await client.get("/api/v1/users/me", headers=person.bearer)).status_code == 401


async def test_a_forged_refresh_token_ends_nothing(client):
    person = await register(client)
    forged = person.refresh_token[:-1] + ("A" if person.refresh_token[-1] != "A" else "B")
    answer = await client.post("/api/v1/auth/logout", json={"refresh_token": forged})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert (await client.get("/api/v1/users/me", headers=person.bearer)).status_code == 200


async def test_logout_everywhere_ends_every_session_of_the_caller_and_nobody_elses(client):
    person, other = await register(client), await register(client)
    second = (await login(client, person.email)).json()
    assert (await client.post("/api/v1/auth/logout-all", headers=person.bearer)).status_code == 204
    for token in (person.refresh_token, second["refresh_token"]):
        assert (await refresh(client, token)).status_code == 401
    assert (await client.get("/api/v1/users/me", headers=other.bearer)).status_code == 200


async def test_a_lost_role_holds_for_tokens_already_issued(client, core, db):
    email = new_email()
    await make_user(core, email, full_name="A B", is_admin=True)
    token = {"authorization": f"Bearer {(await login(client, email)).json()['access_token']}"}
    assert (await client.get("/health", headers=token)).status_code == 200
    await db.execute("DELETE FROM user_roles WHERE role = 'admin'")
    assert (await client.get("/health", headers=token)).status_code == 403


async def test_registering_a_taken_address_leaves_nothing_behind(client, db):
    person = await register(client)
    counts = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM data_keys), (SELECT count(*) FROM sessions)"
    before = tuple(await db.fetch_row(counts))
    answers = await asyncio.gather(
        *(
            client.post("/api/v1/auth/register", json={"email": person.email, "password": PASSWORD})
            for _ in range(5)
        )
    )
    assert {answer.status_code for answer in answers} == {409}
    assert tuple(await db.fetch_row(counts)) == before


async def test_racing_registrations_of_one_address_make_one_account(client, db):
    email = new_email()
    answers = await asyncio.gather(
        *(client.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD}) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert len(await db.fetch("SELECT FROM users")) == 1


async def test_cve_class_35_an_overlong_password_is_refused_alike_and_before_any_hashing(client, core):
    person = await register(client)
    core.auth.login.hasher.close()  # whoever hashes now, fails
    answers = [await login(client, email, "x" * 1025) for email in (person.email, new_email())]
    for answer in answers:
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "password_too_long")
