"""What an import has done so far, or would do: counted, and told in lines."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from keystead.accounts.incoming import Outcome, Rejected, Tally
from keystead.users.hash_kinds import HashKind

MOST_PROBLEMS = 20
_WORDS = {
    Outcome.IMPORTED: ("imported", "would be imported"),
    Outcome.ALREADY_THERE: ("there already", "there already"),
    Outcome.EMAIL_TAKEN: ("whose address another account has", "whose address another account has"),
    Outcome.REFUSED: ("refused", "would be refused"),
}


class HashCount(msgspec.Struct):
    """Of one kind: how many, and the least that one of them costs to guess at."""

    count: int = 0
    weakest: str = ""
    work: int = 0

    def add(self, kind: HashKind, count: int) -> None:
        if not self.count or kind.work < self.work:
            self.weakest, self.work = kind.cost, kind.work
        self.count += count


class Summary(msgspec.Struct):
    outcomes: dict[Outcome, int] = msgspec.field(default_factory=Counter[Outcome])
    omissions: dict[str, int] = msgspec.field(default_factory=Counter[str])
    hashes: dict[str, HashCount] = msgspec.field(default_factory=dict)
    problems: list[str] = msgspec.field(default_factory=list)

    def add(self, tally: Tally) -> None:
        for outcome, count in tally.outcomes.items():
            self.outcomes[outcome] = self.count(outcome) + count
        for omission, count in tally.omissions.items():
            self.omissions[omission] = self.omissions.get(omission, 0) + count
        for kind, count in tally.hashes.items():
            self.hashes.setdefault(kind.name, HashCount()).add(kind, count)
        room = MOST_PROBLEMS - len(self.problems)
        self.problems += [_told(rejected) for rejected in tally.rejected[:room]]

    def count(self, outcome: Outcome) -> int:
        return self.outcomes.get(outcome, 0)

    @property
    def rejected(self) -> int:
        return self.count(Outcome.EMAIL_TAKEN) + self.count(Outcome.REFUSED)

    def lines(self, *, dry_run: bool) -> Iterator[str]:
        yield f"{sum(self.outcomes.values()):,} records"
        for outcome, words in _WORDS.items():
            yield f"  {self.count(outcome):>11,}  {words[dry_run]}"
        for omission, count in sorted(self.omissions.items()):
            if count:
                yield f"  {count:>11,}  {omission} left out"
        if self.hashes:
            yield "Passwords of those " + _WORDS[Outcome.IMPORTED][dry_run]
            for name, found in sorted(self.hashes.items(), key=lambda item: -item[1].count):
                weakest = f", the weakest of {found.weakest}" if found.weakest else ""
                yield f"  {found.count:>11,}  {name}{weakest}"
        if self.problems:
            yield f"The first {len(self.problems)} of {self.rejected:,} problems"
            yield from (f"  {problem}" for problem in self.problems)


def _told(rejected: Rejected) -> str:
    where = f"record {rejected.record}"
    if rejected.line is not None:
        where += f" (line {rejected.line})"
    if rejected.source_id is not None:
        where += f", id {rejected.source_id}"
    # The file may hold what a terminal would act on.
    return "".join(char if char.isprintable() else "?" for char in f"{where}: {rejected.reason}")
