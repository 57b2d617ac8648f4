"""`keystead service-accounts` and `keystead dev`, as they are typed."""

import json

import jwt as pyjwt
import pytest

from keystead.accounts.develop import SEED_PASSWORD
from keystead.kernel.caller import Permission
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.support.assertions import private_key

pytestmark = pytest.mark.anyio


async def test_a_credential_for_a_program_from_its_first_secret_to_its_end(keystead):
    made = await keystead("service-accounts", "create", "ci", "--role", "user", "--ttl", "30d", "--json")
    assert made.returncode == 0, made.stderr
    shown = json.loads(made.stdout)
    assert shown["client_secret"].startswith("ks_sk_")
    again = await keystead("service-accounts", "create", "ci")
    assert (again.returncode, "exists" in again.stderr) == (1, True)
    added = await keystead("service-accounts", "add-key", "ci")
    assert "client_secret=ks_sk_" in added.stdout
    assert "this once" in added.stderr
    listed = (await keystead("service-accounts", "list")).stdout
    assert listed.count("secret …") == 2
    assert "roles=user" in listed
    assert (await keystead("service-accounts", "revoke-key", shown["key_id"])).returncode == 0
    assert (await keystead("service-accounts", "disable", "ci")).stdout == "disabled ci\n"
    assert "disabled" in (await keystead("service-accounts", "list")).stdout
    assert (await keystead("service-accounts", "delete", "ci")).returncode == 0
    gone = await keystead("service-accounts", "delete", "ci")
    assert (gone.returncode, "no such service account" in gone.stderr) == (1, True)


async def test_a_program_that_signs_for_itself_is_given_no_secret(keystead, tmp_path):
    private, public = private_key()
    (tmp_path / "public.pem").write_text(public)
    (tmp_path / "private.pem").write_bytes(private)
    create = ("service-accounts", "create", "robot", "--public-key")
    refused = await keystead(*create, str(tmp_path / "private.pem"))
    assert (refused.returncode, "keep it to yourself" in refused.stderr) == (1, True)
    made = await keystead(*create, str(tmp_path / "public.pem"), "--json")
    assert json.loads(made.stdout).keys() == {"client_id", "key_id"}
    assert "this once" not in made.stderr
    assert "  ES256  " in (await keystead("service-accounts", "list")).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("create", "CI"), 1, "name: "),
        (("create", "ci", "--ttl", "forever"), 2, "90d"),
        (("create", "ci", "--ttl", "500d"), 1, "ttl_days: "),
        (("create", "ci", "--role", "nobody"), 1, "roles: "),
        (("create", "ci", "--scope", "all"), 1, "scopes: "),
        (("add-key", "nobody"), 1, "no such service account"),
        (("add-key", "nobody", "--public-key", "missing.pem"), 2, "cannot be read"),
    ],
)
async def test_a_mistake_is_named_with_its_mend(keystead, arguments, code, word):
    done = await keystead("service-accounts", *arguments)
    assert done.returncode == code, done.stderr
    assert word in done.stderr


async def test_a_token_for_development_is_one_that_keystead_takes(keystead, urls):
    done = await keystead("dev", "token", "--user", "dev@example.com", "--role", "admin", "--role", "user")
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip()
    claims = pyjwt.decode(token, options={"verify_signature": False})
    assert (claims["roles"], claims["amr"]) == (["admin", "user"], ["dev"])
    async with open_core(settings_for(urls)) as running:
        identity = await running.core.auth.identify(token)
        assert str(identity.caller.user_id) == claims["sub"]
        assert identity.caller.may(Permission.ROLES_WRITE)
    again = await keystead("dev", "token", "--user", "dev@example.com", "--json")
    assert (
        pyjwt.decode(json.loads(again.stdout)["access_token"], options={"verify_signature": False})["sub"]
        == claims["sub"]
    )


async def test_made_up_people_are_there_once(keystead, urls):
    for added in (30, 0):
        done = await keystead("dev", "seed", "--users", "30")
        assert done.returncode == 0, done.stderr
        assert f"added {added} of 30 people" in done.stdout
        assert SEED_PASSWORD in done.stdout


async def test_production_knows_none_of_it(keystead):
    production = {
        "APP_ENV": "production",
        "APP_SERVER__PUBLIC_URL": "https://id.example",
        "APP_AUTH__ARGON2__MEMORY_KIB": "19456",
        "APP_AUTH__ARGON2__ITERATIONS": "2",
        "APP_AUTH__JWT_SECRET": "Vq8eH2mZ0sKx7LwT4nRb9uYc3GjPdAf6",
    }
    for arguments in (("token", "--user", "a@example.com"), ("seed",), ("reset", "--yes")):
        done = await keystead("dev", *arguments, **production)
        assert done.returncode == 2, done.stderr
        assert "not for production" in done.stderr


async def test_only_the_embedded_database_is_emptied(keystead):
    done = await keystead("dev", "reset", "--yes")
    assert (done.returncode, "not the embedded one" in done.stderr) == (2, True)


async def test_production_wires_no_way_around_a_proof(urls):
    settings = settings_for(
        urls,
        ENV="production",
        SERVER__PUBLIC_URL="https://id.example",
        AUTH__ARGON2__MEMORY_KIB="19456",
        AUTH__ARGON2__ITERATIONS="2",
    )
    async with open_core(settings) as running:
        assert running.core.development is None
