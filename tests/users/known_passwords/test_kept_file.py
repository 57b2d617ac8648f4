"""The file as a process holds it: replaced under it, damaged under it, and never without saying so."""

import os

import pytest
from structlog.testing import capture_logs

from keystead.kernel.errors import CannotStart
from keystead.kernel.telemetry import KNOWN_PASSWORDS_FILE_UNSOUND
from keystead.users.known_passwords.filter_file import ENTRIES_AT
from keystead.users.known_passwords.kept_file import KeptFile, require_sound
from tests.users.known_passwords.lists import build, sha1

OLD, NEW = sha1("the old one of them"), sha1("the new one of them")


def make(path, *passwords):
    listed = path.with_suffix(".txt")
    listed.write_text("".join(f"{each}\n" for each in passwords))
    build([listed], path)


def is_unsound():
    return KNOWN_PASSWORDS_FILE_UNSOUND._value.get()


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "filter"
    make(made, "the old one of them", *map(str, range(1000)))
    return made


def test_another_file_is_taken_up_without_a_restart(path):
    kept = KeptFile(path)
    assert kept.has(OLD)
    assert not kept.has(NEW)
    make(path, "the new one of them")
    kept.look()
    assert kept.has(NEW)
    assert not kept.has(OLD)
    assert is_unsound() == 0


@pytest.mark.parametrize("damage", ["bit", "half", "gone", "other"])
def test_the_earlier_one_is_kept_while_the_file_is_unsound_and_that_is_said(path, damage):
    kept = KeptFile(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    worse = {"bit": data, "half": data[: len(data) // 2], "other": b"hello"}
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(worse.get(damage, b""))
    path.unlink() if damage == "gone" else fresh.replace(path)
    with capture_logs() as logs:
        kept.look()
        kept.look()
    assert kept.has(OLD)
    assert is_unsound() == 1
    (said,) = logs
    assert (said["event"], said["log_level"]) == ("known_passwords.file_unsound", "error")
    assert said["earlier_one_is_kept"] is True
    make(path, "the new one of them")
    kept.look()
    assert kept.has(NEW)
    assert is_unsound() == 0


def test_a_file_that_is_cut_in_place_is_said_and_does_no_harm(path):
    kept = KeptFile(path)
    os.truncate(path, ENTRIES_AT)
    with capture_logs() as logs:
        assert not kept.has(OLD)
        assert not kept.has(OLD)
    assert [said["earlier_one_is_kept"] for said in logs] == [False]
    assert is_unsound() == 1


def test_a_process_that_is_started_again_meanwhile_goes_on_without_and_takes_the_next(path):
    path.unlink()
    with capture_logs() as logs:
        kept = KeptFile(path)
    assert not kept.has(OLD)
    assert [said["reason"] for said in logs] == ["No such file or directory"]
    make(path, "the old one of them")
    kept.look()
    assert kept.has(OLD)


def test_what_cannot_be_used_prevents_a_start(path):
    require_sound(path, wholly=True)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    require_sound(path, wholly=False)
    with pytest.raises(CannotStart, match="checksum is wrong"):
        require_sound(path, wholly=True)
    path.write_bytes(data[:-1])
    with pytest.raises(
        CannotStart, match=r"auth\.password\.blocklist, .*filter, cannot be used: .*not all there"
    ):
        require_sound(path, wholly=False)
    path.unlink()
    with pytest.raises(CannotStart, match="No such file"):
        require_sound(path, wholly=False)
