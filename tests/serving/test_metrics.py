"""Figures that several workers keep."""

import threading
from pathlib import Path
from time import sleep

from keystead.serving.metrics import Figures

SIZE_OF_A_NEW_FILE = 1 << 20


def test_a_scrape_that_meets_a_worker_at_its_birth_waits_for_it(tmp_path: Path) -> None:
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
