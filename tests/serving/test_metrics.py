"""Figures that several workers keep."""

import socket
import tempfile
import threading
from time import sleep

import pytest

from keystead.kernel.errors import CannotStart
from keystead.serving.metrics import Figures, serving_metrics

SIZE_OF_A_NEW_FILE = 1 << 20


def test_a_scrape_that_meets_a_worker_at_its_birth_waits_for_it(tmp_path):
    figures = tmp_path / "counter_1.db"
    figures.touch()

    def fill() -> None:
        sleep(0.02)
        figures.write_bytes(bytes(SIZE_OF_A_NEW_FILE))

    filling = threading.Thread(target=fill)
    filling.start()
    body, content_type = Figures(str(tmp_path)).render("text/plain")
    assert (body, content_type.split(";")[0]) == (b"", "text/plain")
    filling.join()


def test_where_no_folder_can_be_made_the_message_names_the_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with (
        socket.socket() as listener,
        pytest.raises(CannotStart, match=r"No folder for metrics .*/missing/.* set TMPDIR"),
        serving_metrics(listener, None),
    ):
        pass
