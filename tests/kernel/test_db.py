"""The database: last in, first out; nothing spoilt is reused; every outage is one refusal."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from keystead.kernel.db import Database, DatabaseUnavailable, PoolLimits
from keystead.kernel.secrets import Secret

pytestmark = pytest.mark.anyio

BACKEND = "SELECT pg_backend_pid() AS pid"


@pytest.fixture
async def open_database(urls):
    opened = []

    def open_with(url=urls.runtime, **limits):
        database = Database(Secret(url), PoolLimits(**{"max_connections": 2} | limits))
        opened.append(database)
        return database

    yield open_with
    for database in opened:
        await database.close()


async def pid(database):
    return (await database.fetch_row(BACKEND))["pid"]


async def backends(urls):
    connection = await asyncpg.connect(urls.owner)
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'keystead'"
        )
    finally:
        await connection.close()


async def test_one_caller_at_a_time_needs_one_connection(open_database, urls):
    database = open_database(max_connections=5)
    assert len({await pid(database) for _ in range(10)}) == 1
    assert await backends(urls) == 1


async def test_no_more_connections_than_allowed_are_opened_and_all_callers_are_served(open_database, urls):
    database = open_database(max_connections=3)
    seen = await asyncio.gather(*(pid(database) for _ in range(100)))
    assert len(seen) == 100
    assert len(set(seen)) <= 3
    assert await backends(urls) <= 3


async def test_the_minimum_is_opened_at_the_start(open_database, urls):
    await open_database(max_connections=5, min_connections=3).open()
    assert await backends(urls) == 3


async def test_a_block_commits_and_an_exception_rolls_back(open_database, db):
    database = open_database()
    add = "INSERT INTO audit_events (event) VALUES ($1)"
    async with database.begin() as tx:
        await tx.execute(add, "kept")
    with pytest.raises(KeyError):
        async with database.begin() as tx:
            await tx.execute(add, "dropped")
            raise KeyError
    events = {row["event"] for row in await db.fetch("SELECT event FROM audit_events")}
    assert "kept" in events
    assert "dropped" not in events
    assert await database.fetch_row(BACKEND)


async def test_a_failed_statement_that_was_swallowed_does_not_pass_for_a_commit(open_database):
    database = open_database()
    with pytest.raises(RuntimeError, match="swallowed"):
        async with database.begin() as tx:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await tx.fetch("SELECT 1/0")


async def test_an_error_of_the_statement_alone_is_raised_as_it_is_and_the_connection_stays(open_database):
    database = open_database()
    before = await pid(database)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await database.fetch("SELECT 1/0")
    assert await pid(database) == before


async def test_a_connection_whose_caller_was_cancelled_is_thrown_away(open_database):
    database = open_database()
    before = await pid(database)
    sleeping = asyncio.create_task(database.execute("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.1)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    assert await pid(database) != before


async def test_a_cancelled_transaction_leaves_nothing_and_its_connection_is_thrown_away(open_database, db):
    database = open_database(max_connections=1)
    before = await pid(database)

    async def work():
        async with database.begin() as tx:
            await tx.execute("INSERT INTO audit_events (event) VALUES ('half done')")
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pid(database) != before
    assert not await db.fetch("SELECT FROM audit_events WHERE event = 'half done'")


async def test_a_connection_left_in_a_transaction_is_not_handed_on(open_database):
    database = open_database(max_connections=1)
    before = await pid(database)
    await database.execute("BEGIN")
    assert await pid(database) != before


async def test_a_connection_past_its_lifetime_is_replaced(open_database):
    database = open_database(max_lifetime=timedelta(milliseconds=50))
    before = await pid(database)
    await asyncio.sleep(0.06)
    assert await pid(database) != before


async def test_waiting_for_a_connection_has_an_end(open_database):
    database = open_database(max_connections=1, acquire_timeout=timedelta(milliseconds=50))
    async with database.begin():
        with pytest.raises(DatabaseUnavailable):
            await database.fetch_row(BACKEND)
    assert await pid(database)


async def test_a_waiter_that_gives_up_loses_no_connection(open_database):
    database = open_database(max_connections=1, acquire_timeout=timedelta(seconds=5))
    for _ in range(20):
        async with database.begin():
            waiters = [asyncio.create_task(pid(database)) for _ in range(3)]
            await asyncio.sleep(0)
        waiters[0].cancel()
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)
        assert all(isinstance(outcome, int) for outcome in outcomes[1:])
    assert await pid(database)


async def test_a_statement_that_runs_too_long_is_stopped(open_database):
    database = open_database(statement_timeout=timedelta(milliseconds=100))
    with pytest.raises(DatabaseUnavailable):
        await database.execute("SELECT pg_sleep(30)")
    assert await pid(database)


async def test_a_backend_that_was_killed_is_an_outage_and_then_forgotten(open_database, cluster):
    database = open_database()
    victim = await pid(database)
    sleeping = asyncio.create_task(database.execute("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.1)
    await cluster.execute(f"SELECT pg_terminate_backend({victim})")
    with pytest.raises(DatabaseUnavailable):
        await sleeping
    assert await pid(database) != victim


async def test_an_idle_connection_that_was_killed_is_noticed_before_it_is_handed_out(open_database, cluster):
    database = open_database()
    victim = await pid(database)
    await cluster.execute(f"SELECT pg_terminate_backend({victim})")
    await asyncio.sleep(0.1)
    assert await pid(database) != victim


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keystead_runtime@127.0.0.1:1/keystead",
        "postgresql://keystead_runtime@/keystead?host=/nonexistent",
    ],
)
async def test_a_server_that_is_not_there_is_an_outage(open_database, url):
    with pytest.raises(DatabaseUnavailable):
        await open_database(url).open()


async def test_the_owners_tables_are_closed_to_the_runtime_role_where_they_should_be(db):
    for statement in (
        "UPDATE audit_events SET event = 'forged'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DELETE FROM signing_keys",
        "CREATE TABLE mine ()",
        "CREATE OR REPLACE FUNCTION keystead_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "UPDATE schema_migrations SET checksum = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.execute(statement)
