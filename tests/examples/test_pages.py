"""The pages of the examples: their code is the example's, and their commands do what stands beside them."""

import re
import subprocess
from pathlib import Path

import anyio
import pytest

from keystead.settings import load
from tests.docs.test_shell_blocks import FENCE, blocks
from tests.support.examples import EXAMPLES, ROOT, free_port, missing, running
from tests.support.people import new_email

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PAGES = {page.stem: page for page in (ROOT / "docs/examples").glob("*.md") if page.stem != "index"}
APIS = tuple(name for name in PAGES if not name.startswith("spa-"))
# Installing is for readers, and what `make` would start runs already.
READER = "make() { :; }; npm() { :; }; pip() { :; }\n"


def test_every_example_has_its_page_and_its_command():
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders == set(PAGES)
    index = (ROOT / "docs/examples/index.md").read_text("utf-8")
    listed = set(subprocess.check_output(["make", "examples"], cwd=ROOT, text=True).split())
    for name, page in PAGES.items():
        assert f"({name}.md)" in index
        assert f"make example-{name}\n" in page.read_text("utf-8")
        assert f"example-{name}" in listed


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_is_the_examples(name):
    files = [path.read_text("utf-8") for path in (EXAMPLES / name).rglob("*") if is_source(path)]
    code = [
        match["text"] for match in FENCE.finditer(PAGES[name].read_text("utf-8")) if match["language"] != "sh"
    ]
    for block in code:
        assert any(block in text for text in files), block


def test_the_client_of_token_mode_is_as_short_as_its_page_says():
    lines = (EXAMPLES / "spa-token/client.js").read_text("utf-8").splitlines()
    assert len([line for line in lines if line and not line.strip().startswith(("//", "/**"))]) <= 60


@pytest.mark.parametrize("name", APIS)
async def test_the_commands_of_a_page_do_what_stands_beside_them(name, keystead, tmp_path):
    if reason := missing(name):
        pytest.skip(reason)
    script = READER + "\n".join(blocks(PAGES[name])).replace("ada@example.com", new_email())
    with running(name, keystead.url, tmp_path, API_PORT=str(free_port()), NGINX=str(tmp_path)) as url:
        script = script.replace("http://127.0.0.1:3000", keystead.url).replace("http://127.0.0.1:4000", url)
        done = await anyio.run_process(["bash", "-euo", "pipefail", "-c", script], stderr=None)
    said = re.findall(r"HTTP/1\.1 (\d{3})", done.stdout.decode())
    assert said == re.findall(r"# (\d{3})\b", script)
    assert {"401", "200", "403"} <= set(said)


@pytest.mark.parametrize(
    ("name", "client_id", "mode"), [("spa-cookie", "web", "cookie"), ("spa-token", "spa", "token")]
)
def test_the_settings_of_a_page_make_its_application(name, client_id, mode, tmp_path):
    script = READER + "\n".join(blocks(PAGES[name]))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, check=True)
    application = load(tmp_path, {}).settings.applications[client_id]
    assert application.mode == mode
    assert application.allowed_origins == ("http://127.0.0.1:4000",)


def is_source(path: Path) -> bool:
    return path.is_file() and not {"node_modules", "__pycache__"} & set(path.parts)
