"""`keystead service-accounts`, as it is typed."""

import json

import pytest

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
