"""`python -m bench.evidence FOLDER` writes the pages into FOLDER/security; the status is 1 when something is amiss."""

import sys
from pathlib import Path

from bench.evidence import pages
from bench.evidence.names import collect
from bench.evidence.requirements import read
from bench.evidence.verdicts import Evidence, judge
from bench.mutant_list import MUTANTS
from bench.mutant_list_classes import CLASS_MUTANTS

ROOT = Path(__file__).parents[2]
SECURITY = ROOT / "docs" / "security"


def main() -> int:
    folder = Path(sys.argv[1]) / "security"
    evidence = gather()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written(evidence).items():
        (folder / name).write_text(text, "utf-8")
    for problem in evidence.problems:
        print(problem, file=sys.stderr)
    return 1 if evidence.problems else 0


def gather() -> Evidence:
    """What the tests of this checkout show."""
    return judge(read(SECURITY / "requirements"), collect(ROOT), (*MUTANTS, *CLASS_MUTANTS))


def written(evidence: Evidence) -> dict[str, str]:
    """The text of each page by its name."""
    index = (SECURITY / "index.md").read_text("utf-8")
    return {
        "asvs.md": pages.asvs(evidence),
        "weaknesses.md": pages.classes(evidence),
        "controls.md": pages.controls(evidence),
        "index.md": pages.with_figures(index, evidence),
    }


if __name__ == "__main__":
    raise SystemExit(main())
