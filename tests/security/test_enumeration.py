"""Nobody learns from an answer whether an address has an account; and attempts to register it decide nothing."""

import asyncio
import json
from collections import Counter

import pytest

from keystead.accounts.verify_user import SeveralAttempts
from keystead.kernel.caller import Operator
from keystead.users.types import EmailTaken, UserNotFound
from tests.contract.service import login, serving
from tests.support.people import PASSWORD, make_user, new_email, register

pytestmark = pytest.mark.anyio

OTHER = "another password that is long"
WRONG = "not the password of anybody"


def bare(answer):
    """Status, headers and body without what names the single request."""
    own = answer.headers["x-request-id"]
    return (
        answer.status_code,
        sorted(
            (name, value.replace(own, "ID"))
            for name, value in answer.headers.multi_items()
            if name
            not in (
                "ratelimit",
                "ratelimit-policy",
            )  # what is left to the address that asks, whatever it asks
        ),
        answer.content.replace(own.encode(), b"ID"),
    )


async def attempt(service, email, password=PASSWORD, full_name="John Doe"):
    body = {"email": email, "password": password, "full_name": full_name}
    return await service.client.post("/api/v1/auth/register", json=body)


@pytest.fixture(scope="module")
async def proven(cluster):
    """Where addresses must be proven."""
    async with serving(cluster, AUTH__REQUIRE_VERIFIED_EMAIL="true") as made:
        yield made


@pytest.fixture
def hashes_of(proven, monkeypatch):
    """A list that grows by one with each piece of work that reaches the hasher's threads there."""
    hasher = proven.core.auth.login.hasher
    run, tasks = hasher._run, []

    def noted(task, *more):
        tasks.append(task)
        return run(task, *more)

    monkeypatch.setattr(hasher, "_run", noted)
    return tasks


async def states(service):
    """State of an account → an address in it, with the password that is right or would be."""
    active, disabled, gone, ended = [await register(service.client) for _ in range(4)]
    await service.disable(disabled)
    await service.sql("DELETE FROM users WHERE id = $1::text::uuid", gone.id)
    await service.client.post("/api/v1/auth/logout-all", headers=ended.bearer)
    return {
        "unknown, any password": (new_email(), PASSWORD),
        "unknown domain": ("nobody@nowhere.test", PASSWORD),
        "known, wrong password": (active.email, WRONG),
        "known, empty-looking password": (active.email, " "),
        "known, password of 1024 bytes": (active.email, "x" * 1024),
        "unknown, password of 1024 bytes": (new_email(), "x" * 1024),
        "known in capitals, wrong password": (active.email.upper(), WRONG),
        "without a session, wrong password": (ended.email, WRONG),
        "disabled, right password": (disabled.email, PASSWORD),
        "disabled, wrong password": (disabled.email, WRONG),
        "deleted, right password": (gone.email, PASSWORD),
    }


async def test_asvs_v5_6_3_8_and_cve_class_45_every_failed_login_gets_the_same_bytes(service, hashes):
    answers, work = {}, {}
    for state, (email, password) in (await states(service)).items():
        hashes.clear()
        answers[state] = bare(await login(service.client, email, password))
        work[state] = len(hashes)
    assert len(set(map(str, answers.values()))) == 1, answers
    assert next(iter(answers.values()))[0] == 401
    assert set(work.values()) == {1}, work


async def test_cve_class_45_a_pending_account_is_told_to_prove_its_address_only_after_the_right_password(
    proven,
):
    email = new_email()
    await attempt(proven, email)
    unknown = bare(await login(proven.client, new_email()))
    assert bare(await login(proven.client, email, WRONG)) == unknown
    told = await login(proven.client, email)
    assert (told.status_code, told.json()["code"]) == (403, "email_unverified")


async def test_cve_class_44_the_hash_that_stands_in_for_none_costs_what_a_fresh_one_costs(service):
    hasher = service.core.auth.login.hasher
    assert not hasher.is_outdated(hasher.decoy)


@pytest.mark.parametrize("password", ["", "x" * 1025, "\U0001f511" * 257, "x" * 8193])
async def test_cve_class_35_and_36_what_no_password_can_be_is_refused_alike_and_before_any_work(
    service, person, hashes, password
):
    answers = [bare(await login(service.client, email, password)) for email in (person.email, new_email())]
    assert answers[0] == answers[1]
    assert (answers[0][0], hashes) == (422, [])


