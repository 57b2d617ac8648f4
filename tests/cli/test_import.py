"""`keystead users import` and `export`, as an operator types them."""

import base64
import contextlib
import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio
import bcrypt
import pytest
from argon2 import PasswordHasher
from django.conf import settings
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from keystead.auth.refusals import LoginRefused
from keystead.cli.import_position import SUFFIX
from keystead.kernel.caller import Operator, Origin
from keystead.users.foreign_hashes import is_foreign
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.support.people import PASSWORD, make_user
from tests.support.server import environment_for
from tests.support.tables import contents

if not settings.configured:
    settings.configure()

from django.contrib.auth import hashers as django_hashers

pytestmark = pytest.mark.anyio

MADE = json.loads((Path(__file__).parents[1] / "users" / "foreign" / "hashes.json").read_text("utf-8"))
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ARGON2 = PasswordHasher(1, 8, 1).hash(PASSWORD)
ID = "f7a3c5d0-3b0f-4a63-9d4b-6f1f6f6a0c11"
EMAIL = "jane@example.com"
ORIGIN = Origin("127.0.0.1", "test")


@pytest.fixture
def environ(urls):
    return environment_for(urls, DATABASE__MIGRATION_URL=urls.owner)


@pytest.fixture
def process(environ, tmp_path):
    """Runs the command as a process of its own; `keystead` does so in ours."""

    async def run(*arguments, **more):
        command = partial(
            subprocess.run,
            [sys.executable, "-m", "keystead", *map(str, arguments)],
            env=environ | more,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=50,
            check=False,
        )
        return await anyio.to_thread.run_sync(command)

    return run


