"""Guessing: no number of tries at once, and no number of networks, gets more of them to the hash than the budget says;
and whoever knows the password, on a device that they have used before, gets in throughout."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from keystead.api.rest.catalogue import ROUTES
from keystead.kernel.caller import Operator, Origin
from keystead.kernel.ids import UserId
from keystead.limits.sources import GuessSources
from tests.support.people import PASSWORD, new_email, register

pytestmark = pytest.mark.anyio

LOGIN = "/api/v1/auth/login"
WRONG = "a wrong password of some length"


@pytest.fixture
def configured():
    return {"SERVER__TRUSTED_PROXIES": "127.0.0.0/8"}


@pytest.fixture
def hashed(core, monkeypatch):
    """Counts what reaches the hash."""
    counts = {"verify": 0}
    hasher = core.auth.login.hasher
    verify = type(hasher).verify

    async def counting(self, stored, password, **more):
        counts["verify"] += 1
        return await verify(self, stored, password, **more)

    monkeypatch.setattr(type(hasher), "verify", counting)
    return counts


async def try_login(client, email, password=WRONG, *, address="198.51.100.1", device=None):
    headers = {"x-forwarded-for": address}
    if device is not None:
        headers["x-device-token"] = device
    return await client.post(LOGIN, json={"email": email, "password": password}, headers=headers)


async def test_cve_class_47_of_many_wrong_guesses_at_once_no_more_reach_the_hash_than_the_budget(
    client, hashed
):
    email = (await register(client)).email
    answers = await asyncio.gather(*(try_login(client, email) for _ in range(90)))
    assert sorted({answer.status_code for answer in answers}) == [401, 429]
    assert hashed["verify"] == 5
    assert sum(answer.status_code == 401 for answer in answers) == 5


async def test_cve_class_48_fifty_right_passwords_at_once_all_sign_in(client):
    email = (await register(client)).email
    answers = await asyncio.gather(*(try_login(client, email, PASSWORD) for _ in range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50


class TestWithLittleRoomForHashing:
    @pytest.fixture
    def configured(self, configured):
        return configured | {"AUTH__ARGON2__MEMORY_KIB": "16384", "AUTH__LONGEST_HASH_WAIT_MS": "300"}

    async def test_those_who_stand_in_line_take_no_room_from_anybody(self, client):
        email, stranger = (await register(client)).email, (await register(client)).email
        line = asyncio.gather(*(try_login(client, email, PASSWORD) for _ in range(70)))
        answers = [await try_login(client, stranger, PASSWORD, address="198.51.100.2"), *await line]
        assert [answer.status_code for answer in answers] == [200] * 71


async def test_asvs_v5_6_3_1_whatever_the_number_of_networks_a_hundred_guesses_reach_the_hash(
    client, hashed, clock
):
    email = (await register(client)).email
    device = (await try_login(client, email, PASSWORD)).headers["x-device-token"]
    before = hashed["verify"]
    for n in range(150):
        await try_login(client, email, address=f"198.51.{n}.1")
    assert hashed["verify"] - before == 100
    refused = await try_login(client, email, PASSWORD, address="192.0.2.1")
    assert refused.status_code == 429
    assert refused.json()["code"] == "too_many_attempts"
    assert (await try_login(client, email, PASSWORD, address="192.0.2.1", device=device)).status_code == 200
    await clock.advance(timedelta(minutes=15))
    assert (await try_login(client, email, PASSWORD, address="192.0.2.1")).status_code == 200


async def test_cve_class_54_nobody_uses_up_the_budget_of_a_device_that_is_known(client):
    email = (await register(client)).email
    device = (await try_login(client, email, PASSWORD)).headers["x-device-token"]
    for n in range(120):
        await try_login(client, email, address=f"198.51.{n}.1")
        if n % 40 == 0:
            answer = await try_login(client, email, PASSWORD, address=f"198.51.{n}.1", device=device)
            assert answer.status_code == 200
    # Its own wrong guesses count, for itself.
    for _ in range(5):
        assert (await try_login(client, email, device=device)).status_code == 401
    assert (await try_login(client, email, PASSWORD, device=device)).status_code == 429


async def test_a_device_token_of_another_account_or_of_nobody_is_none(client):
    email, stranger = (await register(client)).email, (await register(client)).email
    device = (await try_login(client, stranger, PASSWORD)).headers["x-device-token"]
    for _ in range(5):
        await try_login(client, email)
    for token in (device, device[:-1] + ("A" if device[-1] != "A" else "B"), "dt_", "x" * 4000):
        assert (await try_login(client, email, PASSWORD, device=token)).status_code == 429


async def test_the_delay_grows_with_each_wrong_guess_and_ends_by_itself(client, clock):
    email = (await register(client)).email
    for _ in range(5):
        assert (await try_login(client, email)).status_code == 401
    delays = []
    for _ in range(8):
        refused = await try_login(client, email, PASSWORD)
        assert refused.status_code == 429
        delays.append(int(refused.headers["retry-after"]))
        await clock.advance(timedelta(seconds=delays[-1]))
        assert (await try_login(client, email)).status_code == 401
    assert delays[:5] == [30, 60, 120, 240, 480]
    assert delays[5:] == [900, 900, 900]
    await clock.advance(timedelta(minutes=15))
    assert (await try_login(client, email, PASSWORD)).status_code == 200


async def test_another_network_is_not_held_to_what_the_first_did(client):
    email = (await register(client)).email
    for _ in range(7):
        await try_login(client, email)
    assert (await try_login(client, email, PASSWORD, address="192.0.2.7")).status_code == 200


async def test_a_right_password_begins_the_count_anew(client):
    email = (await register(client)).email
    for _ in range(3):
        for _ in range(4):
            assert (await try_login(client, email)).status_code == 401
        assert (await try_login(client, email, PASSWORD)).status_code == 200


async def test_asvs_v5_6_3_8_an_address_that_nobody_has_is_counted_and_refused_alike(client, hashed):
    known = (await register(client)).email
    told = []
    for n, email in enumerate((known, new_email())):
        answers = [await try_login(client, email, address=f"203.0.113.{n}") for _ in range(7)]
        told.append(
            [
                (answer.status_code, answer.json()["code"], answer.headers.get("retry-after"))
                for answer in answers
            ]
        )
    assert told[0] == told[1]
    assert hashed["verify"] == 10


async def test_cve_class_51_every_spelling_of_an_address_shares_one_count(client):
    email = (await register(client)).email
    for spelling in (
        email,
        email.upper(),
        email.title(),
        email.swapcase(),
        email.replace("example", "EXAMPLE"),
    ):
        await try_login(client, spelling)
    assert (await try_login(client, email, PASSWORD)).status_code == 429


async def test_cve_class_52_addresses_of_one_ipv6_network_share_one_count(client):
    email = (await register(client)).email
    for n in range(5):
        await try_login(client, email, address=f"2001:db8:1:2::{n}")
    assert (await try_login(client, email, PASSWORD, address="2001:db8:1:2:ffff::1")).status_code == 429
    assert (await try_login(client, email, PASSWORD, address="2001:db8:1:3::1")).status_code == 200


async def test_cve_class_50_what_was_counted_is_committed_before_the_answer(client, db):
    email = (await register(client)).email
    assert (await try_login(client, email)).status_code == 401
    rows = await db.fetch("SELECT failures, under_way FROM guesses ORDER BY source")
    assert [tuple(row) for row in rows] == [(1, 0), (1, 0)]
    events = await db.fetch("SELECT event FROM audit_events WHERE event LIKE 'login.%'")
    assert [row[0] for row in events] == ["login.failed"]


async def test_a_guess_whose_process_died_counts_as_failed_once_its_time_is_up(client, core, clock):
    email = (await register(client)).email
    login = core.auth.login
    account = login.vault.index(email, purpose="email_index")
    abandoned = []
    for _ in range(5):
        guess = login.sources.of_login(account, address="198.51.100.1", device_token=None)
        abandoned.append(login.guesses.attempt(guess))
        await abandoned[-1].__aenter__()  # and never left
    await clock.advance(timedelta(seconds=61))
    login.guesses._lines.clear()  # as in the process that comes after it
    assert (await try_login(client, email)).status_code == 401
    assert (await try_login(client, email, PASSWORD)).status_code == 429
    for each in abandoned:  # or they would be left when there is no database any more
        await each.__aexit__(None, None, None)


async def test_the_owner_is_told_once_and_the_link_lets_them_in(client, core, db, clock):
    email = (await register(client)).email
    for n in range(130):
        await try_login(client, email, address=f"198.51.{n}.1")
    while await core.mail.deliver():
        pass
    mails = [mail for row, mail in await core.mail.read(limit=200) if row.kind == "login_blocked"]
    assert len(mails) == 1
    token = mails[0].words.text.split("/unlock/")[1].split()[0]
    assert (await try_login(client, email, PASSWORD, address="192.0.2.1")).status_code == 429
    assert (await client.post("/api/v1/auth/unlock", json={"token": token})).status_code == 204
    assert (await try_login(client, email, PASSWORD, address="192.0.2.1")).status_code == 200
    events = [row[0] for row in await db.fetch("SELECT event FROM audit_events ORDER BY id")]
    assert events.count("login.blocked") == 1
    assert events.count("login.unblocked") == 1


async def test_an_administrator_lets_the_owner_in(client, core):
    person = await register(client)
    for _ in range(6):
        await try_login(client, person.email)
    assert (await try_login(client, person.email, PASSWORD)).status_code == 429
    await core.accounts.unlock(Operator(), UserId(UUID(person.id)))
    assert (await try_login(client, person.email, PASSWORD)).status_code == 200


class TestManyAtOnce:
    @pytest.fixture
    def configured(self, configured):
        return configured | {"AUTH__MAX_ACCOUNT_ATTEMPTS": "20", "AUTH__LONGEST_HASH_WAIT_MS": "10000"}

    async def test_cve_class_47_of_one_guess_from_each_of_many_networks_no_more_are_hashed_than_the_account_has(
        self, client, hashed
    ):
        email = (await register(client)).email
        answers = await asyncio.gather(
            *(try_login(client, email, address=f"198.51.{n}.1") for n in range(60))
        )
        assert hashed["verify"] == 20
        assert sorted(answer.status_code for answer in answers) == [401] * 20 + [429] * 40


class TestUnderPci:
    @pytest.fixture
    def configured(self, configured):
        return configured | {"AUTH__PASSWORD__PROFILE": "pci", "AUTH__PASSWORD__MIN_LENGTH": "12"}

    async def test_pci_8_3_4_after_ten_attempts_an_account_is_closed_for_half_an_hour(
        self, client, hashed, clock
    ):
        password = PASSWORD + " 2 go"
        email = (await register(client, password=password)).email
        for n in range(12):
            await try_login(client, email, address=f"198.51.{n}.1")
        assert hashed["verify"] == 10
        await clock.advance(timedelta(minutes=30, seconds=-1))
        assert (await try_login(client, email, password)).status_code == 429
        await clock.advance(timedelta(seconds=1))
        assert (await try_login(client, email, password)).status_code == 200

    async def test_pci_8_3_4_a_known_device_is_closed_for_half_an_hour_too(self, client, clock):
        password = PASSWORD + " 2 go"
        email = (await register(client, password=password)).email
        device = (await try_login(client, email, password)).headers["x-device-token"]
        answers = [await try_login(client, email, device=device) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 6
        await clock.advance(timedelta(minutes=30, seconds=-1))
        assert (await try_login(client, email, password, device=device)).status_code == 429
        await clock.advance(timedelta(seconds=1))
        assert (await try_login(client, email, password, device=device)).status_code == 200


WAYS = {
    "POST /api/v1/auth/login": lambda person, password: {"email": person.email, "password": password},
    "POST /api/v1/auth/reauthenticate": lambda _, password: {"password": password},
    "PUT /api/v1/users/me/password": lambda _, password: {
        "current_password": password,
        "new_password": PASSWORD + "x",
    },
    "PUT /api/v1/users/me/email": lambda _, password: {"current_password": password, "email": new_email()},
}
# These set a password, and ask for none.
SETTING = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/password/reset",
    "POST /api/v1/auth/invitation/accept",
    "POST /reset/{token}",
    "POST /invitation/{token}",
    "POST /api/v1/users",
}


def test_cve_class_49_no_route_but_these_takes_a_password():
    taking = {
        f"{route.method} {route.path}"
        for route in ROUTES
        if route.body is not None and {"password", "current_password"} & set(route.body.__struct_fields__)
    }
    assert taking == set(WAYS) | SETTING


@pytest.mark.parametrize("way", WAYS)
async def test_cve_class_49_every_way_that_takes_a_password_stops_at_the_budget(client, way, hashed):
    person = await register(client)
    method, path = way.split()
    answers = [
        await client.request(method, path, json=WAYS[way](person, password), headers=person.bearer)
        for password in [WRONG] * 7 + [PASSWORD]
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert {answer.json()["code"] for answer in answers[5:]} == {"too_many_attempts"}
    assert hashed["verify"] == 5
    # Whoever has a session and guesses keeps its owner from nothing, and the other way round.
    answer = await try_login(client, person.email, PASSWORD, address="192.0.2.1")
    assert answer.status_code == 200


async def test_a_device_token_ends_after_a_year(vault, clock):
    sources = GuessSources(vault, clock)
    account = vault.index("jane@example.com", purpose="email_index")
    token = sources.device_token(account, None).reveal()
    origin = Origin("198.51.100.1", "")
    assert sources.of_login(account, address=origin.address, device_token=token).is_known
    renewed = sources.device_token(account, token).reveal()
    first, second = (
        sources.of_login(account, address=origin.address, device_token=each) for each in (token, renewed)
    )
    assert first.source == second.source
    await clock.advance(timedelta(days=366))
    assert not sources.of_login(account, address=origin.address, device_token=token).is_known
