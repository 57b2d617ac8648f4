"""The metrics listener: the figures of all workers together, on a port of its own."""

import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from keystead.kernel.errors import CannotStart

log = structlog.get_logger("supervisor")

_PAUSES = (0.01, 0.05, 0.2)


class Figures:
    """The folder where each worker keeps its figures."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def forget(self, pid: int) -> None:
        """What a process that is gone was doing counts no longer; what it has done still does."""
        mark_process_dead(pid, self.folder)  # type: ignore[no-untyped-call]

    def render(self, accept: str) -> tuple[bytes, str]:
        """All figures, and the content type they are written in."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, self.folder)  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(accept)
        for pause in _PAUSES:
            try:
                return encode(registry), content_type
            except struct.error:  # a worker that starts has made its file and not yet filled it
                sleep(pause)
        return encode(registry), content_type


@contextmanager
def serving_metrics(listener: socket.socket, above: Path | None) -> Iterator[Figures]:
    """Answer `/metrics` on `listener` while the block runs, from an empty folder that nobody else can read.

    It is in `above`, where a killed run's figures are wiped, or else in the folder for temporary files.
    """
    with _empty_folder(above) as folder:
        figures = Figures(folder)
        with _Server(listener, figures) as server:
            thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
            thread.start()
            try:
                yield figures
            finally:
                server.shutdown()
                thread.join()


@contextmanager
def _empty_folder(above: Path | None) -> Iterator[str]:
    try:
        if above is not None:
            shutil.rmtree(above / "metrics", ignore_errors=True)
            (above / "metrics").mkdir(mode=0o700)
        folder = str(above / "metrics") if above else tempfile.mkdtemp(prefix="keystead-metrics-")
    except OSError as error:
        raise CannotStart(
            f"No folder for metrics can be made: {error}. Free some space, or set TMPDIR."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a slow client holds up nobody, and no end of ours
    block_on_close = False

    def __init__(self, listener: socket.socket, figures: Figures) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.figures = figures

    def handle_error(self, _request: object, client_address: object) -> None:
        log.warning("metrics.not_answered", client=str(client_address), reason=repr(sys.exc_info()[1]))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds without a byte

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, b"Not found. The figures are at /metrics.\n", "text/plain")
            return
        self._answer(HTTPStatus.OK, *self.server.figures.render(self.headers.get("Accept", "")))

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line each."""
