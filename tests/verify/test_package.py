"""The distribution: what its wheel holds, and that it needs `cryptography` and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling import build

PACKAGE = Path(__file__).parents[2] / "packages" / "keystead-verify"
SOURCE = PACKAGE / "src" / "keystead_verify"
FRAMEWORKS = {"asgi", "django", "drf", "fastapi", "flask", "grpc", "wsgi"}

# In a process that finds the standard library, `cryptography` and what that is made of, and nothing else.
ALONE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        ours = {"keystead_verify", "cryptography", "cffi", "_cffi_backend", "pycparser"}
        if root not in sys.stdlib_module_names | ours:
            raise ModuleNotFoundError(name, name=root)

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PACKAGE)
        return folder / build.build_wheel(str(folder))


def alone(script, path=SOURCE.parent):
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE + script, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_module_its_types_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
        metadata = opened.read("keystead_verify-0.1.0.dist-info/METADATA").decode()
    assert names == {f"keystead_verify/{path.name}" for path in SOURCE.iterdir() if path.is_file()}
    assert "keystead_verify/py.typed" in names
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    assert [line.partition(">=")[0] for line in required] == ["Requires-Dist: cryptography"]
    assert "License-Expression: MIT" in metadata
    assert "from keystead_verify.fastapi import Bearer" in metadata.partition("```python")[2][:200]


def test_from_the_wheel_it_works_with_nothing_but_cryptography(wheel):
    script = """
import keystead_verify, keystead_verify.asgi, keystead_verify.wsgi
verifier = keystead_verify.Verifier("https://id.example", "https://api.example")
try:
    verifier.verify("x.y.z")
except keystead_verify.NotAllowed as refusal:
    print(type(refusal).__name__)
"""
    assert alone(script, wheel) in ("InvalidToken\n", "IssuerUnavailable\n")


@pytest.mark.parametrize("module", sorted(FRAMEWORKS - {"asgi", "wsgi"}))
def test_a_module_for_a_framework_that_is_not_there_names_it(module):
    needed = {"drf": "rest_framework", "fastapi": "starlette"}.get(module, module)
    script = f"""
try:
    import keystead_verify.{module}
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert alone(script) == f"{needed}\n"


def test_importing_it_imports_no_framework_and_makes_no_request():
    script = """
before = set(sys.modules)
import socket
socket.socket.connect = None
import keystead_verify
keystead_verify.Verifier("https://id.example", "https://api.example")
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} & {"starlette", "django", "flask", "grpc"}))
"""
    assert alone(script) == "[]\n"


def test_the_server_and_the_package_do_not_import_each_other():
    server = Path(__file__).parents[2] / "src" / "keystead"
    assert not [path for path in server.rglob("*.py") if "keystead_verify" in path.read_text("utf-8")]
    assert not [path for path in SOURCE.glob("*.py") if "from keystead." in path.read_text("utf-8")]
