"""A real browser, if the machine has one; and a small site of somebody's own, for it to open."""

import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MISSING = (
    "No browser: install Chromium (on Debian and Ubuntu: apt-get install chromium), "
    "or name one in KEYSTEAD_CHROMIUM."
)
# Of every text, the least contrast with what is behind it (WCAG 2.2, 1.4.3).
LEAST_CONTRAST = """() => {
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
        const [r, g, b] = parse(color).slice(0, 3).map((one) => {
            const part = one / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let one = element; one; one = one.parentElement) {
            const color = getComputedStyle(one).backgroundColor;
            if (parse(color).length === 3) return color;
        }
    };
    const texts = [...document.querySelectorAll("body *")].filter((one) =>
        [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
    return Math.min(...texts.map((one) => {
        const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    }));
}"""
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The program that KEYSTEAD_CHROMIUM names, else the first in the path."""
    named = os.environ.get("KEYSTEAD_CHROMIUM")
    if named is not None:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Profiles:
    """What a browser knows of one person. The first pages of a new profile take a second of the processor, so one that
    is given back is lent again, without its pages, cookies and routes; one whose test has failed is thrown away.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._free: dict[str, list[Any]] = {}

    @asynccontextmanager
    async def lend(self, **options: Any) -> AsyncIterator[Any]:
        free = self._free.setdefault(repr(sorted(options.items())), [])
        context = free.pop() if free else await self._new(options)
        try:
            yield context
        except BaseException:
            await context.close()
            raise
        for page in context.pages[1:]:
            await page.close()
        await context.unroute_all(behavior="ignoreErrors")
        await context.set_offline(offline=False)
        await context.clear_cookies()
        free.append(context)

    async def _new(self, options: dict[str, Any]) -> Any:
        context = await self._browser.new_context(**options)
        await context.new_page()  # as long as one is open, the next is quick
        return context


async def shoot(page, name: str) -> None:
    """A picture of the whole page, where somebody wants pictures."""
    if folder := os.environ.get("KEYSTEAD_SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@contextmanager
def site(html: str) -> Iterator[int]:
    """The port of a server that answers every path with `html`, whatever name it is called by."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_):
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
