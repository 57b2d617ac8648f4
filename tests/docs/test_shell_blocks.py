"""Every shell block of the documentation, run in the order of its page, as a reader would who has what the page names.

Programs of others that a page calls (a vendor's exporter, `dig`) are stand-ins from `programs/`: they show that our
part of the block works with what such a program gives. What a page takes for granted stands in `preludes/`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from keystead.embedded.programs import PostgresPrograms
from tests.support import warm
from tests.support.server import environment_for, serving

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md"))
    if path.parent.name not in ("decisions", "examples")  # tests/examples/test_pages.py runs the latter
)
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
PLACES = ("/run/secrets", "/backup", "/elsewhere", "/etc/keystead")  # of the reader's machine
ADDRESS = "http://127.0.0.1:3000"
OWN_ADDRESS = "http://127.0.0.1:{port}"


def blocks(page: Path) -> list[str]:
    return [
        match["text"].replace(f"\n{match['indent']}", "\n")
        for match in FENCE.finditer(page.read_text("utf-8"))
        if match["language"] == "sh"
    ]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_reader_types_is_marked_as_shell_and_so_is_run(page):
    languages = {match["language"] for match in FENCE.finditer(page.read_text("utf-8"))}
    assert not languages & {"bash", "console", "shell", "zsh", "shell-session"}, "write sh, without prompts"
    for block in blocks(page):
        assert not re.search(r"^\s*\$ ", block, re.MULTILINE), "no prompts: the block is copied whole"


# A guide and the page that it belongs to are read together, by one who has done what stands before.
TOGETHER = {path: sorted((ROOT / "docs" / "migrate").glob("*.md")) for path in [ROOT / "docs" / "moving.md"]}
ALONE = [page for page in PAGES if blocks(page) and page.parent.name != "migrate"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", ALONE, ids=named)
async def test_every_shell_block_of_a_page_runs(page, cluster, tmp_path):
    async with (
        cluster.clone() as urls,
        cluster.clone("template0") as empty,
        serving(urls, SERVER__PUBLIC_URL=OWN_ADDRESS) as server,
    ):
        environ = await reader(urls, empty, server, tmp_path)
        prelude = HERE / "preludes" / f"{page.stem.lower()}.sh"
        script = [f"source {prelude}"] if prelude.exists() else []
        for part in (page, *TOGETHER.get(page, ())):
            for number, block in enumerate(blocks(part), start=1):
                script += [
                    f"echo '--- {part.name}, block {number}' >&2",
                    moved(block, server.base_url, tmp_path),
                ]
        done = await anyio.to_thread.run_sync(lambda: run("\n".join(script), environ, tmp_path))
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


async def reader(urls, empty, server, folder: Path) -> dict[str, str]:
    """The environment of an operator with an administrator's account, beside a running server."""
    for place in PLACES:
        (folder / place[1:]).mkdir(parents=True)
    environ = {name: value for name, value in environment_for(urls).items() if name.startswith("APP_")}
    programs = PostgresPrograms.find(None)
    # README.md calls the installed command itself; the others, where that can be, one that is warm.
    warm_name = {"WARM_KEYSTEAD": warm.name()} if warm.POSSIBLE else {}
    path = (HERE / "programs", Path(sys.executable).parent, programs.folder, os.environ["PATH"])
    return {
        **environ,
        "APP_DATABASE__MIGRATION_URL": urls.owner,
        "APP_SERVER__PUBLIC_URL": server.base_url,
        "EMPTY_DATABASE": empty.owner,
        "HOME": str(folder),
        "KEYSTEAD_CHECKOUT": str(ROOT),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join(map(str, path)),
        "SERVER": server.base_url,
        **warm_name,
    }


def moved(block: str, url: str, folder: Path) -> str:
    """A block with the test's server and the test's folder in place of the reader's."""
    block = block.replace(ADDRESS, url)
    for place in PLACES:
        block = block.replace(f"{place}/", f"{folder}{place}/")
    return block


def run(script: str, environ: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
