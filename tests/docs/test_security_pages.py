"""The pages of docs/security say what the code does: its keys, its columns, its events, its figures."""

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import keystead
from bench.evidence.__main__ import ROOT, SECURITY, gather, written
from bench.evidence.names import collect
from bench.evidence.verdicts import State
from keystead.audit.types import EventName
from keystead.kernel.config import leaves
from keystead.limits.rules import DEFAULT_RULES
from keystead.limits.types import Rule, Strategy
from keystead.settings import Settings
from keystead.vault.vault import PURPOSES
from tests.support.canaries import TABLES

SOURCE = Path(keystead.__file__).parent
CRYPTOGRAPHY = {"argon2", "bcrypt", "cryptography", "hashlib", "hmac", "secrets", "ssl"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
# How a column of each class is kept: its type and its name.
KEPT = {
    "personal": r"bytea \w+_sealed",
    "index": r"bytea (\w+_index|\w+_digest|account|source)",
    "credential": r"bytea (\w+_)?(digest|fingerprint)|text (password_hash|public_key|hint)",
    "key": r"bytea wrapped",
    "identity": r"(uuid|bigint) \w*id|uuid replaced_by|uuid \w+_by|text (request_id|result)",
    "plain": r"(text|text\[\]|jsonb|integer|smallint|bigint|boolean|cidr|timestamp with time zone) \w+",
}


def page(name):
    return (SECURITY / f"{name}.md").read_text("utf-8")


def rows(text, *, after):
    """The cells of the table below a heading."""
    section = re.split(r"^## ", text.split(f"## {after}\n", 1)[1], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def quoted(text):
    return set(re.findall(r"`([^`\n]+)`", text))


def modules():
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text("utf-8"))


def test_nothing_is_amiss_with_the_evidence():
    assert gather().problems == ()


@pytest.mark.parametrize("name", ["asvs.md", "weaknesses.md", "controls.md", "index.md"])
def test_a_page_of_the_evidence_is_as_it_is_made(name):
    committed = (SECURITY / name).read_text("utf-8")
    assert written(gather())[name] == committed, "renew it with: make evidence"


def test_a_test_that_a_page_speaks_of_exists():
    there = {test.name for test in collect(ROOT)}
    for path in SECURITY.glob("*.md"):
        spoken_of = set(re.findall(r"\btest_\w+[a-z0-9]\b(?!\.py)", path.read_text("utf-8")))
        assert {name for name in spoken_of if not name.endswith(("_v5", "_class"))} <= there, path.name


def test_what_stops_a_threat_is_shown():
    verdicts = gather().verdicts
    told = re.findall(r"^\| .+ \| ([VW]\d[VW\d., ]*) \|$", page("threats"), flags=re.MULTILINE)
    named = [each for cell in told for each in cell.split(", ")]
    assert len(named) > 100
    ids = {each: f"asvs {each[1:]}" if each.startswith("V") else f"class {int(each[1:])}" for each in named}
    unshown = [each for each, row in ids.items() if verdicts[row].state is not State.COVERED]
    assert unshown == []


def test_asvs_v5_6_1_2_where_the_words_that_count_for_nothing_come_from_is_documented():
    told = rows(page("authentication"), after="Words that count for nothing in a password")
    defaults: dict[str, Any] = {f"`{leaf.name}`": leaf.default for leaf in leaves(Settings)}
    [(words, _)] = [cells for cells in told if cells[1] == "`auth.password.context_words`"]
    assert set(defaults["`auth.password.context_words`"]) <= quoted(words)


def test_asvs_v5_6_1_1_every_limit_is_documented_and_how_nobody_is_locked_out_by_a_stranger():
    """What the figures are is generated, and compared where all that is generated is."""
    text = (SECURITY.parent / "limits.md").read_text("utf-8")
    guessing = re.split(r"^## ", text.split("## Guessing passwords\n", 1)[1], flags=re.MULTILINE)[0]
    settings = {leaf.name for leaf in leaves(Settings)}
    spoken_of = {each.partition(":")[0] for each in quoted(text) if each.startswith(("auth.", "limits."))}
    assert spoken_of - {"limits.rules"} <= settings
    assert {
        name for name in settings if re.fullmatch(r"auth\.(max_\w+_attempts|lockout_\w+)", name)
    } <= quoted(guessing)
    assert {"X-Device-Token", "__Host-keystead_device", "POST /api/v1/users/{id}/unlock"} <= quoted(guessing)
    assert {each.value for each in Strategy} <= quoted(text)
    rules = (SECURITY.parent / "limit-rules.md").read_text("utf-8")
    assert {rule.name for rule in DEFAULT_RULES} <= quoted(rules)


def test_asvs_v5_8_1_3_and_8_1_4_circumstances_that_decide_are_documented():
    told = rows(page("authentication"), after="What else decides")
    assert all(all(cells) for cells in told)
    named = quoted(" ".join(cell for cells in told for cell in cells))
    conditions = {field.name for field in fields(Rule)} & {"countries", "asns", "challenge"}
    lists = {leaf.name for leaf in leaves(Settings) if re.match(r"limits\.(allow|den|places)", leaf.name)}
    assert conditions | lists | {"limits.rules", "adaptive", "X-Device-Token", "allowed_origins"} == named


def test_asvs_v5_7_1_1_lifetimes_are_documented_as_they_are():
    told = rows(page("authentication"), after="How long it lasts")
    defaults: dict[str, Any] = {leaf.name: leaf.default for leaf in leaves(Settings)}
    assert {setting.strip("`"): float(value) for _, setting, value, _ in told} == {
        name: float(defaults[name])
        for name in (
            "auth.access_token_ttl_secs",
            "auth.session_idle_days",
            "auth.session_absolute_days",
            "auth.refresh_reuse_window_secs",
            "auth.max_sessions",
        )
    }
    assert all(why for *_, why in told)


def test_asvs_v5_11_1_1_and_11_1_2_and_11_1_4_every_key_is_in_the_inventory():
    told = rows(page("cryptography"), after="The keys")
    assert set(PURPOSES) <= {name for key, *_ in told for name in quoted(key)}
    for key, what, purpose, replaced in told:
        assert what, key
        assert purpose, key
        assert replaced, key
    assert "quantum" in page("cryptography")


def test_asvs_v5_11_1_3_every_module_that_calls_cryptography_is_in_the_inventory():
    calling = set()
    for name, tree in modules():
        for node in ast.walk(tree):
            imported = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            urandom = isinstance(node, ast.Attribute) and node.attr == "urandom"
            if urandom or any(each.partition(".")[0] in CRYPTOGRAPHY for each in imported):
                calling.add(name)
    told = rows(page("cryptography"), after="Where it is called")
    assert calling <= {name for cell, _ in told for name in quoted(cell)}


@pytest.mark.anyio
async def test_asvs_v5_14_1_1_and_14_1_2_and_14_2_4_every_column_has_a_class_and_is_kept_as_that_says(db):
    classes = {cells[0]: cells[1:] for cells in rows(page("data"), after="The classes")}
    assert classes.keys() == KEPT.keys()
    assert all(all(cells) for cells in classes.values())
    told = [
        (table.strip("`"), column, kind)
        for table, columns, kind in rows(page("data"), after="The columns")
        for column in quoted(columns)
    ]
    class_of = {(table, column): kind for table, column, kind in told}
    assert len(class_of) == len(told), "a column stands there twice"
    there = {(table, column): kind for table, column, kind in await db.fetch(TABLES)}
    assert there.keys() <= class_of.keys()
    for (table, column), kind in there.items():
        assert re.fullmatch(KEPT[class_of[table, column]], f"{kind} {column}"), (table, column, kind)


def logged_events():
    for name, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                said = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                assert said, f"{name}: an event has a name"
                yield from said


def test_asvs_v5_16_1_1_every_event_of_the_log_and_of_the_trail_is_in_the_inventory():
    log = {event for cell, _ in rows(page("logging"), after="The log") for event in quoted(cell)}
    assert set(logged_events()) <= log
    trail = {event for cell, _ in rows(page("logging"), after="The trail") for event in quoted(cell)}
    assert {event.value for event in EventName} <= trail
    assert all(all(cells) for cells in rows(page("logging"), after="The places"))
