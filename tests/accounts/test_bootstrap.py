"""The first administrator, and one who lost the way in: what an operator's commands make of an address."""

import asyncio

import pytest

from keystead.accounts.bootstrap import Outcome
from keystead.accounts.set_status import StatusMismatch
from keystead.kernel.application import LinkTo
from keystead.kernel.errors import InvalidInput
from keystead.users.types import UserNotFound
from tests.contract.answers import check_problem
from tests.contract.service import login, serving
from tests.support.holders import Trail
from tests.support.people import PASSWORD, make_user, new_email, register
from tests.support.tables import contents

pytestmark = pytest.mark.anyio

NEW = "four tall silent lighthouses"


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made


async def bootstrap(service, email, password=PASSWORD):
    return await service.core.accounts.bootstrap(email=email, password=password)


async def recover(service, email, *, make_admin=False):
    """The token in the link that the operator is shown."""
    ticket_id = await service.core.accounts.recover(email=email, make_admin=make_admin)
    return service.core.accounts.spell_link(LinkTo.RESET, ticket_id).rpartition("/")[2]


async def accounts_of(service, email):
    index = service.core.accounts.bootstrap.vault.index(email, purpose="email_index")
    rows = await service.sql(
        """SELECT u.id, u.status, u.password_hash,
                  ARRAY(SELECT role FROM user_roles r WHERE r.user_id = u.id ORDER BY role) AS roles
             FROM users u WHERE email_index = $1 ORDER BY created_at""",
        index,
    )
    return [dict(row) for row in rows]


async def test_of_many_runs_at_once_one_makes_the_administrator(service):
    email = new_email()
    trail = await Trail.from_now(service)
    outcomes = await asyncio.gather(*(bootstrap(service, email) for _ in range(10)))
    assert sorted(outcomes) == [Outcome.CREATED] + [Outcome.UNCHANGED] * 9
    [account] = await accounts_of(service, email)
    assert (account["status"], account["roles"]) == ("active", ["admin", "user"])
    assert (await login(service.client, email)).status_code == 200
    names = await trail.names()
    assert [names.count(name) for name in ("user.created", "role.granted")] == [1, 2]


async def test_run_again_it_changes_nothing_and_the_password_least_of_all(service):
    email = new_email()
    assert await bootstrap(service, email) is Outcome.CREATED
    before = await contents(service.urls)
    for password in (NEW, PASSWORD, "short"):
        assert await bootstrap(service, email.upper(), password) is Outcome.UNCHANGED
    assert await contents(service.urls) == before
    assert (await login(service.client, email)).status_code == 200
    check_problem(await login(service.client, email, NEW), 401, "invalid_credentials")


async def test_somebody_who_is_there_is_promoted_once_and_keeps_password_and_sessions(service):
    person = await register(service.client)
    trail = await Trail.from_now(service)
    outcomes = await asyncio.gather(*(bootstrap(service, person.email, NEW) for _ in range(10)))
    assert sorted(outcomes) == sorted([Outcome.PROMOTED] + [Outcome.UNCHANGED] * 9)
    assert await trail.events() == [("role.granted", None, person.id)]
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 200
    assert (await login(service.client, person.email)).status_code == 200
    check_problem(await login(service.client, person.email, NEW), 401, "invalid_credentials")


async def test_an_attempt_to_register_the_address_is_nobody_and_never_promoted(service):
    email = new_email()
    attempt = await make_user(service.core, email, password="the password of an attacker")
    await service.sql("UPDATE users SET status = 'pending' WHERE id = $1", attempt)
    assert await bootstrap(service, email) is Outcome.CREATED
    [first, account] = await accounts_of(service, email)
    assert (first["status"], first["roles"]) == ("pending", ["user"])
    assert (account["status"], account["roles"]) == ("active", ["admin", "user"])
    assert (await login(service.client, email)).status_code == 200
    refused = await login(service.client, email, "the password of an attacker")
    check_problem(
        refused, 403, "email_unverified"
    )  # as at a free address: it opens nothing, and tells nothing


@pytest.mark.parametrize("status", ["disabled", "locked"])
async def test_a_closed_account_is_not_promoted_behind_somebodys_back(service, status):
    email = new_email()
    user_id = await make_user(service.core, email)
    await service.sql("UPDATE users SET status = $2 WHERE id = $1", user_id, status)
    before = await contents(service.urls)
    with pytest.raises(StatusMismatch) as refusal:
        await bootstrap(service, email)
    assert refusal.value.detail == {"account_status": status}
    assert await contents(service.urls) == before


@pytest.mark.parametrize(
    ("email", "password"), [("no address", PASSWORD), (None, "short"), (None, "x" * 2000)]
)
async def test_what_cannot_be_an_administrator_is_refused_and_leaves_nothing(service, email, password):
    before = await contents(service.urls)
    with pytest.raises(InvalidInput):
        await bootstrap(service, email or new_email(), password)
    assert await contents(service.urls) == before


@pytest.mark.parametrize("status", ["active", "disabled", "locked"])
async def test_recover_opens_whatever_was_closed_with_a_link_that_works_once(service, status):
    email = new_email()
    user_id = await make_user(service.core, email, is_admin=True)
    await service.sql("UPDATE users SET status = $2 WHERE id = $1", user_id, status)
    trail = await Trail.from_now(service)
    token = await recover(service, email)
    opened = [] if status == "active" else [("user.enabled", None, str(user_id))]
    assert await trail.events() == [*opened, ("recovery.requested", None, str(user_id))]
    for wanted in (204, 401):
        body = {"token": token, "password": NEW}
        answer = await service.client.post("/api/v1/auth/password/reset", json=body)
        assert answer.status_code == wanted
    assert (await login(service.client, email, NEW)).status_code == 200
    check_problem(await login(service.client, email), 401, "invalid_credentials")


async def test_recover_makes_an_administrator_where_that_is_asked_for_and_never_of_nobody(service):
    person = await register(service.client)
    await recover(service, person.email)
    assert (await accounts_of(service, person.email))[0]["roles"] == ["user"]
    for _ in range(2):
        await recover(service, person.email, make_admin=True)
    assert (await accounts_of(service, person.email))[0]["roles"] == ["admin", "user"]
    attempt = new_email()
    await service.sql(
        "UPDATE users SET status = 'pending' WHERE id = $1", await make_user(service.core, attempt)
    )
    before = await contents(service.urls)
    for nobody in (attempt, new_email()):
        with pytest.raises(UserNotFound):
            await recover(service, nobody, make_admin=True)
    assert await contents(service.urls) == before