def as_csv(*rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def b64(data):
    return base64.b64encode(data).decode()


def keycloak(digest="sha512"):
    salt = os.urandom(16)
    value = hashlib.pbkdf2_hmac(digest, PASSWORD.encode(), salt, 1000, 64)
    credential = {
        "type": "password",
        "secretData": json.dumps({"value": b64(value), "salt": b64(salt)}),
        "credentialData": json.dumps({"hashIterations": 1000, "algorithm": f"pbkdf2-{digest}"}),
    }
    user = {"id": ID, "username": "jane", "email": EMAIL, "enabled": True, "credentials": [credential]}
    return json.dumps({"realm": "shop", "users": [user]})


def supabase():
    row = {"id": ID, "email": EMAIL, "encrypted_password": BCRYPT, "created_at": "2023-01-01 03:04:05+00"}
    return as_csv(row)


def auth0():
    return as_lines({"_id": {"$oid": "5dea9f9c82dd7c0e76e4ec93"}, "email": EMAIL, "passwordHash": BCRYPT})


def firebase():
    made = MADE["firebase"]["users"][0]
    user = {"localId": "Xb3kqDkf", "email": EMAIL, "passwordHash": made["hash"], "salt": made["salt"]}
    return json.dumps({"users": [user]})


def of_django(**hasher):
    password = django_hashers.make_password(PASSWORD, **hasher)
    fields = {"password": password, "last_login": None, "username": "jane", "email": EMAIL, "is_active": True}
    return json.dumps([{"model": "auth.user", "pk": 1, "fields": fields}])


def better_auth():
    user = {"id": "q0ZVbq2m", "name": "Jane", "email": EMAIL, "emailVerified": True}
    account = {"userId": "q0ZVbq2m", "providerId": "credential", "password": MADE["better_auth"][0]["hash"]}
    return json.dumps({"user": [user], "account": [account]})


def fastapi_users(hasher):
    row = {"id": ID, "email": EMAIL, "hashed_password": PasswordHash((hasher,)).hash(PASSWORD)}
    return as_csv(row | {"is_active": "t", "is_superuser": "f", "is_verified": "t"})


def keystead_users(*emails, **changes):
    user = {
        "id": ID,
        "email": EMAIL,
        "email_verified": True,
        "full_name": None,
        "status": "active",
        "password_hash": ARGON2,
        "preferences": {},
        "app_metadata": {},
        "roles": ["user"],
        "created_at": "2024-01-01T00:00:00+00:00",
        "updated_at": "2024-01-01T00:00:00+00:00",
        **changes,
    }
    several = [user | {"email": email, "id": str(uuid4())} for email in emails] or [user]
    return as_lines({"format": "keystead-users", "version": 1}, *several)


PARAMETERS = MADE["firebase"]["parameters"]
PROJECT = (
    f"--firebase-signer-key={PARAMETERS['signer']}",
    f"--firebase-salt-separator={PARAMETERS['saltSeparator']}",
    f"--firebase-rounds={PARAMETERS['rounds']}",
    f"--firebase-mem-cost={PARAMETERS['memCost']}",
)
FILES = {
    "keycloak, PBKDF2-SHA-512": (keycloak(), ()),
    "keycloak, PBKDF2-SHA-256": (keycloak("sha256"), ()),
    "supabase": (supabase(), ()),
    "auth0": (auth0(), ()),
    "firebase": (firebase(), PROJECT),
    "django, PBKDF2": (of_django(), ()),
    "django, bcrypt over SHA-256": (of_django(hasher="bcrypt_sha256"), ()),
    "better-auth": (better_auth(), ()),
    "fastapi-users, Argon2": (fastapi_users(Argon2Hasher(1, 8, 1)), ()),
    "fastapi-users, bcrypt": (fastapi_users(BcryptHasher(4)), ()),
    "keystead": (keystead_users(), ()),
}


@pytest.fixture
def written(tmp_path):
    def write(content, name="users.export"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


async def login(core, password=PASSWORD):
    return await core.auth.login(email=EMAIL, password=password, origin=ORIGIN)


async def stored_hash(db):
    ((hashed,),) = await db.fetch("SELECT password_hash FROM users")
    return hashed


@pytest.mark.parametrize("system", FILES)
async def test_a_user_of_each_system_signs_in_with_the_old_password(system, keystead, written, core, db):
    content, options = FILES[system]
    imported = await keystead("users", "import", written(content), *options)
    assert imported.returncode == 0, imported.stderr
    assert f"a file of {system.partition(',')[0]}" in imported.stderr
    brought = await stored_hash(db)
    assert is_foreign(brought) is ("Argon2" not in system and system != "keystead")
    assert brought not in imported.stdout + imported.stderr
    with pytest.raises(LoginRefused):
        await login(core, PASSWORD[:-1])
    assert await stored_hash(db) == brought
    await login(core)
    renewed = await stored_hash(db)
    assert renewed.startswith("$argon2id$")
    assert not core.auth.login.hasher.is_outdated(renewed)
    await login(core)
    with pytest.raises(LoginRefused):
        await login(core, PASSWORD[:-1])


def many(count):
    return keystead_users(*(f"person{number}@example.com" for number in range(count)))


async def test_an_import_that_is_killed_goes_on_where_it_was(environ, written, tmp_path, process, db):
    """At several moments: some fall between the commit of a batch and the note of its position."""
    path = written(many(6000))
    place = path.with_name(path.name + SUFFIX)

    def kill_beyond(records, patience):
        """Kill a run a little after it has come so far; how far it came."""
        command = [sys.executable, "-m", "keystead", "users", "import", str(path)]
        process = subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL)
        while position(place) <= records and process.poll() is None:
            time.sleep(0.002)
        time.sleep(patience)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return position(place)

    records = 0
    for patience in (0.0, 0.03, 0.06):
        reached = await anyio.to_thread.run_sync(kill_beyond, records, patience)
        assert reached > records
        records = reached
    finished = await process("users", "import", path)
    assert finished.returncode == 0, finished.stderr
    assert f"going on after record {records:,}" in finished.stderr
    assert not place.exists()
    exported = (await process("users", "export")).stdout.splitlines()[1:]
    users = [json.loads(line) for line in exported]
    assert sorted(user["email"] for user in users) == sorted(f"person{n}@example.com" for n in range(6000))
    assert all(user["roles"] == ["user"] for user in users)
    (events,) = await db.fetch(
        "SELECT count(*), count(DISTINCT subject_id) FROM audit_events WHERE event = 'user.imported'"
    )
    assert tuple(events) == (6000, 6000)


def position(place):
    with contextlib.suppress(FileNotFoundError):
        return json.loads(place.read_bytes())["records"]
    return 0


async def test_what_is_done_is_counted_and_what_is_not_is_told_and_kept(process, written, core, tmp_path):
    await make_user(core, "taken@example.com")
    report = tmp_path / "rejected.jsonl"
    broken = '{"id": "17", "email"\n'
    path = written(keystead_users("taken@example.com", "nobody", "a@example.com", "b@example.com") + broken)
    imported = await process("users", "import", path, "--report", report)
    assert imported.returncode == 1
    assert [line.split(maxsplit=1) for line in imported.stdout.splitlines()[:5]] == [
        ["5", "records"],
        ["2", "imported"],
        ["0", "there already"],
        ["1", "whose address another account has"],
        ["2", "refused"],
    ]
    assert "2  argon2id, the weakest of m=8,t=1,p=1" in imported.stdout
    assert "record 5 (line 6)" in imported.stdout
    kept = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(row["record"], row["outcome"]) for row in kept] == [
        (1, "email_taken"),
        (2, "refused"),
        (5, "refused"),
    ]
    assert report.stat().st_mode & 0o777 == 0o600
    for secret in (ARGON2, "taken@", "nobody"):
        assert secret not in imported.stdout + imported.stderr + report.read_text()
    again = await process("users", "import", path, "--report", report)
    assert again.returncode == 1
    assert "2  there already" in again.stdout
    assert len(report.read_text().splitlines()) == 3


