"""The crew, where it takes more than a process to lose."""

import resource
import selectors
import socket
import sys
from pathlib import Path

from keystead.serving.crew import Crew
from keystead.serving.metrics import Figures
from tests.embedded.processes import wait_until

WORKER = 'import os, time; os.write(int(os.environ["KEYSTEAD_READY_FD"]), b"!"); time.sleep(60)'


def test_a_worker_that_cannot_be_started_just_now_is_started_later(tmp_path: Path) -> None:
    with selectors.DefaultSelector() as selector, socket.socket() as listener:
        crew = Crew(
            1,
            command=(sys.executable, "-c", WORKER),
            environment={},
            listener=listener.fileno(),
            selector=selector,
            figures=Figures(str(tmp_path)),
        )
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            crew.poll()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert crew.is_gone

        def is_complete() -> bool:
            crew.poll()
            return crew.is_complete

        wait_until(is_complete)
        crew.kill()
        assert crew.is_gone
