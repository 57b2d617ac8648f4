"""Migrations: in order, once, by one runner at a time; a schema that is behind is not served."""

import asyncio
import dataclasses

import asyncpg
import pytest

from keystead.kernel import migrate as runner
from keystead.kernel.errors import CannotStart
from keystead.kernel.migrate import Migration, SchemaBehind, migrate, read_status, require_current, shipped
from keystead.kernel.secrets import Secret

pytestmark = pytest.mark.anyio


@pytest.fixture
async def empty(cluster):
    async with cluster.clone("template0") as urls:
        yield urls


async def apply(urls):
    return await migrate(Secret(urls.owner), runtime_url=Secret(urls.runtime))


def numbers(migrations):
    return [migration.version for migration in migrations]


async def fetch(urls, sql, *args):
    connection = await asyncpg.connect(urls.owner)
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


async def test_shipped_migrations_are_numbered_without_a_gap():
    assert numbers(shipped()) == list(range(1, len(shipped()) + 1))


async def test_an_empty_database_gets_every_migration_once(empty):
    assert (await read_status(Secret(empty.owner))).pending == shipped()
    assert await apply(empty) == shipped()
    assert await apply(empty) == ()
    status = await read_status(Secret(empty.runtime))
    assert (status.applied, status.pending, status.newer) == (shipped(), (), ())


async def test_racing_runners_apply_each_migration_once(empty):
    outcomes = await asyncio.gather(*(apply(empty) for _ in range(4)))
    assert sorted(len(applied) for applied in outcomes) == [0, 0, 0, len(shipped())]


async def test_a_schema_that_is_behind_is_refused_and_one_that_is_ahead_is_not(empty):
    with pytest.raises(SchemaBehind, match="keystead migrate"):
        await require_current(Secret(empty.owner))
    await apply(empty)
    await require_current(Secret(empty.runtime))
    await fetch(empty, runner.ADD_TO_HISTORY, 9999, "of_tomorrow", "x")
    await require_current(Secret(empty.runtime))
    assert (await read_status(Secret(empty.runtime))).newer == ("of_tomorrow",)


async def test_a_migration_that_was_changed_after_it_was_applied_is_refused(empty, monkeypatch):
    await apply(empty)
    first, *rest = shipped()
    changed = (dataclasses.replace(first, sql=first.sql + " "), *rest)
    monkeypatch.setattr(runner, "shipped", lambda: changed)
    with pytest.raises(CannotStart, match="other contents"):
        await apply(empty)


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty, monkeypatch):
    broken = Migration(len(shipped()) + 1, "broken", "CREATE TABLE half (); SELECT 1/0")
    whole = shipped()
    monkeypatch.setattr(runner, "shipped", lambda: (*whole, broken))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await apply(empty)
    assert (await fetch(empty, "SELECT to_regclass('half') AS half"))[0]["half"] is None
    monkeypatch.setattr(runner, "shipped", lambda: whole)
    assert (await read_status(Secret(empty.owner))).pending == ()


async def test_a_migration_may_run_outside_a_transaction(empty, monkeypatch):
    await apply(empty)
    alone = Migration(
        len(shipped()) + 1,
        "alone",
        "-- keystead: no transaction\nCREATE INDEX CONCURRENTLY alone ON users (created_at)",
    )
    monkeypatch.setattr(runner, "shipped", lambda known=shipped(): (*known, alone))
    assert await apply(empty) == (alone,)


async def test_a_table_in_use_is_waited_for_in_short_tries(empty, monkeypatch):
    await apply(empty)
    connection = await asyncpg.connect(empty.owner)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE users IN ACCESS SHARE MODE")
    change = Migration(len(shipped()) + 1, "change", "ALTER TABLE users ADD COLUMN later text")
    monkeypatch.setattr(runner, "shipped", lambda known=shipped(): (*known, change))
    task = asyncio.create_task(apply(empty))
    await asyncio.sleep(2.3)
    assert not task.done()
    await transaction.commit()
    assert await task == (change,)
    await connection.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:hunter2@127.0.0.1:1/x",
        "postgresql://nobody:hunter2@/absent?host=/nonexistent",
        "nonsense",
    ],
)
async def test_a_database_that_cannot_be_used_is_explained_without_its_password(url):
    with pytest.raises(CannotStart, match="APP_DATABASE__URL") as caught:
        await read_status(Secret(url))
    assert "hunter2" not in str(caught.value)


async def test_where_one_role_does_both_nothing_is_granted(empty):
    await migrate(Secret(empty.owner), runtime_url=Secret(empty.owner))
    await require_current(Secret(empty.owner))