async def test_cve_class_45_registering_a_known_address_looks_like_registering_a_new_one(proven, monkeypatch):
    known, pending, disabled = new_email(), new_email(), new_email()
    for email in (known, disabled):
        await attempt(proven, email)
    await proven.core.accounts.verify_user(email=known)
    user_id = await proven.core.accounts.verify_user(email=disabled)
    await proven.sql("UPDATE users SET status = 'disabled' WHERE id = $1", user_id)
    await attempt(proven, pending)

    hasher = proven.core.auth.register.hasher
    work: Counter[str] = Counter()
    run = hasher._run
    answers = {}
    for state, email in {
        "new": new_email(),
        "known": known,
        "pending": pending,
        "disabled": disabled,
    }.items():

        def counted(task, state=state):
            work[state] += 1
            return run(task)

        monkeypatch.setattr(hasher, "_run", counted)
        before = await counts(proven)
        answers[state] = bare(await attempt(proven, email))
        work[f"{state}, rows"] = await counts(proven) - before
    assert len(set(map(str, answers.values()))) == 1, answers
    assert answers["new"][0] == 202
    assert json.loads(answers["new"][2]) == {"status": "verification_required"}
    assert {work[state] for state in answers} == {1}
    assert {work[f"{state}, rows"] for state in answers} == {
        4
    }  # user, data key, role, audit event: alike for all


async def counts(service):
    """Rows that a registration adds to."""
    tables = ("users", "data_keys", "user_roles", "audit_events")
    return sum([(await service.sql(f"SELECT count(*) FROM {table}"))[0][0] for table in tables])


async def test_refusals_of_a_registration_do_not_depend_on_the_address_either(proven):
    known = new_email()
    await attempt(proven, known)
    await proven.core.accounts.verify_user(email=known)
    for password, full_name in (("short", None), (PASSWORD, "\u0007"), ("x" * 1025, None)):
        answers = [
            bare(await attempt(proven, email, password, full_name))
            for email in (known, "user-000000000000@example.com")
        ]
        assert answers[0] == answers[1]
        assert answers[0][0] == 422


async def test_cve_class_51_every_spelling_of_an_address_reaches_one_account_on_every_path(proven):
    email = f"Jos\u00e9.{new_email()[5:9]}@b\u00fccher.example"
    local, _, _ = email.partition("@")
    spellings = [
        email,
        f"{local.upper().replace(chr(0xC9), chr(0xE9))}@B\u00dcCHER.example",
        f"{local.replace(chr(0xE9), 'e' + chr(0x301))}@xn--bcher-kva.EXAMPLE",
    ]
    await attempt(proven, spellings[0])
    user_id = await proven.core.accounts.verify_user(email=spellings[1])
    tokens = [(await login(proven.client, spelling)).json() for spelling in spellings]
    for pair in tokens:
        bearer = {"authorization": f"Bearer {pair['access_token']}"}
        me = (await proven.client.get("/api/v1/users/me", headers=bearer)).json()
        assert (me["id"], me["email"]) == (str(user_id), email)
    for spelling in spellings:
        with pytest.raises(EmailTaken):
            await make_user(proven.core, spelling)


@pytest.mark.parametrize(
    ("victims", "typed", "status"),
    [
        ("mike", "m\u0131ke", 401),
        ("mike", "m\u0456ke", 401),
        ("kelvin", "\u212aelvin", 422),
        ("strasse", "stra\u00dfe", 401),
        ("office", "o\ufb03ce", 422),
        ("user", "\uff55ser", 422),
        ("user", "user\u00ad", 422),
        ("user", "us er", 422),
        ("user", "user\u200b", 422),
        ("user", "user%00", 401),
        ("user", "user+x", 401),
        ("user", "u.ser", 401),
    ],
)
async def test_cve_class_37_a_look_alike_reaches_nobody_elses_account(service, victims, typed, status):
    domain = f"{new_email()[5:13]}.example"
    victim = await register(service.client, email=f"{victims}@{domain}")
    answer = await login(service.client, f"{typed}@{domain}")
    assert answer.status_code == status
    assert (await login(service.client, victim.email)).status_code == 200


# Attempts at one address


def attempts_of(refusal):
    """The ids that an operator may choose from, newest first."""
    return [item["id"] for item in refusal.detail["attempts"]]


