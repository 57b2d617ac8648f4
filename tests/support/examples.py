"""The examples, started as their readers start them, with what they need kept for the next run."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keystead.embedded.process import descriptors, tethered

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
_START_SECONDS = 60.0  # a first compilation of Go's standard library takes most of it
_NEEDED = {"express": ("node", "npm"), "go": ("go",), "nginx": ("nginx",)}


def missing(name: str) -> str | None:
    """Why an example cannot run on this machine."""
    lacking = [program for program in _NEEDED.get(name, ()) if shutil.which(program) is None]
    if lacking:
        return f"examples/{name} needs {' and '.join(lacking)}."
    if name == "express":
        try:
            _node_folder()
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return f"The packages of examples/{name} cannot be installed: {error}"
    return None


def _cache() -> Path:
    """A folder of ours outside the checkout, which outlives the run."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "keystead-examples"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(name: str, keystead: str, folder: Path, **environment: str) -> Iterator[str]:
    """The URL of a running example that trusts the server at `keystead`; what it says goes into `folder`."""
    port = free_port()
    log = folder / f"{name}.log"
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")},
        "KEYSTEAD_URL": keystead,
        "PORT": str(port),
        "BUILD": str(folder),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            tethered(_command(name, port), ending=signal.SIGTERM),  # which make passes on
            cwd=_node_folder() if name == "express" else ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors(),
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _command(name: str, port: int) -> list[str]:
    """`make example-NAME` without the installing."""
    if name == "express":
        return [_program("node"), "server.js"]
    given = (f"PORT={port}", f"BIN={Path(sys.executable).parent}", "DEV=", "ENVIRONMENT=")
    return [_program("make"), "--silent", f"example-{name}", *given]


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"there is no {name} here"
    return found


def _node_folder() -> Path:
    """A copy of the example with its packages, installed once for each version of it.

    Raises CalledProcessError, TimeoutExpired.
    """
    files = sorted(path for path in (EXAMPLES / "express").iterdir() if path.is_file())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    folder = _cache() / f"express-{version}"
    if not folder.exists():
        made = Path(tempfile.mkdtemp(dir=_cache()))
        try:
            for path in files:
                shutil.copy(path, made)
            install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(install, cwd=made, check=True, capture_output=True, timeout=50)
            with suppress(OSError):  # another worker was faster
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder


def _wait_until_it_listens(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            ended = process.poll() is not None or time.monotonic() > until
            assert not ended, f"the example did not start: {log.read_text()[-2000:]}"
            time.sleep(0.05)
        else:
            return
