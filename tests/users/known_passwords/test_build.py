"""From lists to a filter: nothing is forgotten, whatever the lists look like and whenever the build was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keystead.users.known_passwords import build as build_module
from keystead.users.known_passwords.build import Build, BuildRefused
from keystead.users.known_passwords.digests import digests_of
from keystead.users.known_passwords.filter_file import ENTRIES_AT, ENTRY_BYTES, FilterFile, FilterUnusable
from keystead.users.known_passwords.lists import ListForm, ListRejected, form_of
from tests.users.known_passwords.lists import build, published, sha1

PASSWORDS = [f"password number {number}" for number in range(20_000)]


@pytest.fixture
def hashes(tmp_path):
    path = tmp_path / "hashes.txt"
    path.write_text(published(PASSWORDS, end="\r\n"), newline="")
    return path


@pytest.fixture
def small_sections(monkeypatch):
    monkeypatch.setattr(build_module, "KEYS_IN_MEMORY", 3000)
    monkeypatch.setattr("keystead.users.known_passwords.lists._BLOCK_BYTES", 50_000)


def test_asvs_v5_6_2_12_every_password_of_the_list_is_found_and_no_other(hashes, tmp_path):
    made = build([hashes], tmp_path / "filter")
    assert made.count == len(PASSWORDS)
    assert all(made.has(sha1(password)) for password in PASSWORDS)
    seeded = random.Random(5)
    assert not any(made.has(seeded.randbytes(20)) for _ in range(20_000))
    made.verify()
    assert [each.name for each in tmp_path.iterdir() if each.is_dir()] == []


def test_lists_of_both_forms_go_into_one_filter_and_repetitions_do_not_count(
    hashes, tmp_path, small_sections
):
    plain = tmp_path / "plain.txt"
    plain.write_bytes(
        b"password number 1\r\nPassWord Number 20000\n\n\n" + "café au lait\n".encode() + b"caf\xe9\nlast"
    )
    made = build([hashes, plain, hashes], tmp_path / "filter")
    for password in ("PassWord Number 20000", "password number 20000", "café au lait", b"caf\xe9", "last"):
        assert made.has(sha1(password)), password
    assert made.count == len(PASSWORDS) + 5


def test_a_password_is_found_in_any_case_and_in_any_composition(tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("Cafe\u0301 Au Lait Noir\n", "utf-8")
    made = build([plain], tmp_path / "filter")
    for spelling in ("Caf\u00e9 Au Lait Noir", "caf\u00e9 au lait noir", "CAF\u00c9 AU LAIT NOIR"):
        assert any(map(made.has, digests_of(spelling)))


def test_lines_that_are_no_hashes_are_left_out_and_counted(tmp_path):
    path = tmp_path / "hashes.txt"
    path.write_text(
        published(["one"]) + "no hash\n" + "A" * 41 + "\n" + "G" * 40 + "\n\n" + sha1("two").hex() + "\n"
    )
    with Build.opened([path], tmp_path / "filter") as work:
        assert sum(work.spill()) == path.stat().st_size
        list(work.merge())
        made = work.finish()
        assert work.progress.lines_left_out == 3
    assert (made.count, made.has(sha1("one")), made.has(sha1("two"))) == (2, True, True)


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (published(["x"]), ListForm.SHA1),
        (f"\n{sha1('x').hex()}\n", ListForm.SHA1),
        ("hunter2\n", ListForm.PASSWORDS),
        (sha1("x").hex()[:-1], ListForm.PASSWORDS),
    ],
)
def test_a_list_is_known_by_its_first_line(tmp_path, content, form):
    (tmp_path / "list").write_text(content)
    assert form_of(tmp_path / "list") is form


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"8846F7EAEE8FB117AD06BDD830B7586C:42\n", "NTLM"),
        (b"\x1f\x8b\x08\x00\x00\x00\n", "no text"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, content, why):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(ListRejected, match=why):
        build([tmp_path / "list"], tmp_path / "filter")
    assert not (tmp_path / "filter").exists()


def test_one_line_without_an_end_takes_no_memory_without_an_end(tmp_path, small_sections):
    (tmp_path / "list").write_bytes(b"hunter2\n" + b"x" * 200_000)
    with pytest.raises(ListRejected, match="longer than"):
        build([tmp_path / "list"], tmp_path / "filter")


def test_a_build_that_was_stopped_anywhere_goes_on_and_makes_the_same(hashes, tmp_path, small_sections):
    whole = build([hashes], tmp_path / "whole")
    out, stops = tmp_path / "filter", 0
    while not out.exists():
        with Build.opened([hashes], out) as work:
            read = work.bytes_read
            for _ in _some(work.spill(), 3 + stops % 3):
                pass
            if work.progress.number == 1:
                for _ in _some(work.merge(), 30):
                    pass
            if work.parts_merged == 256:
                work.finish()
        stops += 1
        assert read <= work.bytes_read
    assert stops > 5
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()
    assert whole.count == len(PASSWORDS)


def _some(steps, count):
    """The first few, as far as a killed process would get."""
    for _, step in zip(range(count), steps, strict=False):
        yield step


IN_SMALL_SECTIONS = """
import sys
from pathlib import Path
from keystead.users.known_passwords import build
build.KEYS_IN_MEMORY = 20_000
with build.Build.opened([Path(sys.argv[1])], Path(sys.argv[2])) as work:
    list(work.spill())
    list(work.merge())
    work.finish()
