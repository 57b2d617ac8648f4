"""The pages of the examples, and their commands as a reader types them."""

import re

import anyio

from tests.docs.test_shell_blocks import blocks
from tests.support.examples import ROOT
from tests.support.people import new_email

PAGES = {page.stem: page for page in (ROOT / "docs/examples").glob("*.md") if page.stem != "index"}
# Installing is for readers, and what `make` would start runs already.
_READER = "make() { :; }; npm() { :; }; pip() { :; }\n"


def script_of(name: str) -> str:
    return _READER + "\n".join(blocks(PAGES[name]))


async def run_commands(name: str, keystead: str, url: str) -> None:
    """Sees that each command gets the status that stands beside it."""
    script = script_of(name).replace("ada@example.com", new_email())
    script = script.replace("http://127.0.0.1:3000", keystead).replace("http://127.0.0.1:4000", url)
    done = await anyio.run_process(["bash", "-euo", "pipefail", "-c", script])
    said = re.findall(r"HTTP/1\.1 (\d{3})", done.stdout.decode())
    assert said == re.findall(r"# (\d{3})\b", script)
    assert {"401", "200", "403"} <= set(said)
