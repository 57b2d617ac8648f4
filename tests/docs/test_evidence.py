"""The evidence is read from names and rows as they are meant, and says what does not fit together."""

from pathlib import Path

import pytest

import keystead
from bench.evidence.names import Test as Shown
from bench.evidence.names import Unreadable, split
from bench.evidence.requirements import Requirement
from bench.evidence.verdicts import State, judge
from bench.mutant_list import Mutant
from bench.mutants import MUTANTS

SOURCE = Path(keystead.__file__).parent


@pytest.mark.parametrize(
    ("name", "ids", "sentence"),
    [
        ("test_a_wall_has_ears", (), "a_wall_has_ears"),
        ("test_asvs_v5_6_2_1_it_is_long", ("asvs 6.2.1",), "_it_is_long"),
        ("test_asvs_v5_6_2_1_and_6_2_9_it_is", ("asvs 6.2.1", "asvs 6.2.9"), "_it_is"),
        ("test_asvs_v5_11_2_4_and_cve_class_46_it_is", ("asvs 11.2.4", "class 46"), "_it_is"),
        ("test_cve_class_03_it_is", ("class 3",), "_it_is"),
        ("test_cve_class_10_13_and_14_it_is", ("class 10", "class 13", "class 14"), "_it_is"),
        ("test_cve_class_52_ten_thousand_are_one", ("class 52",), "_ten_thousand_are_one"),
        ("test_gdpr_17_and_pci_8_3_4_it_is", ("gdpr 17", "pci 8.3.4"), "_it_is"),
    ],
)
def test_ids_stand_at_the_beginning_of_a_name(name, ids, sentence):
    assert split(name) == (ids, sentence)


@pytest.mark.parametrize("name", ["test_it_is_as_asvs_v5_6_2_1_has_it", "test_cve_class_x_it_is"])
def test_an_id_anywhere_else_is_a_mistake(name):
    with pytest.raises(Unreadable):
        split(name)


def verdicts(*rows, tests=(), mutants=()):
    found = judge({row.id: row for row in rows}, [Shown("tests/test_it.py", name) for name in tests], mutants)
    return [verdict.state for verdict in found.verdicts.values()], found.problems


def row(number, family="asvs", **more):
    return Requirement(family=family, number=number, title="It is.", **more)


def test_a_row_is_covered_by_tests_that_name_it_by_those_it_names_and_by_rows():
    rows = [
        row("1.1.1"),
        row("1.1.2", tests=("test_that",)),
        row("1.1.3", open="Not yet."),
        row("1", "owasp", by=("asvs 1.1.1", "asvs 1.1.2")),
        row("2", "owasp", by=("asvs 1.1.1", "asvs 1.1.3")),
    ]
    states, problems = verdicts(*rows, tests=["test_asvs_v5_1_1_1_it_is", "test_that"])
    assert states == [State.COVERED, State.COVERED, State.OPEN, State.COVERED, State.OPEN]
    assert problems == ()


@pytest.mark.parametrize(
    ("rows", "tests", "words"),
    [
        ([row("1.1.1")], [], "nothing says why"),
        ([row("1.1.1", tests=("test_gone",))], [], "there is no test_gone"),
        ([row("1.1.1", later="Later.")], ["test_asvs_v5_1_1_1_it_is"], "for later"),
        ([row("1.1.1", not_applicable="No.")], ["test_asvs_v5_1_1_1_it_is"], "not applicable"),
        ([], ["test_asvs_v5_1_1_1_it_is"], "which no row is about"),
        ([row("1.1.1", by=("class 1",))], [], "which no row above it is about"),
        ([row("1", "class")], ["test_cve_class_01_it_is"], "no mutant shows"),
        ([row("1", "class", mutants=("a gone one",))], ["test_cve_class_01_it_is"], "there is no mutant"),
    ],
)
def test_what_does_not_fit_together_is_said(rows, tests, words):
    _, (problem, *_) = verdicts(*rows, tests=tests)
    assert words in problem


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutant_finds_what_it_breaks(mutant: Mutant):
    """`make mutants` takes long, and what it changes moves: here it is seen at once."""
    text = (SOURCE / mutant.file).read_text("utf-8")
    for old, new in mutant.changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)


def test_no_two_mutants_share_a_name():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
