"""Applications over the API, with several workers over one database."""

import asyncio

import pytest

from keystead.applications import book as applications_book
from tests.contract.service import serving_over
from tests.support.applications import (
    APPLICATIONS,
    ask_to_sign_in,
    change,
    make,
    read,
    sign_in,
    sign_in_admin,
)
from tests.support.people import refresh, register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
PREFLIGHT = {"origin": "https://new.example", "access-control-request-method": "POST"}


@pytest.fixture
async def here(urls):
    async with serving_over(urls) as made:
        yield made


@pytest.fixture
async def there(urls, here):
    """Another worker, which looks at the table of itself only where a test lets it."""
    async with serving_over(urls) as made:
        yield made


@pytest.fixture
async def admin(here):
    return await sign_in_admin(here.client, here.core)


async def becomes_fresh(worker):
    """As in a worker's own loop: until it has read once more."""
    book = worker.core.applications.book
    before = book.records
    loop = asyncio.create_task(book.keep_fresh())
    try:
        async with asyncio.timeout(30):
            while book.records == before:
                await asyncio.sleep(0.01)
    finally:
        loop.cancel()


async def test_a_new_one_is_known_there_as_soon_as_somebody_names_it(here, there, admin):
    await make(here.client, admin)
    person = await register(there.client, client_id="shop")
    assert read(person.access_token)["aud"] == "https://shop.example"
    await change(here.client, admin, "shop", name="Shop")
    again = await refresh(here.client, person.refresh_token)
    assert again.status_code == 200


@pytest.mark.parametrize("ask", ["token", "refresh", "login"])
async def test_what_was_made_here_counts_there_at_once(here, there, admin, ask):
    await make(here.client, admin)
    person = await register(here.client, client_id="shop")
    match ask:
        case "token":
            answer = await there.client.get(ME, headers=person.bearer)
        case "refresh":
            answer = await refresh(there.client, person.refresh_token)
        case _:
            answer = await ask_to_sign_in(there.client, person.email, "shop")
    assert answer.status_code == 200, answer.text


async def test_a_change_holds_here_at_once_and_there_as_soon_as_it_looks(urls, here, admin, monkeypatch):
    monkeypatch.setattr(applications_book, "REFRESH_INTERVAL", applications_book.REFRESH_INTERVAL / 1000)
    async with serving_over(urls) as there:
        await make(here.client, admin)
        await becomes_fresh(there)
        person = await register(there.client, client_id="shop")
        changes = {"allowed_origins": ["https://new.example"], "mode": "cookie", "access_token_ttl_secs": 99}
        await change(here.client, admin, "shop", **changes)
        await becomes_fresh(there)
        for worker in (here, there):
            answer = await worker.client.options("/api/v1/auth/login", headers=PREFLIGHT)
            assert answer.headers["access-control-allow-origin"] == "https://new.example"
            assert answer.headers["access-control-allow-credentials"] == "true"
            signed_in = await ask_to_sign_in(worker.client, person.email, "shop")
            assert signed_in.headers["set-cookie"].startswith("__Host-keystead-shop=rt_")
            assert signed_in.json()["expires_in"] == 99


async def test_a_deleted_one_is_gone_here_at_once_and_there_as_soon_as_it_looks(
    urls, here, admin, monkeypatch
):
    monkeypatch.setattr(applications_book, "REFRESH_INTERVAL", applications_book.REFRESH_INTERVAL / 1000)
    async with serving_over(urls) as there:
        await make(here.client, admin, allowed_origins=["https://new.example"])
        await becomes_fresh(there)
        person = await register(there.client, client_id="shop")
        other = await sign_in(there.client, person.email)
        assert (await here.client.delete(f"{APPLICATIONS}/shop", headers=admin)).status_code == 204
        await becomes_fresh(there)
        for worker in (here, there):
            assert (await worker.client.get(ME, headers=person.bearer)).status_code == 401
            assert (await refresh(worker.client, person.refresh_token)).status_code == 401
            assert (await ask_to_sign_in(worker.client, person.email, "shop")).status_code == 422
            assert (await worker.client.options("/api/v1/auth/login", headers=PREFLIGHT)).status_code == 403
            assert (await worker.client.get(ME, headers=other.bearer)).status_code == 200
            again = await worker.client.post(APPLICATIONS, json={"client_id": "shop"}, headers=admin)
            assert (again.status_code, again.json()["code"]) == (409, "application_taken")


async def test_of_workers_that_make_the_same_one_does(here, there, admin):
    answers = await asyncio.gather(
        *(
            worker.client.post(APPLICATIONS, json={"client_id": "shop"}, headers=admin)
            for worker in (here, there) * 5
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


async def test_unknown_names_read_the_table_once_in_a_while_and_no_oftener(here, there, admin):
    readings = 0
    read_all = there.core.applications.book._copy._read

    async def count():
        nonlocal readings
        readings += 1
        await read_all()

    there.core.applications.book._copy._read = count
    person = await register(here.client)
    answers = await asyncio.gather(
        *(ask_to_sign_in(there.client, person.email, f"no-{n}") for n in range(50))
    )
    assert {answer.status_code for answer in answers} == {422}
    assert readings <= 2
