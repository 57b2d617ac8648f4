"""The pytest plugin, as somebody else's tests use it: in a run of their own."""

import os
import subprocess
import sys

THEIRS = """
from urllib.request import Request, urlopen

import pytest

from keystead_verify import InvalidToken, Verifier
from pytest_keystead.client import Refused
from pytest_keystead.forgery import FORGERIES

AUDIENCE = "https://api.example"
SHOP = "https://shop.example"

@pytest.fixture(scope="session")
def keystead_settings():
    return {"APPLICATIONS__SHOP__AUDIENCE": SHOP, "AUTH__SIGNING_ALGORITHM": "ES256", "AUTH__MAX_SESSIONS": 50}

def test_the_local_issuer(keystead_issuer):
    verifier = Verifier(keystead_issuer.url, AUDIENCE, clock=keystead_issuer.clock)
    token = keystead_issuer.token(roles=["admin"])
    assert verifier.verify(token).roles == ("admin",)
    keystead_issuer.clock.advance(600)
    keystead_issuer.slow_down(5)
    with pytest.raises(InvalidToken):
        verifier.verify(token)
    keystead_issuer.go_down()

@pytest.mark.parametrize("how", FORGERIES)
def test_it_is_as_new_for_each_test(keystead_issuer, how):
    verifier = Verifier(keystead_issuer.url, AUDIENCE)
    assert verifier.verify(keystead_issuer.token())
    with pytest.raises(InvalidToken):
        verifier.verify(keystead_issuer.forged(how))

def test_the_real_thing(keystead):
    ada = keystead.user(roles=["user", "admin"], client_id="shop")
    with urlopen(Request(keystead.url + "/api/v1/users/me", headers=ada.bearer)) as answer:
        assert ada.email.encode() in answer.read()
    claims = Verifier(keystead.url, SHOP).verify(ada.access_token)
    assert (claims.subject, claims.client_id, claims.roles) == (ada.id, "shop", ("admin", "user"))
    assert claims.auth_time and claims.amr == ("pwd",)
    assert keystead.user().id != ada.id

def test_somebody_asked_for_again_is_the_same_with_the_roles_named_now(keystead):
    first = keystead.user("grace@example.com", roles=["user", "admin"])
    again = keystead.user("grace@example.com", roles=["user"])
    assert (again.id, again.claims["roles"]) == (first.id, ["user"])
    assert again.claims["sid"] != first.claims["sid"]
    path = "/api/v1/users"
    assert keystead.client.request("GET", path, person=first).status == 403  # of now, not of the token
    assert keystead.client.request("GET", path).status == 401

def test_a_role_is_defined_before_it_is_given(keystead):
    with pytest.raises(Refused, match="no role of one of these names"):
        keystead.user(roles=["reader"])
    role = {"name": "reader", "permissions": ["users:read"]}
    keystead.client.call("POST", "/api/v1/roles", role, person=keystead.administrator())
    reader = keystead.user(roles=["reader"])
    assert keystead.client.call("GET", "/api/v1/users", person=reader)["items"]

def test_a_chosen_algorithm_signs_from_the_start(keystead):
    keys = keystead.client.call("GET", "/.well-known/jwks.json")["keys"]
    assert [key["alg"] for key in keys] == ["ES256"]

def test_all_its_parts_are_there_and_nothing_went_wrong(keystead):
    health = keystead.client.call("GET", "/health", person=keystead.administrator())
    assert {name: part["status"] for name, part in health["parts"].items()} == {
        "postgresql": "ok", "redis": "ok", "keys": "ok"
    }
    assert "error" not in keystead.log
"""


WITHOUT_THE_SERVER = """
import sys
sys.modules["keystead"] = None

def test_the_local_issuer_needs_no_keystead(keystead_issuer):
    assert keystead_issuer.token()

def test_the_server_is_missing(keystead):
    pass
"""


def test_their_tests_run_with_an_issuer_and_with_the_real_thing(tmp_path, environ, cache):
    was_prepared = any(cache.glob("pytest-keystead/*/postgres"))
    done = run(THEIRS, tmp_path, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 passed" in done.stdout
    assert ("preparing a database, once" in done.stdout + done.stderr) is not was_prepared


def test_without_the_server_the_issuer_works_and_the_other_fixture_says_what_to_install(tmp_path, environ):
    done = run(WITHOUT_THE_SERVER, tmp_path, environ)
    assert "1 passed, 1 error" in done.stdout
    assert "pip install 'pytest-keystead[keystead]'" in done.stdout


def run(tests, folder, environ):
    """Without this repository's own settings."""
    (folder / "test_theirs.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_keystead.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
