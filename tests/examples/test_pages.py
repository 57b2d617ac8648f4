"""The pages of the examples: their code is the example's, and their settings are what it needs."""

import subprocess
from pathlib import Path

import pytest

from keystead.settings import load
from tests.docs.test_shell_blocks import FENCE
from tests.examples.pages import PAGES, script_of
from tests.support.examples import EXAMPLES, ROOT


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
    for match in FENCE.finditer(PAGES[name].read_text("utf-8")):
        assert match["language"] == "sh" or any(match["text"] in text for text in files), match["text"]


def test_the_client_of_token_mode_is_as_short_as_its_page_says():
    lines = (EXAMPLES / "spa-token/client.js").read_text("utf-8").splitlines()
    assert len([line for line in lines if line and not line.strip().startswith(("//", "/**"))]) <= 60


@pytest.mark.parametrize(
    ("name", "client_id", "mode"), [("spa-cookie", "web", "cookie"), ("spa-token", "spa", "token")]
)
def test_the_settings_of_a_page_make_its_application(name, client_id, mode, tmp_path):
    subprocess.run(["bash", "-euo", "pipefail", "-c", script_of(name)], cwd=tmp_path, check=True)
    application = load(tmp_path, {}).settings.applications[client_id]
    assert application.mode == mode
    assert application.allowed_origins == ("http://127.0.0.1:4000",)


def is_source(path: Path) -> bool:
    return path.is_file() and not {"node_modules", "__pycache__"} & set(path.parts)