async def test_cve_class_66_of_several_attempts_the_operator_names_one_and_its_password_wins(proven):
    email = new_email()
    for password in (OTHER, PASSWORD, WRONG):
        assert (await attempt(proven, email, password)).status_code == 202
    with pytest.raises(SeveralAttempts) as refused:
        await proven.core.accounts.verify_user(email=email)
    newest, middle, oldest = attempts_of(refused.value)
    assert len({newest, middle, oldest}) == 3

    rows = await proven.sql(
        "SELECT id, status FROM users WHERE id = ANY($1::text[]::uuid[])", [newest, middle, oldest]
    )
    assert {row["status"] for row in rows} == {"pending"}
    chosen = next(row["id"] for row in rows if str(row["id"]) == middle)
    assert await proven.core.accounts.verify_user(email=email, attempt=chosen) == chosen
    statuses = [
        (await login(proven.client, email, password)).status_code for password in (OTHER, PASSWORD, WRONG)
    ]
    assert statuses == [401, 200, 401]


async def test_an_attempt_after_the_account_was_proven_changes_nothing(proven):
    email = new_email()
    await attempt(proven, email)
    user_id = await proven.core.accounts.verify_user(email=email)
    before = (await login(proven.client, email)).json()
    assert (await attempt(proven, email, OTHER, "Mallory")).status_code == 202

    assert (await login(proven.client, email, OTHER)).status_code == 403
    assert (await login(proven.client, email)).status_code == 200
    bearer = {"authorization": f"Bearer {before['access_token']}"}
    assert (await proven.client.get("/api/v1/users/me", headers=bearer)).json()["full_name"] == "John Doe"
    assert await proven.core.accounts.verify_user(email=email) == user_id
    assert (await login(proven.client, email, OTHER)).status_code == 403


@pytest.mark.parametrize("state", ["active", "disabled", "locked", "invited"])
async def test_asvs_v5_6_3_8_and_cve_class_45_whoever_registers_and_signs_in_does_not_learn_whether_it_was_taken(
    proven, hashes_of, state
):
    free, taken = new_email(), new_email()
    if state == "invited":
        await proven.core.accounts.invite(Operator(), email=taken)
    else:
        await attempt(proven, taken)
        user_id = await proven.core.accounts.verify_user(email=taken)
        await proven.sql("UPDATE users SET status = $2 WHERE id = $1", user_id, state)
    told = {}
    for name, email in (("free", free), ("taken", taken)):
        await attempt(proven, email, OTHER)
        while await proven.core.mail.deliver.answer_mail_request():
            pass
        hashes_of.clear()
        told[name] = [bare(await login(proven.client, email, password)) for password in (OTHER, WRONG)]
        told[name].append(len(hashes_of))
    assert told["free"] == told["taken"]
    assert [answer[0] for answer in told["free"][:2]] == [403, 401]
    assert told["free"][2] == 2  # one for each login, as for an address that nobody has


async def test_an_attempt_that_is_nobodys_or_another_addresss_verifies_nothing(proven):
    email, other = new_email(), new_email()
    await attempt(proven, email)
    await attempt(proven, other)
    ((foreign,),) = await proven.sql(
        "SELECT id FROM users WHERE status = 'pending' ORDER BY created_at DESC LIMIT 1"
    )
    for attempted in (foreign,):
        with pytest.raises(UserNotFound):
            await proven.core.accounts.verify_user(email=email, attempt=attempted)
    assert (await login(proven.client, email)).json()["code"] == "email_unverified"
    assert (await login(proven.client, other)).json()["code"] == "email_unverified"


async def test_of_two_verifications_at_once_one_wins_and_the_address_has_one_account(proven):
    for _ in range(5):
        email = new_email()
        await attempt(proven, email, PASSWORD)
        await attempt(proven, email, OTHER)
        with pytest.raises(SeveralAttempts) as refused:
            await proven.core.accounts.verify_user(email=email)
        rows = await proven.sql(
            "SELECT id FROM users WHERE id = ANY($1::text[]::uuid[])",
            attempts_of(refused.value),
        )
        outcomes = await asyncio.gather(
            *(proven.core.accounts.verify_user(email=email, attempt=row["id"]) for row in rows),
            return_exceptions=True,
        )
        won = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
        assert len(won) == 1, outcomes
        assert all(
            isinstance(outcome, EmailTaken | UserNotFound) for outcome in outcomes if outcome not in won
        )
        statuses = [
            (await login(proven.client, email, password)).status_code for password in (PASSWORD, OTHER)
        ]
        assert sorted(statuses) == [200, 401]


async def test_of_many_registrations_at_once_one_gets_the_address(service):
    email = new_email()
    answers = await asyncio.gather(*(attempt(service, email, f"{number} {PASSWORD}") for number in range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 201)
    assert (await login(service.client, email, f"{winner} {PASSWORD}")).status_code == 200
    for number in {*range(5)} - {winner}:
        assert (await login(service.client, email, f"{number} {PASSWORD}")).status_code == 401
