"""The throw-away Keystead: what it leaves behind, and what it says when it cannot start."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pytest_keystead.prepared import CannotStart
from pytest_keystead.server import ThrowAwayKeystead

SETTINGS = {"AUTH__SIGNING_ALGORITHM": "ES256"}  # one for all tests: each kind of key is prepared once
WAITING = """
import sys
from pytest_keystead.server import ThrowAwayKeystead
made = ThrowAwayKeystead({"AUTH__SIGNING_ALGORITHM": "ES256"})
print(*made.pids, made.home, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def here(monkeypatch, cache, tmp_path_factory):
    """Starts in this process, below a folder of its own."""
    base = Path(tempfile.mkdtemp(prefix="ks-"))
    base.chmod(0o711)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    yield base
    base.rmdir()  # nothing is left in it


def test_a_run_that_is_killed_leaves_neither_a_process_nor_a_folder(environ):
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        *pids, folder = run.stdout.readline().split()
        assert len(pids) == 3
        assert Path(folder).is_dir()
        run.kill()
    ends = time.monotonic() + 30
    while (Path(folder).exists() or any(map(is_running, pids))) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not Path(folder).exists()
    assert not any(map(is_running, pids))


def test_what_the_server_cannot_start_with_is_said_and_nothing_is_left(here):
    with pytest.raises(CannotStart, match="request_timeout_secs"):
        ThrowAwayKeystead({**SETTINGS, "SERVER__REQUEST_TIMEOUT_SECS": "nonsense"})


def test_a_bad_setting_of_the_signing_key_is_said_and_nothing_is_left(here):
    with pytest.raises(CannotStart, match="signing_algorithm"):
        ThrowAwayKeystead({"AUTH__SIGNING_ALGORITHM": "none"})


def test_its_own_database_is_no_setting():
    with pytest.raises(CannotStart, match="DATABASE__URL is not for keystead_settings"):
        ThrowAwayKeystead({"DATABASE__URL": "postgresql://somewhere/else"})


def test_a_cache_that_cannot_be_written_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CannotStart, match="set XDG_CACHE_HOME"):
        ThrowAwayKeystead()


def test_it_can_be_closed_twice_and_nothing_is_left(here):
    made = ThrowAwayKeystead(SETTINGS)
    assert made.user().access_token
    pids = made.pids
    made.close()
    made.close()
    assert not any(map(is_running, pids))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True
