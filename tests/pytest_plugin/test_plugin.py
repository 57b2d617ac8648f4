"""The pytest plugin, as somebody else's tests use it: in runs of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [str(ROOT / "src"), *(str(path) for path in sorted(ROOT.glob("packages/*/src")))]
THEIRS = """
import urllib.request, json
from keystead_verify import InvalidToken, Verifier
import pytest

AUDIENCE = "https://api.example"

@pytest.fixture(scope="session")
def keystead_settings():
    return {"APPLICATIONS__SHOP__AUDIENCE": "https://shop.example"}

def test_the_local_issuer(keystead_issuer):
    verifier = Verifier(keystead_issuer.url, AUDIENCE, clock=keystead_issuer.clock)
    token = keystead_issuer.token(roles=["admin"])
    assert verifier.verify(token).roles == ("admin",)
    keystead_issuer.clock.advance(600)
    with pytest.raises(InvalidToken):
        verifier.verify(token)

def test_it_is_as_new_for_each_test(keystead_issuer):
    assert Verifier(keystead_issuer.url, AUDIENCE).verify(keystead_issuer.token())

def test_the_real_thing(keystead):
    person = keystead.user(roles=("user", "admin"), client_id="shop")
    request = urllib.request.Request(keystead.url + "/api/v1/users", headers=person.bearer)
    assert person.email in [each["email"] for each in json.load(urllib.request.urlopen(request))["items"]]
    claims = Verifier(keystead.url, "https://shop.example").verify(person.access_token)
    assert (claims.subject, claims.client_id) == (person.id, "shop")
"""
WAITING = """
import sys, time
from pytest_keystead.server import ThrowAwayKeystead
made = ThrowAwayKeystead()
print(made._postgres.pid, made._process.pid, made._folder, flush=True)
time.sleep(60)
"""


@pytest.fixture
def environ(tmp_path_factory):
    """A machine where nothing was prepared yet, but once for all of this module."""
    cache = tmp_path_factory.getbasetemp() / "plugin-cache"
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("APP_", "PYTEST_"))
    }
    return {**inherited, "PYTHONPATH": os.pathsep.join(PACKAGES), "XDG_CACHE_HOME": str(cache)}


def test_their_tests_run_with_an_issuer_and_with_the_real_thing(tmp_path, environ):
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_keystead.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_run_that_is_killed_leaves_nothing_running_and_the_next_one_tidies_up(tmp_path, environ):
    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", WAITING], env=environ, stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert process.stdout is not None
        with process.stdout:
            postgres, worker, folder = process.stdout.readline().split()
        return process, int(postgres), int(worker), Path(folder)

    first, *pids, folder = start()
    first.kill()
    first.wait()
    ends = time.monotonic() + 20
    while any(is_running(pid) for pid in pids) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not any(is_running(pid) for pid in pids)
    second, _, _, other = start()
    try:
        assert not folder.exists()
        assert other.exists()
    finally:
        second.kill()
        second.wait()


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
    except OSError:
        os.kill(pid, 0)
        return True
