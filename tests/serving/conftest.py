"""`serve` as a process of its own, with a stand-in for the workers."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.embedded.processes import make_folder, wait_until

STAND_IN = Path(__file__).with_name("standin.py")
SERVE = """
import sys, time
from keystead.kernel.errors import CannotStart
from keystead.serving.supervisor import serve
from keystead.settings import load

def prepare(settings):
    if "slow" in sys.argv:
        sys.stderr.write("preparing\\n")
        time.sleep(60)
    if "fails" in sys.argv:
        raise CannotStart("The schema is behind: run keystead migrate.")

sys.exit(serve(load().settings, workers=int(sys.argv[1]), prepare=prepare, worker=(sys.executable, *sys.argv[2:4])))
"""
GIVEN = {
    "APP_DATABASE__URL": "postgresql://nobody@localhost/nothing",
    "APP_REDIS__URL": "redis://localhost",
    "APP_AUTH__JWT_SECRET": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH",
}


class Serving:
    """A running `serve`, what it says, and where it listens."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: Path) -> None:
        self.process = process
        self._errors = errors
        self._heard = 0

    @property
    def said(self) -> list[str]:
        return self._errors.read_text().splitlines()

    def hear(self, pattern: str) -> "re.Match[str]":
        """The next match of `pattern` in what is said, after what was heard before."""
        found: list[re.Match[str]] = []

        def listen() -> bool:
            text = self._errors.read_text()
            found.extend(re.compile(pattern).finditer(text, self._heard))
            assert found or self.process.poll() is None, f"never said {pattern!r}, but: {text}"
            return bool(found)

        wait_until(listen)
        self._heard = found[0].end()
        return found[0]

    def hear_urls(self) -> None:
        self.url = self.hear(r"API +(\S+)")[1]
        self.metrics_url = self.hear(r"Metrics +(\S+)")[1]
        self.hear("Stop with Ctrl-C")

    def get(self, path: str) -> str:
        with urlopen(f"{self.url}/{path}", timeout=10) as answer:
            return answer.read().decode()

    def figures(self) -> str:
        with urlopen(self.metrics_url, timeout=10) as answer:
            return answer.read().decode()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        return self.process.wait(40)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = make_folder("ks-serving-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder):
    """Starts `serve` in `folder`; keywords are settings, without APP_."""

    @contextmanager
    def starting(*how: str, workers: int = 1, embedded: bool = False, **settings: str) -> Iterator[Serving]:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("APP_")}
        environment |= {} if embedded else GIVEN
        environment |= {
            "APP_SERVER__PORT": "0",
            "APP_OBSERVABILITY__METRICS__PROMETHEUS_ENDPOINT": "127.0.0.1:0",
        }
        environment |= {f"APP_{name}": text for name, text in settings.items()}
        command = [sys.executable, "-c", SERVE, str(workers), str(STAND_IN), *(how or ("well",))]
        errors = folder / f"said-{secrets.token_hex(4)}"
        with (
            errors.open("wb") as file,
            subprocess.Popen(
                command, cwd=folder, env=environment, stderr=file, start_new_session=True
            ) as process,
        ):
            try:
                yield Serving(process, errors)
            finally:
                process.kill()

    return starting
