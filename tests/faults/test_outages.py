"""A part goes down: what still works, what is refused, and the way back, which nobody has to help with."""

import os
import signal
import time
from collections.abc import Awaitable, Callable

import anyio
import httpx2
import pytest

from keystead.kernel.migrate import migrate
from keystead.kernel.secrets import Secret
from tests.support import throwaway
from tests.support.databases import Urls
from tests.support.people import PASSWORD, new_email, refresh, register
from tests.support.server import serving_counted

pytestmark = [pytest.mark.anyio, pytest.mark.integration]


QUICK = {"AUTH__SIGNING_ALGORITHM": "ES256", "DATABASE__STATEMENT_TIMEOUT_SECS": "1"}


@pytest.fixture
def postgres():
    with throwaway.postgres(options={}) as server:  # what it acknowledged must survive its end
        yield server


@pytest.fixture
def valkey():
    with throwaway.valkey() as server:
        yield server


@pytest.fixture
async def outside(postgres, valkey):
    """A client of a real server, over the network, on servers that the test may break."""
    urls = Urls(postgres.owner_url, postgres.runtime_url)
    await migrate(Secret(urls.owner), runtime_url=Secret(urls.runtime))
    async with (
        serving_counted(urls, workers=1, REDIS__URL=valkey.url, **QUICK) as server,
        httpx2.AsyncClient(base_url=server.base_url, timeout=20) as client,
    ):
        yield client


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(20):
        while not await condition():
            await anyio.sleep(0.05)


async def status(client, path):
    return (await client.get(path)).status_code


async def readiness(client):
    answer = await client.get("/health/ready")
    return answer.json().get("status") if answer.status_code == 200 else answer.status_code


def calls(client, person):
    """Every kind of call that needs the database."""
    email, password = {"email": person.email}, {"password": PASSWORD}
    return {
        "register": lambda: client.post("/api/v1/auth/register", json={"email": new_email(), **password}),
        "login": lambda: client.post("/api/v1/auth/login", json=email | password),
        "refresh": lambda: refresh(client, person.refresh_token),
        "logout": lambda: client.post("/api/v1/auth/logout", headers=person.bearer),
        "logout with a refresh token": lambda: client.post(
            "/api/v1/auth/logout", json={"refresh_token": person.refresh_token}
        ),
        "logout everywhere": lambda: client.post("/api/v1/auth/logout-all", headers=person.bearer),
        "me": lambda: client.get("/api/v1/users/me", headers=person.bearer),
        "change": lambda: client.put("/api/v1/users/me", json={"full_name": "X"}, headers=person.bearer),
    }


@pytest.mark.parametrize("how", ["stopped", "killed", "frozen"])
async def test_without_postgresql_everything_is_refused_quickly_and_comes_back_by_itself(
    outside, postgres, how
):
    person = await register(outside)
    if how == "stopped":
        postgres.stop()
    elif how == "killed":
        os.kill(postgres.pid, signal.SIGKILL)
        await until(lambda: is_down(outside))  # its children notice a moment later
    else:
        freeze(postgres.pid, signal.SIGSTOP)
    for name, call in calls(outside, person).items():
        if how == "frozen" and name not in ("me", "refresh"):
            continue  # each waits for a timeout: two of them show it
        before = time.monotonic()
        answer = await call()
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), name
        assert answer.headers["retry-after"]
        assert time.monotonic() - before < 15
    assert await status(outside, "/health/live") == 200
    assert await status(outside, "/.well-known/jwks.json") == 200
    if how == "frozen":
        freeze(postgres.pid, signal.SIGCONT)
    elif how == "stopped":
        throwaway.start(postgres)
    else:

        async def restarted():
            postgres.poll()
            return await readiness(outside) == "ok"

        await until(restarted)

    async def works():
        return await status(outside, "/health/ready") == 200

    await until(works)
    assert (await outside.get("/api/v1/users/me", headers=person.bearer)).status_code == 200
    assert (await refresh(outside, person.refresh_token)).status_code == 200


async def test_without_valkey_everything_works_and_readiness_says_degraded(outside, valkey):
    person = await register(outside)
    assert await readiness(outside) == "ok"
    valkey.stop()
    await until(lambda: is_degraded(outside))
    renewed = (await refresh(outside, person.refresh_token)).json()
    bearer = {"authorization": f"Bearer {renewed['access_token']}"}
    assert (await outside.get("/api/v1/users/me", headers=bearer)).status_code == 200
    await register(outside)
    throwaway.start(valkey)

    async def is_whole():
        return await readiness(outside) == "ok"

    await until(is_whole)


async def test_a_frozen_valkey_costs_no_request_more_than_a_moment(outside, valkey):
    person = await register(outside)
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        await until(lambda: is_degraded(outside))
        assert (await outside.get("/api/v1/users/me", headers=person.bearer)).status_code == 200
    finally:
        os.kill(valkey.pid, signal.SIGCONT)


async def is_down(client):
    return await status(client, "/health/ready") == 503


async def is_degraded(client):
    return await readiness(client) == "degraded"


def freeze(postmaster: int, how: signal.Signals) -> None:
    """The server and every process of it."""
    for task in os.listdir(f"/proc/{postmaster}/task"):
        children = f"/proc/{postmaster}/task/{task}/children"
        with open(children, encoding="ascii") as listed:
            for child in listed.read().split():
                os.kill(int(child), how)
    os.kill(postmaster, how)
