"""`keystead dev`, as it is typed."""

import asyncio
import json
import os

import jwt as pyjwt
import pytest

from keystead.accounts.develop import SEED_PASSWORD
from keystead.kernel.caller import Permission
from keystead.wiring import open_core
from tests.cli.conftest import invoke
from tests.conftest import settings_for
from tests.support import throwaway

pytestmark = pytest.mark.anyio

PRODUCTION = {
    "APP_ENV": "production",
    "APP_SERVER__PUBLIC_URL": "https://id.example",
    "APP_AUTH__ARGON2__MEMORY_KIB": "19456",
    "APP_AUTH__ARGON2__ITERATIONS": "2",
    "APP_AUTH__JWT_SECRET": "Vq8eH2mZ0sKx7LwT4nRb9uYc3GjPdAf6",
}


def claims_of(token):
    return pyjwt.decode(token.strip(), options={"verify_signature": False})


async def me(client, token):
    return await client.get("/api/v1/users/me", headers={"authorization": f"Bearer {token}"})


@pytest.fixture
def name(urls):
    return urls.runtime.partition("?")[0].rpartition("/")[2]


class TestToken:
    async def test_it_is_one_that_a_server_takes_and_nothing_else_is_printed(self, keystead, client):
        done = await keystead("dev", "token", "--user", "dev@example.com")
        assert done.returncode == 0, done.stderr
        token = done.stdout.removesuffix("\n")
        answer = await me(client, token)
        assert (answer.status_code, answer.json()["email"]) == (200, "dev@example.com")
        assert claims_of(token)["amr"] == ["dev"]

    async def test_the_person_has_just_the_roles_that_were_named(self, keystead, core):
        for roles in (["admin", "user"], ["user"]):
            named = [part for role in roles for part in ("--role", role)]
            token = (await keystead("dev", "token", "--user", "dev@example.com", *named)).stdout.strip()
            assert claims_of(token)["roles"] == roles
            caller = (await core.auth.identify(token)).caller
            assert caller.may(Permission.ROLES_WRITE) is ("admin" in roles)
            if "admin" in roles:  # the last administrator stays one
                await keystead("dev", "token", "--user", "other@example.com", *named)

    async def test_whoever_is_there_keeps_their_roles_and_may_be_named_by_id(self, keystead, client):
        first = claims_of(
            (await keystead("dev", "token", "--user", "dev@example.com", "--role", "admin")).stdout.strip()
        )
        pair = json.loads((await keystead("dev", "token", "--user", first["sub"], "--json")).stdout)
        again = claims_of(pair["access_token"])
        assert (again["sub"], again["roles"]) == (first["sub"], ["admin"])
        assert again["sid"] == pair["session_id"] != first["sid"]
        body = {"refresh_token": pair["refresh_token"]}
        assert (await client.post("/api/v1/auth/refresh", json=body)).status_code == 200

    async def test_an_application_is_named(self, keystead):
        shop = {"APP_APPLICATIONS__SHOP__AUDIENCE": "https://shop.example"}
        done = await keystead("dev", "token", "--user", "a@example.com", "--client-id", "shop", **shop)
        claims = claims_of(done.stdout.strip())
        assert (claims["aud"], claims["client_id"]) == ("https://shop.example", "shop")

    async def test_two_at_once_make_one_person(self, core):
        sign_in = core.development.sign_in_as
        pairs = await asyncio.gather(*(sign_in("both@example.com") for _ in range(4)))
        assert len({claims_of(pair.access_token.reveal())["sub"] for pair in pairs}) == 1

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("--user", "nonsense"), "no usable e-mail address"),
            (("--user", "00000000-0000-4000-8000-000000000000"), "no such user"),
            (("--user", "a@example.com", "--role", "nobody"), "roles: "),
            (("--user", "a@example.com", "--client-id", "nobody"), "client_id: "),
        ],
    )
    async def test_a_mistake_is_named(self, keystead, arguments, word):
        done = await keystead("dev", "token", *arguments)
        assert (done.returncode, done.stdout, word in done.stderr) == (1, "", True)

    async def test_somebody_disabled_gets_none(self, keystead):
        await keystead("dev", "seed", "--users", "20")
        done = await keystead("dev", "token", "--user", "person-19@seed.example")
        assert (done.returncode, "account_status: disabled" in done.stderr) == (1, True)


class TestSeed:
    async def test_everybody_is_there_once(self, keystead):
        for users, added in ((30, 30), (30, 0), (32, 2)):
            done = await keystead("dev", "seed", "--users", users)
            assert done.returncode == 0, done.stderr
            assert f"added {added} of {users} people" in done.stdout
            assert SEED_PASSWORD in done.stdout

    async def test_there_is_some_of_each(self, keystead, client):
        await keystead("dev", "seed", "--users", "60")
        token = (await keystead("dev", "token", "--user", "admin@seed.example")).stdout.strip()
        for query, count in (("role=admin", 1), ("role=support", 3), ("status=disabled", 3)):
            found = await client.get(
                f"/api/v1/users?limit=100&{query}", headers={"authorization": f"Bearer {token}"}
            )
            assert len(found.json()["items"]) == count, query

    async def test_a_made_up_person_signs_in_with_the_password_that_was_printed(self, keystead, client):
        await keystead("dev", "seed", "--users", "2")
        body = {"email": "person-1@seed.example", "password": SEED_PASSWORD}
        assert (await client.post("/api/v1/auth/login", json=body)).status_code == 200


