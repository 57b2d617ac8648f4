"""Starting, watching and stopping the embedded servers, as whoever runs the tests."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import asyncpg
import pytest

from keystead.embedded.folder import AlreadyRunning, DataFolder
from keystead.embedded.launcher import Embedded, Wanted
from keystead.embedded.server import Event
from tests.embedded.conftest import launcher, query, running
from tests.embedded.processes import children, is_alive, wait_until

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


def ping(url: str | None) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(url).removeprefix("unix://"))
        connection.sendall(b"PING\r\n")
        return connection.recv(16)


def watch(embedded: Embedded, until: Event) -> list[Event]:
    seen: list[Event] = []

    def look() -> bool:
        seen.extend(embedded.poll())
        return until in seen

    wait_until(look)
    return seen


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_a_first_start_makes_everything_and_a_second_finds_it_again(folder):
    with running(folder / "new") as (_, first):
        query(first.migration_url, "CREATE TABLE notes (text text)")
        query(first.migration_url, "INSERT INTO notes VALUES ('kept')")
        assert ping(first.redis_url) == b"+PONG\r\n"
    with running(folder / "new") as (_, second):
        assert query(second.migration_url, "SELECT text FROM notes")[0]["text"] == "kept"
    assert second == first
    assert first.root_secret is not None
    assert len(first.root_secret) >= 32
    assert first.root_secret not in repr(first)


def test_what_is_given_is_neither_started_nor_made(folder):
    with running(folder / "data", Wanted(postgres=False, valkey=False, root_secret=True)) as (_, endpoints):
        assert (endpoints.database_url, endpoints.redis_url) == (None, None)
    assert {each.name for each in (folder / "data").iterdir()} == {"keystead.lock", "root_secret"}


def test_nothing_in_the_data_folder_can_be_read_by_others(shared):
    _, _, data = shared
    for path in data.iterdir():
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path
    assert not stat.S_IMODE(data.stat().st_mode) & 0o066


def test_the_owner_may_make_and_grant_and_the_runtime_role_may_use(shared):
    _, endpoints, _ = shared
    query(endpoints.database_url, "INSERT INTO notes VALUES ('from runtime')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        query(endpoints.database_url, "CREATE TABLE mine ()")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        query(endpoints.database_url, "DROP TABLE notes")
    powers = query(endpoints.migration_url, "SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreaterole")
    assert not {"keystead_owner", "keystead_runtime"} & {row["rolname"] for row in powers}


def test_text_compares_and_folds_by_unicode_and_nobody_can_connect_by_network(shared):
    _, endpoints, _ = shared
    asked = (
        "SELECT lower('ÄÉ'), current_setting('listen_addresses') AS net, current_setting('fsync') AS fsync"
    )
    [row] = query(endpoints.database_url, asked)
    assert tuple(row) == ("äé", "", "on")


def test_the_servers_get_no_ctrl_c_of_the_terminal(shared):
    embedded, _, _ = shared
    for server in embedded._servers:
        assert server.pid is not None
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_second_start_says_who_is_running_and_lends_the_servers(shared):
    _, endpoints, data = shared
    message = f"process {os.getpid()}, at http://127.0.0.1:3000"
    with pytest.raises(AlreadyRunning, match=message) as refused, DataFolder.open(data):
        pass
    assert refused.value.endpoints == endpoints
    assert refused.value.pid == os.getpid()
    assert refused.value.endpoints is not None
    assert query(refused.value.endpoints.database_url, "SELECT 1 AS one")[0]["one"] == 1


@pytest.mark.parametrize("name", ["_postgres", "_valkey"])
def test_a_killed_server_is_restarted(data, name):
    with running(data) as (embedded, endpoints):
        query(endpoints.database_url, "INSERT INTO notes VALUES ('committed')")
        server = getattr(embedded, name)
        killed = server.pid
        kill(killed)
        seen = watch(embedded, Event(server.name, "ready"))
        assert [event.what for event in seen] == ["died", "restarted", "ready"]
        assert seen[0].detail == "killed by SIGKILL"
        assert server.pid != killed
        assert len(query(endpoints.database_url, "SELECT * FROM notes")) == 1
        assert ping(endpoints.redis_url) == b"+PONG\r\n"


def test_a_restart_waits_until_the_last_process_of_the_killed_server_is_gone(data, folder):
    os.mkfifo(folder / "gate", 0o644)
    with running(data, Wanted(postgres=True, valkey=False, root_secret=False)) as (embedded, _):
        postgres = embedded._postgres
        assert postgres is not None
        waiting = f"COPY (SELECT 1) TO PROGRAM 'cat {folder}/gate'"
        psql: list[str | Path] = [postgres._programs.folder / "psql", postgres.superuser_url, "-qc", waiting]
        with subprocess.Popen(psql, stderr=subprocess.DEVNULL):
            active = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%'"
            wait_until(lambda: query(postgres.superuser_url, active))
            [backend] = query(postgres.superuser_url, active)
            kill(postgres.pid)
            watch(embedded, Event("postgres", "died", "killed by SIGKILL"))
            assert embedded.poll() == []
            assert is_alive(backend["pid"])
            (folder / "gate").write_text("")
            watch(embedded, Event("postgres", "restarted"))
            assert not is_alive(backend["pid"])


def test_a_killed_launcher_leaves_no_orphan_and_the_next_start_works(data):
    with launcher(data) as process:
        assert process.stdout is not None
        url, *pids = process.stdout.readline().split()
        query(url, "INSERT INTO notes VALUES ('committed')")
        process.kill()
        process.wait()
        with running(data) as (_, endpoints):
            assert len(query(endpoints.database_url, "SELECT * FROM notes")) == 1
        assert not any(is_alive(int(pid)) for pid in pids)


def test_the_next_start_works_after_everything_was_killed_at_once(data):
    with launcher(data) as process:
        assert process.stdout is not None
        url, *pids = process.stdout.readline().split()
        query(url, "INSERT INTO notes VALUES ('committed')")
        process.kill()
        process.wait()
        for pid in pids:
            kill(int(pid))
    with running(data) as (_, endpoints):
        assert len(query(endpoints.database_url, "SELECT * FROM notes")) == 1


def test_a_launcher_killed_while_it_makes_the_database_leaves_nothing_that_stops_the_next(folder):
    with launcher(folder / "data") as process:
        wait_until((folder / "data" / "postgres.new" / "base").exists)
        for pid in (process.pid, *children(process.pid)):
            kill(pid)
        process.wait()
    assert any((folder / "data" / "postgres.new").iterdir())
    assert not (folder / "data" / "postgres").exists()
    secret = (folder / "data" / "root_secret").read_text()
    with running(folder / "data") as (_, endpoints):
        assert query(endpoints.database_url, "SELECT 1 AS one")[0]["one"] == 1
    assert (folder / "data" / "root_secret").read_text() == secret


def test_a_pid_file_that_names_a_stranger_does_not_stop_a_start(data):
    stale = f"{os.getpid()}\n{data}/postgres\n1\n5432\n{data}/run\n\n  1 1\nready\n"
    (data / "postgres" / "postmaster.pid").write_text(stale)
    with running(data) as (_, endpoints):
        assert query(endpoints.database_url, "SELECT 1 AS one")[0]["one"] == 1


@pytest.mark.skipif(not DEBIAN_15.exists(), reason=f"there is no {DEBIAN_15}")
def test_another_postgresql_can_be_named(folder):
    for _ in "ab":
        with running(folder / "data", pg_bin=DEBIAN_15) as (_, endpoints):
            [row] = query(
                endpoints.database_url,
                "SELECT current_setting('server_version_num')::int / 10000, lower('Ä')",
            )
            assert tuple(row) == (15, "ä")
