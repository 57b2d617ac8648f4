"""Commands about accounts and mail, as an operator types them."""

import json
import os

import pytest

from keystead.accounts.bootstrap import Outcome
from tests.contract.service import login
from tests.support.mailbox import mailbox
from tests.support.people import PASSWORD, make_user, new_email, register

pytestmark = pytest.mark.anyio

NEW = "another password that is long enough"


async def roles_of(client, email, password=PASSWORD):
    pair = (await login(client, email, password)).json()
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    return (await client.get("/api/v1/users/me", headers=bearer)).json()["roles"]


async def test_bootstrap_makes_an_administrator_once_and_never_touches_the_password(
    keystead, client, tmp_path
):
    email = new_email()
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    first = await keystead("users", "bootstrap", email, "--password-file", str(secret))
    assert (first.returncode, first.stdout) == (0, f"{Outcome.CREATED} {email}\n"), first.stderr
    again = await keystead("users", "bootstrap", email, "--password-stdin", said=f"{NEW}\n")
    assert (again.returncode, again.stdout) == (0, f"{Outcome.UNCHANGED} {email}\n"), again.stderr
    assert await roles_of(client, email) == ["admin", "user"]
    assert (await login(client, email, NEW)).status_code == 401


async def test_bootstrap_promotes_an_account_that_is_there(keystead, client):
    person = await register(client)
    done = await keystead("users", "bootstrap", person.email, "--password-stdin", said=f"{NEW}\n")
    assert (done.returncode, done.stdout) == (0, f"{Outcome.PROMOTED} {person.email}\n"), done.stderr
    assert await roles_of(client, person.email) == ["admin", "user"]


async def test_bootstrap_without_a_password_says_how_to_give_one(keystead):
    refused = await keystead("users", "bootstrap", new_email())
    assert refused.returncode == 2
    assert "--password-file" in refused.stderr


async def test_an_invitation_is_a_link_that_makes_its_owner_an_administrator_once(keystead, client):
    email = new_email()
    invited = await keystead("users", "invite", email, "--admin")
    assert invited.returncode == 0, invited.stderr
    token = invited.stdout.strip().rpartition("/")[2]
    for status in (204, 401):
        body = {"token": token, "password": PASSWORD}
        answer = await client.post("/api/v1/auth/invitation/accept", json=body)
        assert answer.status_code == status
    assert await roles_of(client, email) == ["admin", "user"]


async def test_recover_lets_a_lost_administrator_in_again(keystead, client, core, db):
    email = new_email()
    await make_user(core, email, is_admin=True)
    await db.execute("UPDATE users SET status = 'disabled'")
    await db.execute("DELETE FROM user_roles WHERE role = 'admin'")
    shown = await keystead("users", "recover", email, "--admin")
    assert shown.returncode == 0, shown.stderr
    token = shown.stdout.strip().rpartition("/")[2]
    answer = await client.post("/api/v1/auth/password/reset", json={"token": token, "password": NEW})
    assert answer.status_code == 204
    assert await roles_of(client, email, NEW) == ["admin", "user"]
    unknown = await keystead("users", "recover", new_email())
    assert (unknown.returncode, unknown.stdout) == (1, "")


async def test_a_test_mail_says_what_the_mail_server_said(keystead):
    async with mailbox() as box:
        settings = {
            "APP_MAIL__HOST": box.host,
            "APP_MAIL__PORT": str(box.port),
            "APP_MAIL__SECURITY": "none",
            "APP_MAIL__SENDER": "no-reply@keystead.example",
        }
        sent = await keystead("mail", "test", "ops@example.com", **settings)
        assert sent.returncode == 0, sent.stderr
        (message,) = await box.wait_for(1, to="ops@example.com")
        assert message["From"] == "no-reply@keystead.example"
        box.answer_with("550 5.1.1 no such user ops@example.com")
        refused = await keystead("mail", "test", "ops@example.com", **settings)
        assert (refused.returncode, "550 5.1.1" in refused.stderr) == (1, True), refused.stderr
        box.stop()
        down = await keystead("mail", "test", "ops@example.com", **settings)
        assert (down.returncode, "cannot be used" in down.stderr) == (1, True), down.stderr
    missing = await keystead("mail", "test", "ops@example.com")
    assert (missing.returncode, "APP_MAIL__HOST" in missing.stderr) == (1, True)
    assert "Traceback" not in sent.stderr + refused.stderr + down.stderr + missing.stderr


async def test_erased_accounts_are_listed_and_erased_again_from_the_list(keystead, client, db, tmp_path):
    person, other = await register(client), await register(client)
    assert (await client.delete("/api/v1/users/me", headers=person.bearer)).status_code == 204
    listed = await keystead("erasures", "list")
    assert json.loads(listed.stdout)["user_id"] == person.id

    log = tmp_path / "erasures.log"
    log.write_text(
        listed.stdout + json.dumps({"user_id": other.id, "erased_at": "2026-01-01T00:00:00Z"}) + "\n"
    )
    for erased in (1, 0):
        applied = await keystead("erasures", "apply", str(log))
        assert applied.stdout == f"2 in the log, {erased} erased again\n", applied.stderr
    assert (await login(client, other.email)).status_code == 401
    assert (await db.fetch_row("SELECT count(*) FROM data_keys"))[0] == 0

    log.write_text("nonsense\n")
    refused = await keystead("erasures", "apply", str(log))
    assert (refused.returncode, "line 1" in refused.stderr) == (2, True)


async def test_a_dump_comes_in_two_private_halves_and_never_overwrites(keystead, client, tmp_path):
    await register(client)
    for half in ("data", "keys"):
        file = tmp_path / half
        written = await keystead("dump", half, str(file))
        assert written.returncode == 0, written.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_bytes().startswith(b"PGDMP")
        again = await keystead("dump", half, str(file))
        assert (again.returncode, "never overwrites" in again.stderr) == (2, True)
    failed = await keystead("dump", "data", str(tmp_path / "x"), PG_BIN=os.fspath(tmp_path))
    assert (failed.returncode, "pg_dump failed" in failed.stderr) == (2, True)
    assert not (tmp_path / "x").exists()