"""


def test_a_build_that_is_killed_and_run_again_makes_the_same(tmp_path):
    listed, out = tmp_path / "list", tmp_path / "filter"
    listed.write_text(published(f"password {number}" for number in range(300_000)))
    command = (sys.executable, "-c", IN_SMALL_SECTIONS, str(listed))
    for sign in ("progress.json", "index"):
        process = subprocess.Popen([*command, str(out)])
        while not ((found := tmp_path / "filter.building" / sign).exists() and found.stat().st_size):
            assert process.poll() is None, f"it was done before there was a {sign}"
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not out.exists()
    subprocess.run([*command, str(out)], check=True)
    build([listed], tmp_path / "whole")
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()
    assert not (tmp_path / "filter.building").exists()


def test_the_rest_of_a_build_is_of_the_same_lists(hashes, tmp_path):
    with Build.opened([hashes], tmp_path / "filter") as work:
        list(work.spill())
    with hashes.open("a") as file:
        file.write(published(["one more"]))
    with pytest.raises(BuildRefused, match="other lists"):
        build([hashes], tmp_path / "filter")


def test_two_builds_of_one_file_do_not_meet(hashes, tmp_path):
    with Build.opened([hashes], tmp_path / "filter"), pytest.raises(BuildRefused, match="another build"):
        build([hashes], tmp_path / "filter")
    build([hashes], tmp_path / "filter")


def test_the_file_that_is_there_stays_until_another_is_whole(hashes, tmp_path):
    out = tmp_path / "filter"
    (tmp_path / "one").write_text("the only one of them\n")
    build([tmp_path / "one"], out)
    held = FilterFile(out)
    with Build.opened([hashes], out) as work:
        list(work.spill())
        list(work.merge())
        assert out.stat().st_ino == held.identity.inode
        work.finish()
    assert FilterFile(out).count == len(PASSWORDS)
    assert held.has(sha1("the only one of them"))
    assert not held.has(sha1(PASSWORDS[0]))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: b"", "no filter"),
        (lambda data: data[:40], "no filter"),
        (lambda data: b"x" + data[1:], "no filter"),
        (lambda data: data[:11] + b"\x09" + data[12:], "version 9"),
        (lambda data: data[:-1], "not all there"),
        (lambda data: data[: len(data) // 2], "not all there"),
        (lambda data: data + b"xxxx", "not all there"),
    ],
    ids=["empty", "short", "other", "newer", "cut", "half", "more"],
)
def test_what_is_not_all_of_a_filter_is_seen_when_it_is_opened(hashes, tmp_path, damage, why):
    build([hashes], tmp_path / "filter")
    Path(tmp_path / "bad").write_bytes(damage((tmp_path / "filter").read_bytes()))
    with pytest.raises(FilterUnusable, match=why):
        FilterFile(tmp_path / "bad")


@pytest.mark.parametrize("at", [12, 64, ENTRIES_AT - 1, ENTRIES_AT, -1])
def test_one_wrong_bit_anywhere_is_seen_when_all_of_it_is_read(hashes, tmp_path, at):
    build([hashes], tmp_path / "filter")
    data = bytearray((tmp_path / "filter").read_bytes())
    data[at] ^= 1
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(FilterUnusable, match="checksum"):
        FilterFile(tmp_path / "bad").verify()


def test_a_folder_a_pipe_and_nothing_are_no_filter(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nothing"):
        with pytest.raises(FilterUnusable):
            FilterFile(path)


def test_a_file_that_is_cut_while_it_is_open_is_said_and_kills_nobody(hashes, tmp_path):
    made = build([hashes], tmp_path / "filter")
    os.truncate(tmp_path / "filter", ENTRIES_AT + ENTRY_BYTES)
    with pytest.raises(FilterUnusable, match="truncated"):
        for password in PASSWORDS:
            made.has(sha1(password))