async def test_a_dry_run_writes_nothing_and_tells_what_would_be(keystead, written, core, urls, tmp_path):
    await make_user(core, "taken@example.com")
    path = written(keystead_users("taken@example.com", "a@example.com", "nobody", "a@example.com"))
    before = await contents(urls)
    tried = await keystead("users", "import", path, "--dry-run")
    assert tried.returncode == 1
    assert await contents(urls) == before
    assert sorted(tmp_path.iterdir()) == [path]
    assert "1  would be imported" in tried.stdout
    assert "2  whose address another account has" in tried.stdout
    assert "1  would be refused" in tried.stdout
    assert "The first 3 of 3 problems" in tried.stdout
    assert (await keystead("users", "import", written(many(3)), "--dry-run")).returncode == 0


async def test_only_so_many_problems_are_told_and_all_are_kept(keystead, written, tmp_path):
    report = tmp_path / "rejected.jsonl"
    path = written(keystead_users(*("nobody" for _ in range(30)), id="\x1b[31m"))
    refused = await keystead("users", "import", path, "--report", report)
    assert refused.returncode == 1
    assert "The first 20 of 30 problems" in refused.stdout
    assert len([line for line in refused.stdout.splitlines() if line.startswith("  record")]) == 20
    assert len(report.read_text().splitlines()) == 30


async def test_what_a_file_says_of_itself_does_not_move_the_terminal(keystead, written):
    path = written(as_lines({"user_id": "auth0|\x1b[31m\x9b2J", "email": "nobody", "password_hash": BCRYPT}))
    refused = await keystead("users", "import", path)
    assert refused.returncode == 1
    assert "auth0|?[31m?2J" in refused.stdout


WRONG = {
    "no file": (lambda _: ("/nowhere/users.json",), "does not exist"),
    "no file, of a named format": (
        lambda _: ("/nowhere/users.json", "--format", "auth0"),
        "cannot be opened",
    ),
    "of no system": (lambda write: (write("hello"),), "--format keycloak, supabase"),
    "of another system": (lambda write: (write(auth0()), "--format", "keycloak"), "an export of Keycloak"),
    "empty": (lambda write: (write(""), "--format", "auth0"), "empty"),
    "no users": (lambda write: (write('{"format": "keystead-users", "version": 1}\n'),), "holds no users"),
    "of a later version": (
        lambda write: (write('{"format": "keystead-users", "version": 2}\n'),),
        "version 1",
    ),
    "no parameters": (lambda write: (write(firebase()),), "Password hash parameters"),
    "some parameters": (lambda write: (write(firebase()), PROJECT[0]), "all of the four"),
    "a report over the file": (lambda write: (write(auth0()), "--report", write(auth0())), "is no report"),
    "a report nowhere": (lambda write: (write(auth0()), "--report", "/nowhere/report"), "cannot be written"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_where_nothing_can_be_done_the_exit_code_is_2_and_the_mend_is_named(
    case, keystead, written, urls
):
    arguments, why = WRONG[case]
    refused = await keystead("users", "import", *arguments(written))
    assert refused.returncode == 2, refused.stderr
    assert why in refused.stderr
    assert "Traceback" not in refused.stderr
    assert PARAMETERS["signer"] not in refused.stderr


async def test_a_database_that_is_not_there_is_explained(process, written):
    refused = await process(
        "users", "import", written(auth0()), APP_DATABASE__URL="postgresql://x:hunter2@127.0.0.1:1/x"
    )
    assert refused.returncode == 2
    assert "cannot be used" in refused.stderr
    assert "hunter2" not in refused.stderr


class TestPositions:
    @pytest.fixture
    def stopped(self, written, db, core):
        """A file of three, of which the position of an earlier run says that two are done."""

        async def stop(**changes):
            path = written(keystead_users("a@example.com", "b@example.com", "c@example.com"))
            destination = await core.accounts.import_users.name_destination()
            position = {
                "file": _fingerprint(path),
                "destination": destination,
                "options": "--format keystead",
                "records": 2,
                "report_bytes": 0,
                "summary": {"outcomes": {"imported": 2}},
                **changes,
            }
            path.with_name(path.name + SUFFIX).write_text(json.dumps(position))
            return path

        return stop

    async def test_the_next_run_goes_on_behind_it_and_counts_it_in(self, stopped, keystead, db):
        resumed = await keystead("users", "import", await stopped())
        assert resumed.returncode == 0, resumed.stderr
        assert "3  imported" in resumed.stdout
        assert len(await db.fetch("SELECT FROM users")) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"file": "0" * 64},
            {"destination": "17"},
            {"options": "--format keystead --drop-unusable-hashes"},
            {"records": "many"},
        ],
    )
    async def test_one_of_something_else_is_not_taken_for_it(self, changes, stopped, keystead, db):
        path = await stopped(**changes)
        refused = await keystead("users", "import", path)
        assert refused.returncode == 2
        assert "--restart" in refused.stderr
        assert not await db.fetch("SELECT FROM users")
        restarted = await keystead("users", "import", path, "--restart")
        assert restarted.returncode == 0
        assert "3  imported" in restarted.stdout

    async def test_a_dry_run_neither_follows_it_nor_moves_it(self, stopped, keystead):
        path = await stopped()
        place = path.with_name(path.name + SUFFIX)
        before = place.read_bytes()
        tried = await keystead("users", "import", path, "--dry-run")
        assert "3  would be imported" in tried.stdout
        assert place.read_bytes() == before

    async def test_beginning_again_does_no_harm(self, keystead, written, urls, stopped):
        path = await stopped()
        assert (await keystead("users", "import", path, "--restart")).returncode == 0
        before = await contents(urls)
        again = await keystead("users", "import", path, "--restart")
        assert again.returncode == 0
        assert "3  there already" in again.stdout
        assert await contents(urls) == before

    async def test_a_report_is_cut_back_to_what_the_position_knows_of(self, stopped, keystead, tmp_path):
        report = tmp_path / "rejected.jsonl"
        known = '{"record":1}\n'
        report.write_text(known + '{"record":3,"of a batch":"whose position was not noted"}\n')
        path = await stopped(report_bytes=len(known))
        assert (await keystead("users", "import", path, "--report", report)).returncode == 0
        assert report.read_text() == known

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    async def test_a_folder_that_is_not_writable_is_named(self, keystead, written, tmp_path):
        path = written(auth0())
        tmp_path.chmod(0o500)
        refused = await keystead("users", "import", path)
        assert refused.returncode == 2
        assert "that you may write to" in refused.stderr

    async def test_a_position_that_cannot_be_kept_is_told_before_anything_is_done(
        self, keystead, written, db
    ):
        path = written(auth0())
        path.with_name(path.name + SUFFIX + ".new").mkdir()
        refused = await keystead("users", "import", path)
        assert refused.returncode == 2
        assert "that you may write to" in refused.stderr
        assert not await db.fetch("SELECT FROM users")


