"""The tether: a child ends when its launcher does, whatever the kernel offers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.embedded.account import Account
from keystead.embedded.lock import Lock
from keystead.embedded.process import Log, run
from tests.embedded.processes import is_alive, wait_until

LAUNCHER = """
import os, signal, subprocess, sys
from keystead.embedded import process
process._KERNEL_TELLS = sys.argv[1] == "kernel"
program = ["/bin/sleep", "600"]
child = subprocess.Popen(process.tethered(program, ending=signal.SIGTERM), pass_fds=process.descriptors())
print(child.pid, flush=True)
if sys.argv[2] == "wait":
    sys.exit(-child.wait())
sys.stdin.read()
"""


def start(how: str, then: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", LAUNCHER, how, then]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def becomes(pid: int, program: bytes) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(program)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["kernel", "watcher"])
def test_a_tethered_program_ends_with_its_launcher_even_by_kill_9(how):
    with start(how, "sleep") as launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        wait_until(lambda: becomes(pid, b"/bin/sleep"))
        launcher.kill()
        wait_until(lambda: not is_alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["kernel", "watcher"])
def test_a_tethered_program_ends_by_itself_as_any_other(how):
    with start(how, "wait") as launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        wait_until(lambda: becomes(pid, b"/bin/sleep"))
        os.kill(pid, signal.SIGUSR1)
        assert launcher.wait() == signal.SIGUSR1


def test_a_log_that_grew_large_makes_room_and_keeps_the_old_one(tmp_path):
    log = Log(tmp_path / "server.log")
    log.path.write_bytes(b"old\n" * (3 << 20))
    descriptor = log.open()
    os.write(descriptor, b"new\n")
    os.close(descriptor)
    assert log.since_start() == "new\n"
    assert (tmp_path / "server.old.log").read_bytes().startswith(b"old\n")


def test_a_child_sees_no_secret_of_ours(folder, monkeypatch):
    monkeypatch.setenv("APP_AUTH__JWT_SECRET", "a-canary")
    lock = Lock.take(folder / "lock")
    assert lock is not None
    said = run(["/usr/bin/env"], account=Account.for_servers(), folder=folder, lock=lock)
    lock.release()
    assert "LC_ALL=" in said
    assert "a-canary" not in said
