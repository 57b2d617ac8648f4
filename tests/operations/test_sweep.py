"""Sweeps: what has had its time goes, to the microsecond; what lives stays; and erasures reach their log."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import typer

from keystead.cli import erasures as erasures_command
from keystead.kernel.caller import Operator
from keystead.operations import sweep as sweeping
from keystead.operations.sweep import ErasureLogUnwritable
from keystead.users import erasures
from tests.contract.service import serving
from tests.support.clock import freeze
from tests.support.people import make_user, new_email, register
from tests.support.server import serving as serving_workers

pytestmark = pytest.mark.anyio

NOW = datetime(2031, 1, 1, 12, tzinfo=UTC)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "erasures.log"


@pytest.fixture
def configured(log):
    return {"PRIVACY__ERASURE_LOG": str(log)}


@pytest.fixture
async def user_id(core):
    return await make_user(core, new_email())


@pytest.fixture
async def frozen(urls, user_id):
    await freeze(urls.owner, NOW)


async def ids(db, table, column="id"):
    return {str(row[0]) for row in await db.fetch(f"SELECT {column} FROM {table}")}


ADD = {
    "sessions": """
        INSERT INTO sessions (id, user_id, client_id, epoch, rotated_at, amr, created_at, idle_expires_at,
                              absolute_expires_at, ended_at, ended_because)
        SELECT gen_random_uuid(), $1, 'default', epoch, $2, '{}', $2, $2, $2, $3, CASE WHEN $3::timestamptz IS NOT NULL
               THEN 'logout' END
          FROM installation RETURNING id""",
    "tickets": """
        INSERT INTO tickets (id, purpose, user_id, client_id, password_version, expires_at, used_at)
        VALUES (gen_random_uuid(), 'reset_password', $1, 'default', 1, $2, $3) RETURNING id""",
    "idempotency_keys": """
        INSERT INTO idempotency_keys (caller_id, route, key_digest, body_digest, result, created_at)
        VALUES ($1, gen_random_uuid()::text, '', '', coalesce($3::timestamptz::text, ''), $2) RETURNING route""",
    "mails": """
        INSERT INTO mails (id, kind, client_id, user_id, created_at, expires_at, sent_at)
        SELECT gen_random_uuid(), 'new_device', 'default', $1, made_at, made_at + interval '3 days', $3
          FROM (SELECT $2::timestamptz AS made_at) AS made
        RETURNING id""",
    "used_assertions": """
        INSERT INTO used_assertions (account_id, id_digest, expires_at)
        SELECT $1, convert_to(gen_random_uuid()::text, 'UTF8'), $2 WHERE $3::timestamptz IS NOT NULL
        RETURNING id_digest""",
    "service_keys": """
        WITH account AS (
            INSERT INTO service_accounts (id, name, client_id)
            SELECT $1, 'a-job', 'default' WHERE $3::timestamptz IS NOT NULL ON CONFLICT DO NOTHING)
        INSERT INTO service_keys (id, account_id, digest, expires_at)
        VALUES (gen_random_uuid(), $1, convert_to(gen_random_uuid()::text, 'UTF8'), $2) RETURNING id""",
}
KEPT_FOR = {
    "sessions": 30 * DAY,
    "tickets": 7 * DAY,
    "idempotency_keys": DAY,
    "mails": 7 * DAY,
    "used_assertions": timedelta(hours=1),
    "service_keys": 30 * DAY,
}
COLUMNS = {"idempotency_keys": "route", "used_assertions": "id_digest"}


async def test_asvs_v5_14_2_7_a_row_goes_when_its_time_is_over_and_not_a_microsecond_before(
    core, db, user_id, frozen
):
    rows: dict[str, dict[str, str]] = {table: {} for table in ADD}
    for table, statement in ADD.items():
        end = NOW - KEPT_FOR[table]
        for name, moment in (
            ("over", end - MOMENT),
            ("at the end", end),
            ("before it", end + MOMENT),
            ("now", NOW),
        ):
            rows[table][name] = str((await db.fetch_row(statement, user_id, moment, end))[0])
    assert await core.operations.sweep() == len(ADD)
    for table, named in rows.items():
        assert await ids(db, table, COLUMNS.get(table, "id")) == set(named.values()) - {named["over"]}, table
    assert await core.operations.sweep() == 0


async def test_a_mail_that_is_still_to_be_sent_stays_however_old_and_one_that_was_set_aside_goes(
    core, db, user_id, frozen
):
    old = NOW - 30 * DAY
    waiting, expired, failed = [(await db.fetch_row(ADD["mails"], user_id, old, None))[0] for _ in range(3)]
    await db.execute("UPDATE mails SET expires_at = $2 WHERE id <> $1", expired, NOW + DAY)
    await db.execute("UPDATE mails SET failed_at = $2, failure = 'x' WHERE id = $1", failed, old)
    assert await core.operations.sweep() == 2
    assert await ids(db, "mails") == {str(waiting)}


async def test_an_attempt_goes_with_its_key_and_all_that_belongs_to_it_and_accounts_stay(
    core, db, user_id, frozen
):
    end = NOW - 7 * DAY
    over, kept = [await make_user(core, new_email()) for _ in range(2)]
    for attempt, moment in ((over, end - MOMENT), (kept, end)):
        await db.execute(
            "UPDATE users SET status = 'pending', created_at = $2 WHERE id = $1", attempt, moment
        )
    await db.execute("UPDATE users SET created_at = $2 WHERE id = $1", user_id, NOW - 3000 * DAY)
    for status in ("disabled", "locked"):
        await db.execute(
            "UPDATE users SET status = $2, created_at = $3 WHERE id = $1",
            await make_user(core, new_email()),
            status,
            NOW - 3000 * DAY,
        )
    for table in ("tickets", "mails"):
        await db.execute(ADD[table], over, end, end)
    assert await core.operations.sweep() >= 1
    assert str(over) not in await ids(db, "users") | await ids(db, "data_keys", "owner_id")
    assert str(over) not in await ids(db, "tickets", "user_id") | await ids(db, "mails", "user_id")
    assert str(over) not in await ids(db, "user_roles", "user_id")
    assert {str(kept), str(user_id)} <= await ids(db, "users") & await ids(db, "data_keys", "owner_id")
    assert len(await ids(db, "users")) == len(await ids(db, "data_keys", "owner_id")) == 4


async def test_an_attempt_that_was_sent_a_link_again_stays_until_that_has_expired_or_is_used(
    core, db, user_id, frozen
):
    attempts = {name: await make_user(core, new_email()) for name in ("works", "expired", "used")}
    await db.execute(
        "UPDATE users SET status = 'pending', created_at = $2 WHERE id <> $1", user_id, NOW - 7 * DAY - MOMENT
    )
    for name, end, used in (("works", NOW + MOMENT, None), ("expired", NOW, None), ("used", NOW + DAY, NOW)):
        await db.fetch_row(ADD["tickets"], attempts[name], end, used)
    await core.operations.sweep()
    assert await ids(db, "users") == {str(user_id), str(attempts["works"])}


async def test_there_may_be_more_than_a_batch_and_more_than_one_sweeper(
    core, db, user_id, frozen, monkeypatch
):
    monkeypatch.setattr(sweeping, "BATCH", 20)
    await db.execute(
        ADD["sessions"].replace("FROM installation", "FROM installation, generate_series(1, 500)"),
        user_id,
        NOW - 40 * DAY,
        None,
    )
    await db.execute(
        """INSERT INTO users (id, status, email_index, email_sealed, email_domain_index, password_hash, created_at)
           SELECT gen_random_uuid(), 'pending', ''::bytea, ''::bytea, ''::bytea, '!', $1
             FROM generate_series(1, 200)""",
        NOW - 40 * DAY,
    )
    await db.execute(
        "INSERT INTO data_keys (owner_id, wrapped) SELECT id, '' FROM users WHERE status = 'pending'"
    )
    swept = await asyncio.gather(*(core.operations.sweep() for _ in range(4)))
    assert sum(swept) + await core.operations.sweep() == 700
    assert await ids(db, "users") == await ids(db, "data_keys", "owner_id") == {str(user_id)}
    assert await ids(db, "sessions") == set()


async def test_a_row_that_cannot_be_opened_keeps_nobody_elses_from_being_sealed(core, db):
    damaged, sound = [await make_user(core, new_email()) for _ in range(2)]
    await db.execute("""UPDATE users SET preferences = '{"a": 1}', email_domain_index = NULL""")
    await db.execute("UPDATE users SET email_sealed = '\\x01' WHERE id = $1", damaged)
    await core.operations.sweep()
    row = await db.fetch_row("SELECT preferences, email_domain_index FROM users WHERE id = $1", sound)
    assert (row["preferences"], row["email_domain_index"] is not None) == ("{}", True)


# --- the erasure log


ADD_ERASURES = (
    "INSERT INTO erasures (user_id) SELECT gen_random_uuid() FROM generate_series(1, $1) RETURNING user_id"
)
LOGGED = "SELECT user_id FROM erasures WHERE logged_at IS NOT NULL"


async def erase(db, count=1):
    return {str(row[0]) for row in await db.fetch(ADD_ERASURES, count)}


def whole_lines(log):
    """The ids of the lines that can be read."""
    found = []
    for line in log.read_text().splitlines():
        try:
            found.append(json.loads(line)["user_id"])
        except ValueError:
            assert line == "" or '{"user_id": "'.startswith(line[:13]), line
    return found


async def logged(db):
    return {str(row[0]) for row in await db.fetch(LOGGED)}


async def test_each_erasure_is_a_line_that_nobody_else_may_read(core, client, db, log):
    person = await register(client)
    assert (await client.delete("/api/v1/users/me", headers=person.bearer)).status_code == 204
    assert not log.exists()
    assert await core.operations.sweep() == 1
    assert await core.operations.sweep() == 0
    [line] = log.read_text().splitlines()
    assert set(json.loads(line)) == {"user_id", "erased_at"}
    assert json.loads(line)["user_id"] == person.id
    assert datetime.fromisoformat(json.loads(line)["erased_at"]).tzinfo
    assert log.stat().st_mode & 0o777 == 0o600
    assert await logged(db) == {person.id}


async def test_several_workers_write_every_erasure_once(core, db, log, monkeypatch):
    monkeypatch.setattr(sweeping, "BATCH", 7)
    erased = await erase(db, 100)
    await asyncio.gather(*(core.operations.sweep() for _ in range(4)))
    await core.operations.sweep()
    assert sorted(whole_lines(log)) == sorted(erased)


async def test_what_dies_between_the_line_and_the_note_is_written_again(core, db, log, monkeypatch):
    erased = await erase(db, 3)

    async def dies(*_):
        raise RuntimeError

    monkeypatch.setattr(erasures, "mark_logged", dies)
    with pytest.raises(RuntimeError):
        await core.operations.sweep()
    assert await logged(db) == set()
    monkeypatch.undo()
    await core.operations.sweep()
    assert sorted(whole_lines(log)) == sorted([*erased, *erased])


async def test_a_line_that_was_cut_short_is_written_again_on_a_line_of_its_own(core, db, log, monkeypatch):
    erased = await erase(db)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) * 2 // 3]))
    with pytest.raises(ErasureLogUnwritable, match="only a part"):
        await core.operations.sweep()
    monkeypatch.undo()
    assert not log.read_bytes().endswith(b"\n")
    assert await logged(db) == set()
    await core.operations.sweep()
    assert set(whole_lines(log)) == erased == await logged(db)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
class TestAFullDisk:
    @pytest.fixture
    def configured(self):
        return {"PRIVACY__ERASURE_LOG": "/dev/full"}

    async def test_leaves_the_erasure_to_be_written(self, core, db):
        await erase(db)
        with pytest.raises(ErasureLogUnwritable, match=r"/dev/full: .*No space"):
            await core.operations.sweep()
        assert await logged(db) == set()


async def test_a_worker_that_is_killed_while_it_writes_loses_no_erasure(cluster, log):
    async with serving(cluster) as service:
        db = service.core.operations.sweep.db
        erased = await erase(db, 6_000)
        async with serving_workers(
            service.urls, PRIVACY__ERASURE_LOG=str(log), AUTH__SIGNING_ALGORITHM="ES256"
        ) as server:
            [worker] = server.workers
            while not log.exists() or not log.stat().st_size:
                await asyncio.sleep(0.001)
            worker.kill9()
            noted, written = await logged(db), whole_lines(log)
            assert noted <= set(written) < erased
            await worker.start()
            while await logged(db) != erased:
                await asyncio.sleep(0.05)
            assert set(whole_lines(log)) == erased


async def test_a_restored_database_is_erased_from_a_log_with_a_line_cut_short(core, db, log, capsys):
    gone = [await make_user(core, new_email()) for _ in range(2)]
    one, other = (json.dumps({"user_id": str(each), "erased_at": NOW.isoformat()}) for each in gone)
    log.write_text(f"{one}\n\n{other[:30]}\n{other}\n{one}\n{other[:60]}")
    read = list(erasures_command._read(log))
    assert read == [*gone, gone[0]]
    warned = capsys.readouterr().err
    assert [number for number in range(1, 7) if f"line {number} is cut short" in warned] == [3, 6]
    assert await core.accounts.erase_again(Operator(), [*read, UUID(int=7)]) == 2
    rows = await db.fetch("SELECT status FROM users")
    assert [row["status"] for row in rows] == ["erased"] * 2
    log.write_text(f"{one}\nnonsense\n")
    with pytest.raises(typer.Exit):
        list(erasures_command._read(log))