class TestReset:
    async def test_everybody_goes_and_a_server_that_runs_goes_on(self, keystead, client, name):
        await keystead("dev", "seed", "--users", "10")
        old = (await keystead("dev", "token", "--user", "admin@seed.example")).stdout.strip()
        headers = {"authorization": f"Bearer {old}"}
        made = await client.post(
            "/api/v1/roles", json={"name": "own", "permissions": ["users:read"]}, headers=headers
        )
        assert made.status_code == 201, made.text
        done = await keystead("dev", "reset", "--external", name, "--yes")
        assert done.returncode == 0, done.stderr
        assert "deleted 10 accounts" in done.stdout
        assert (await me(client, old)).status_code == 401
        new = (await keystead("dev", "token", "--user", "a@example.com", "--role", "admin")).stdout.strip()
        headers = {"authorization": f"Bearer {new}"}
        users = (await client.get("/api/v1/users", headers=headers)).json()["items"]
        assert [each["email"] for each in users] == ["a@example.com"]
        roles = (await client.get("/api/v1/roles", headers=headers)).json()["items"]
        assert [each["name"] for each in roles] == ["admin", "user"]

    async def test_nothing_of_anybody_is_left_in_any_table(self, keystead, client, db, name):
        await client.post("/api/v1/auth/register", json={"email": "b@example.com", "password": SEED_PASSWORD})
        await keystead("dev", "seed", "--users", "10")
        await keystead("dev", "reset", "--external", name, "--yes")
        tables = await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        counts = {}
        for (table,) in tables:
            row = await db.fetch_row(f'SELECT count(*) FROM "{table}"')
            counts[table] = row[0]
        full = {table for table, count in counts.items() if count}
        assert full == {
            "authorization_state",
            "installation",
            "networks_version",
            "roles",
            "schema_migrations",
            "signing_keys",
            "vault_keys",
        }

    async def test_it_asks_first(self, keystead, name, client):
        await keystead("dev", "seed", "--users", "3")
        for answer in ("n\n", ""):
            refused = await keystead("dev", "reset", "--external", name, said=answer)
            assert refused.returncode == 1
            assert "Delete 3 accounts" in refused.stderr
        done = await keystead("dev", "reset", "--external", name, said="y\n")
        assert "deleted 3 accounts" in done.stdout

    async def test_a_database_that_is_not_embedded_is_named(self, keystead, name):
        for more in ((), ("--external", "another"), ("--external", "")):
            done = await keystead("dev", "reset", "--yes", *more)
            assert (done.returncode, f"add --external {name}" in done.stderr) == (2, True)

    async def test_only_the_owner_empties_tables(self, keystead, name, urls):
        not_owner = {"APP_DATABASE__MIGRATION_URL": urls.runtime}
        done = await keystead("dev", "reset", "--yes", "--external", name, **not_owner)
        assert (done.returncode, "MIGRATION_URL" in done.stderr) == (2, True)


class TestWithoutAServer:
    """Over the embedded servers, which run for as long as a command."""

    @pytest.fixture
    def keystead(self):
        environ = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
        quick = {"APP_AUTH__RSA_BITS": "2048", "APP_AUTH__ARGON2__MEMORY_KIB": "8", "APP_ENV": "test"}
        with throwaway.reachable_folder() as folder:
            yield lambda *arguments, **more: invoke(arguments, "", environ | quick | more, folder)

    def test_a_token_is_the_first_thing_that_is_asked_for_and_a_reset_begins_anew(self, keystead):
        nothing = keystead("dev", "reset", "--yes")
        assert (nothing.returncode, "There is nothing in" in nothing.stdout) == (0, True)
        first = keystead("dev", "token", "--user", "a@example.com")
        assert first.returncode == 0, first.stderr
        named = keystead("dev", "reset", "--yes", "--external", "keystead")
        assert (named.returncode, "leave --external out" in named.stderr) == (2, True)
        assert "deleted 1 account and" in keystead("dev", "reset", "--yes").stdout
        second = keystead("dev", "token", "--user", "a@example.com")
        assert claims_of(second.stdout)["sub"] != claims_of(first.stdout)["sub"]

    def test_a_command_says_that_the_schema_is_behind_where_it_may_not_migrate(self, keystead):
        done = keystead("users", "verify", "a@example.com", APP_DATABASE__MIGRATE_ON_START="false")
        assert (done.returncode, "run `keystead migrate`" in done.stderr) == (2, True)


async def test_production_knows_none_of_it(keystead):
    for arguments in (("token", "--user", "a@example.com"), ("seed",), ("reset", "--yes")):
        done = await keystead("dev", *arguments, **PRODUCTION)
        assert done.returncode == 2, done.stderr
        assert "not for production" in done.stderr


async def test_production_wires_no_way_around_a_proof(urls):
    given = {name.removeprefix("APP_"): value for name, value in PRODUCTION.items() if "SECRET" not in name}
    async with open_core(settings_for(urls, **given)) as running:
        assert running.core.development is None
