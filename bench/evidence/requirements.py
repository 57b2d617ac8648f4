"""What is asked of Keystead, in our own words: the files of docs/security/requirements."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

# In the order of the pages. A file is named for its family.
FAMILIES = ("asvs", "class", "owasp", "pci", "sox", "gdpr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One row. It is shown by the tests that name it, by `tests` beside those, and by other rows (`by`).

    Without any of them it says why: `later` (what it is about does not exist yet), `not_applicable`, or `open` (it
    should be shown and is not; a test that names it makes it covered).
    """

    family: str
    number: str
    title: str
    group: str = ""
    level: int = 0
    ids: str = ""
    tests: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    mutants: tuple[str, ...] = ()
    note: str = ""
    later: str = ""
    not_applicable: str = ""
    open: str = ""

    @property
    def id(self) -> str:
        return f"{self.family} {self.number}"


_KNOWN = {field.name for field in fields(Requirement)} - {"family", "number"}


def read(folder: Path) -> dict[str, Requirement]:
    """Every row by its id, in the order of the files."""
    rows: dict[str, Requirement] = {}
    for family in FAMILIES:
        document = tomllib.loads((folder / f"{family}.toml").read_text("utf-8"))
        for number, told in document.items():
            row = _requirement(family, number, told)
            rows[row.id] = row
    return rows


def _requirement(family: str, number: str, told: dict[str, Any]) -> Requirement:
    if unknown := set(told) - _KNOWN:
        raise ValueError(f"{family}.toml, {number}: unknown {', '.join(sorted(unknown))}")
    if len(reasons := {"later", "not_applicable", "open"} & set(told)) > 1:
        raise ValueError(f"{family}.toml, {number}: one of {', '.join(sorted(reasons))}")
    told = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return Requirement(family=family, number=number, **told)
