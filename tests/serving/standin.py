"""A worker that keeps the supervisor's side of the bargain and does little else. Run as a file.

Its argument says how it behaves: `well`, `dies` before it is ready, `stays` when it is told to end.
"""

import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if sys.argv[1] == "dies":
    sys.exit("standin: no such luck")

from prometheus_client import Counter, Gauge

REQUESTS = Counter("standin_requests", "Requests.")
BORN = Counter("standin_born", "Workers that became ready.")
ALIVE = Gauge("standin_alive", "One for each worker that lives.", multiprocess_mode="livesum")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        REQUESTS.inc()
        if self.path == "/slow":
            sys.stderr.write("standin: slow begins\n")
            time.sleep(0.4)
        answers = {"/pid": str(os.getpid()), "/workers": os.environ["KEYSTEAD_WORKERS"]}
        body = answers.get(self.path, os.environ.get(self.path[1:], "")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main(manner: str) -> None:
    server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(os.environ["KEYSTEAD_LISTEN_FD"]))
    server.daemon_threads = False
    stops = []

    def stop(*_):
        stops.append(1)
        sys.stderr.write(f"standin: stop {len(stops)}\n")
        if manner == "well":
            threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once: a worker is asked by SIGTERM alone
    ALIVE.set(1)
    BORN.inc()
    ready = int(os.environ["KEYSTEAD_READY_FD"])
    os.write(ready, b"\n")
    os.close(ready)
    server.serve_forever(poll_interval=0.02)
    server.server_close()


if __name__ == "__main__":
    main(sys.argv[1])
