"""What tests are called, and the requirements that their names name. No test is imported or run for it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# test_asvs_v5_6_2_1_and_6_2_9_…, test_cve_class_10_13_…, test_gdpr_17_and_asvs_v5_16_2_5_…
_FAMILIES = (
    ("asvs", re.compile(r"asvs_v5_(\d+_\d+_\d+)(?![\d])")),
    ("class", re.compile(r"cve_class_(\d{1,2})(?![\d])")),
    ("gdpr", re.compile(r"gdpr_(\d{1,2})(?![\d])")),
    ("pci", re.compile(r"pci_(\d{1,2}_\d+(?:_\d+)?)(?![\d])")),
)
_MORE = {
    "asvs": re.compile(r"_and_(\d+_\d+_\d+)(?![\d])"),
    "class": re.compile(r"(?:_and)?_(\d{1,2})(?![\d])"),
    "gdpr": re.compile(r"_and_(\d{1,2})(?![\d])"),
    "pci": re.compile(r"_and_(\d{1,2}_\d+(?:_\d+)?)(?![\d])"),
}
_MARK = re.compile(r"asvs|cve_class|(?<![a-z])(?:gdpr|pci)_\d")


class Unreadable(ValueError):
    """A name that speaks of a requirement where no requirement is read from it."""


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """A test function, by the path of its file below the checkout, its name and the class that it stands in, if any."""

    path: str
    name: str
    inside: str = ""

    @property
    def node(self) -> str:
        """As pytest calls it."""
        return "::".join(part for part in (self.path, self.inside, self.name) if part)

    @property
    def sentence(self) -> str:
        """What it says, without the ids at its beginning."""
        _, rest = split(self.name)
        return rest.replace("_", " ").strip()


def split(name: str) -> tuple[tuple[str, ...], str]:
    """The ids that a name begins with, as in `asvs 6.2.1` or `class 20`, and what follows them."""
    rest = name.removeprefix("test_")
    ids: list[str] = []
    while found := _first(rest):
        family, number, rest = found
        ids.append(_id(family, number))
        while more := _MORE[family].match(rest):
            ids.append(_id(family, more[1]))
            rest = rest[more.end() :]
        if not rest.startswith("_and_") or _first(rest.removeprefix("_and_")) is None:
            break
        rest = rest.removeprefix("_and_")
    if _MARK.search(rest):
        raise Unreadable(
            f"{name}: an id stands at the beginning, as in test_asvs_v5_6_2_1_and_cve_class_40_…"
        )
    return tuple(ids), rest


def collect(root: Path, folder: str = "tests") -> Iterator[Test]:
    """Every test below `folder`."""
    for path in sorted((root / folder).rglob("test_*.py")):
        place, module = path.relative_to(root).as_posix(), ast.parse(path.read_text("utf-8"))
        classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
        for inside, body in (("", module.body), *((each.name, each.body) for each in classes)):
            for node in body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    yield Test(place, node.name, inside)


def _first(text: str) -> tuple[str, str, str] | None:
    for family, pattern in _FAMILIES:
        if found := pattern.match(text):
            return family, found[1], text[found.end() :]
    return None


def _id(family: str, number: str) -> str:
    if family == "class":
        return f"class {int(number)}"
    return f"{family} {number.replace('_', '.')}"