def _fingerprint(path):
    head = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(f"{path.name}\0{path.stat().st_size}\0{head}\0".encode()).hexdigest()


class TestExport:
    async def test_a_file_is_new_whole_and_for_its_owner_alone(self, keystead, core, tmp_path):
        await make_user(core, EMAIL, full_name="Jane Doe", is_admin=True)
        path = tmp_path / "users.jsonl"
        exported = await keystead("users", "export", path)
        assert (exported.returncode, exported.stdout) == (0, "")
        assert path.stat().st_mode & 0o777 == 0o600
        header, user = map(json.loads, path.read_text().splitlines())
        assert header == {"format": "keystead-users", "version": 1}
        assert (user["email"], user["full_name"], user["roles"]) == (EMAIL, "Jane Doe", ["admin", "user"])
        assert user["password_hash"].startswith("$argon2id$")
        assert sorted(tmp_path.iterdir()) == [path]
        refused = await keystead("users", "export", path)
        assert refused.returncode == 2
        assert "--force" in refused.stderr
        path.write_text("old")
        path.chmod(0o644)
        assert (await keystead("users", "export", path, "--force")).returncode == 0
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.read_text().splitlines()) == 2
        assert (await keystead("users", "export")).stdout == path.read_text()
        assert (await keystead("users", "export", "-")).stdout == path.read_text()

    async def test_a_place_that_cannot_be_written_is_explained(self, keystead):
        refused = await keystead("users", "export", "/nowhere/users.jsonl")
        assert refused.returncode == 2
        assert "cannot be written" in refused.stderr

    async def test_it_is_imported_elsewhere_and_everybody_signs_in(self, process, core, cluster, tmp_path):
        await make_user(core, EMAIL)
        path = tmp_path / "users.jsonl"
        assert (await process("users", "export", path)).returncode == 0
        async with cluster.clone() as fresh, open_core(settings_for(fresh)) as elsewhere:
            imported = await process(
                "users",
                "import",
                path,
                APP_DATABASE__URL=fresh.runtime,
                APP_DATABASE__MIGRATION_URL=fresh.owner,
            )
            assert imported.returncode == 0, imported.stderr
            await login(elsewhere.core)
            listed = [
                line async for page in elsewhere.core.accounts.export_users(Operator()) for line in page
            ]
        assert b"".join(listed) == path.read_bytes()
