"""Which row is shown by which test, and what does not fit together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.evidence.names import Test, Unreadable, split
from bench.evidence.requirements import Requirement
from bench.mutant_list import Mutant


class State(StrEnum):
    """How it stands with a row."""

    COVERED = "covered"
    OPEN = "open"
    LATER = "later"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row with what shows it."""

    row: Requirement
    state: State
    tests: tuple[Test, ...]

    @property
    def reason(self) -> str:
        match self.state:
            case State.COVERED:
                return self.row.note
            case State.OPEN:
                return self.row.open or "A row that this one rests on is open."
            case State.LATER:
                return self.row.later
            case State.NOT_APPLICABLE:
                return self.row.not_applicable


@dataclass(frozen=True, slots=True)
class Evidence:
    """All verdicts by the ids of their rows, and every problem in a sentence."""

    verdicts: Mapping[str, Verdict]
    problems: tuple[str, ...]

    def of(self, family: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts.values() if verdict.row.family == family]


def judge(rows: Mapping[str, Requirement], tests: Iterable[Test], mutants: Sequence[Mutant]) -> Evidence:
    """The verdict on every row."""
    problems: list[str] = []
    named, by_name = _index(rows, tests, problems)
    verdicts: dict[str, Verdict] = {}
    for row in rows.values():
        shown = _shown(row, named, by_name, problems)
        state = _state(row, shown, verdicts, problems)
        verdicts[row.id] = Verdict(row, state, shown)
    problems += _about_mutants(verdicts, {mutant.name: mutant for mutant in mutants})
    return Evidence(verdicts, tuple(problems))


def _index(
    rows: Mapping[str, Requirement], tests: Iterable[Test], problems: list[str]
) -> tuple[dict[str, list[Test]], dict[str, list[Test]]]:
    """The tests by the ids in their names, and by their names."""
    named: dict[str, list[Test]] = defaultdict(list)
    by_name: dict[str, list[Test]] = defaultdict(list)
    for test in tests:
        by_name[test.name].append(test)
        try:
            ids, _ = split(test.name)
        except Unreadable as error:
            problems.append(f"{test.path}: {error}")
            continue
        for each in ids:
            if each in rows:
                named[each].append(test)
            else:
                problems.append(f"{test.path}: {test.name} names {each}, which no row is about")
    return named, by_name


def _shown(
    row: Requirement,
    named: Mapping[str, list[Test]],
    by_name: Mapping[str, list[Test]],
    problems: list[str],
) -> tuple[Test, ...]:
    shown = set(named.get(row.id, ()))
    for name in row.tests:
        if name not in by_name:
            problems.append(f"{row.id}: there is no {name}")
        shown.update(by_name.get(name, ()))
    return tuple(sorted(shown))


def _state(
    row: Requirement, shown: tuple[Test, ...], before: Mapping[str, Verdict], problems: list[str]
) -> State:
    if row.later or row.not_applicable:
        if shown or row.by:
            problems.append(f"{row.id}: is said to be for later or not applicable, and has a test")
        return State.LATER if row.later else State.NOT_APPLICABLE
    if unknown := [each for each in row.by if each not in before]:
        problems.append(f"{row.id}: rests on {', '.join(unknown)}, which no row above it is about")
        return State.OPEN
    if all(before[each].state is State.COVERED for each in row.by) and (shown or row.by):
        return State.COVERED
    if not row.open and not row.by:
        problems.append(f"{row.id}: no test shows it, and nothing says why")
    return State.OPEN


def _about_mutants(verdicts: Mapping[str, Verdict], mutants: Mapping[str, Mutant]) -> Iterable[str]:
    """A class of weakness is shown by a test that fails where the weakness is put in: see bench/mutants.py."""
    for verdict in verdicts.values():
        row = verdict.row
        for name in row.mutants:
            if name not in mutants:
                yield f"{row.id}: there is no mutant {name!r}"
        # Whoever shows a row that was open need not bring the mutant in the same change.
        if row.family == "class" and verdict.state is State.COVERED and not row.mutants and not row.open:
            yield f"{row.id}: no mutant shows that its test fails on broken code"
