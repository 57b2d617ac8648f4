"""Health: each part asked, and the one word that follows."""

import asyncpg
import pytest

from keystead import __version__
from keystead.kernel.caller import PermissionMissing
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.support import throwaway
from tests.support.people import PASSWORD, make_user, new_email, register

pytestmark = pytest.mark.anyio


@pytest.fixture
def valkey():
    with throwaway.valkey() as server:
        yield server


class TestWithEverything:
    @pytest.fixture
    async def running(self, valkey, urls, clock):
        async with open_core(settings_for(urls, redis_url=valkey.url), clock=clock) as opened:
            yield opened

    async def test_the_report_names_every_part_with_its_version(self, client, core):
        email = new_email()
        await make_user(core, email, is_admin=True)
        login = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        bearer = {"authorization": f"Bearer {login.json()['access_token']}"}
        report = (await client.get("/health", headers=bearer)).json()
        assert (report["status"], report["version"]) == ("ok", __version__)
        assert report["parts"].keys() == {"postgresql", "redis", "keys"}
        assert report["parts"]["postgresql"]["version"][:2].isdigit()
        assert report["parts"]["redis"]["version"].count(".") == 2
        assert all(part["status"] == "ok" for part in report["parts"].values())


async def test_without_redis_it_is_degraded_and_ready(client):
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded"})


async def test_a_schema_that_is_behind_is_not_ready(client, urls):
    owner = await asyncpg.connect(urls.owner)
    await owner.execute("DELETE FROM schema_migrations WHERE version > 1")
    await owner.close()
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "down")


async def test_without_a_signing_key_it_is_not_ready(client, db, running):
    await db.execute("UPDATE signing_keys SET revoked_at = keystead_now()")
    await running.keyring.refresh()
    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health/live")).status_code == 200


async def test_the_verb_itself_asks_for_the_permission(client, core):
    person = await register(client)
    identity = await core.auth.identify(person.access_token)
    with pytest.raises(PermissionMissing):
        await core.operations.read_health(identity.caller)
