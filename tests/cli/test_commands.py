"""The commands, as an operator types them."""

import re

import pytest

from tests.conftest import ROOT_SECRET
from tests.support.people import PASSWORD, new_email

pytestmark = pytest.mark.anyio


async def test_an_administrator_is_made_and_may_read_the_health(keystead, client):
    email = new_email()
    made = await keystead("users", "create", email, "--admin", "--password-stdin", said=f"{PASSWORD}\n")
    assert made.returncode == 0, made.stderr
    login = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    bearer = {"authorization": f"Bearer {login.json()['access_token']}"}
    assert (await client.get("/health", headers=bearer)).status_code == 200
    assert PASSWORD not in made.stdout + made.stderr


async def test_what_is_refused_is_explained_and_exits_with_1(keystead):
    for arguments, said, why in (
        (("users", "create", "nonsense", "--password-stdin"), PASSWORD, "no usable e-mail address"),
        (("users", "create", new_email(), "--password-stdin"), "short", "at least 15 characters"),
        (("users", "verify", new_email()), "", "no such user"),
        (("keys", "revoke", "unknown-kid"), "", "keystead keys list"),
    ):
        refused = await keystead(*arguments, said=said)
        assert refused.returncode == 1
        assert why in refused.stderr
        assert "Traceback" not in refused.stderr


async def test_a_password_is_never_an_argument(keystead):
    refused = await keystead("users", "create", new_email())
    assert refused.returncode == 2
    assert "--password-stdin" in refused.stderr


class TestWhereAddressesMustBeProven:
    @pytest.fixture
    def configured(self):
        return {"AUTH__REQUIRE_VERIFIED_EMAIL": "true"}

    async def test_the_operator_chooses_among_several_attempts(self, keystead, client):
        email = new_email()
        for password in (PASSWORD, "the password of an attacker"):
            await client.post("/api/v1/auth/register", json={"email": email, "password": password})
        listed = await keystead("users", "verify", email)
        assert listed.returncode == 1
        attempts = re.findall(r"[0-9a-f-]{36}", listed.stderr)
        assert len(attempts) == 2
        chosen = await keystead("users", "verify", email, "--attempt", attempts[1])
        assert chosen.stdout == f"verified {attempts[1]}\n"
        login = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert login.status_code == 200


async def test_signing_keys_are_listed_rotated_and_revoked(keystead):
    listed = (await keystead("keys", "list")).stdout.splitlines()
    assert len(listed) == 1
    kid = listed[0].split()[0]
    assert "active" in listed[0]
    rotated = await keystead("keys", "rotate")
    assert re.search(r"becomes active at \d{4}-", rotated.stdout)
    assert [line.split()[2] for line in (await keystead("keys", "list")).stdout.splitlines()] == [
        "active",
        "next",
    ]
    assert (await keystead("keys", "revoke", kid)).returncode == 0
    states = {
        line.split()[0]: line.split()[2] for line in (await keystead("keys", "list")).stdout.splitlines()
    }
    assert states[kid] == "revoked"
    assert "active" in states.values()


async def test_migrations_are_listed_and_running_them_again_changes_nothing(keystead):
    status = await keystead("migrate", "status")
    assert status.returncode == 0
    assert all(line.startswith("applied") for line in status.stdout.splitlines())
    assert "up to date" in (await keystead("migrate")).stdout


async def test_the_configuration_is_checked_and_shown_without_its_secrets(keystead):
    sound = await keystead("config", "check")
    assert (sound.returncode, "sound" in sound.stdout) == (0, True)
    shown = await keystead("config", "show")
    assert ROOT_SECRET not in shown.stdout
    assert "jwt_secret: '***'" in shown.stdout
    broken = await keystead("config", "check", APP_SERVER__PORT="x", APP_AUTH__TTL="1")
    assert broken.returncode == 2
    assert {"server.port", "auth.ttl"} <= set(re.findall(r"[a-z]+\.[a-z]+", broken.stderr))


async def test_a_wrong_root_secret_is_explained_and_exits_with_2(keystead):
    refused = await keystead("keys", "list", APP_AUTH__JWT_SECRET="x" * 40)
    assert refused.returncode == 2
    assert "APP_AUTH__JWT_SECRET_PREVIOUS" in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_a_database_that_is_not_there_is_explained(keystead):
    refused = await keystead(
        "migrate", "status", APP_DATABASE__MIGRATION_URL="postgresql://x:hunter2@127.0.0.1:1/x"
    )
    assert refused.returncode == 2
    assert "APP_DATABASE__URL" in refused.stderr
    assert "hunter2" not in refused.stderr


async def test_the_version_is_told(keystead):
    assert re.fullmatch(r"keystead \d+\.\d+\.\d+\n", (await keystead("--version")).stdout)
