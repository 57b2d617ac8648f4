"""What the import rules cannot say: choke points, and who names which table."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import keystead

SOURCE = Path(keystead.__file__).parent
MODULES = {path.relative_to(SOURCE).as_posix(): path.read_text("utf-8") for path in SOURCE.rglob("*.py")}

# The room that owns each table. Joined statements of the hot paths stand in the verbs that are named beside it.
OWNERS = {
    "installation": (
        "vault/store.py",
        "auth/identify.py",
        "auth/reauthenticate.py",
        "auth/refresh.py",
        "auth/start_session.py",
    ),
    "applications": ("applications/store.py",),
    "service_accounts": ("machines/store.py", "auth/authenticate_client.py", "auth/identify_service.py"),
    "service_account_roles": ("machines/store.py", "auth/authenticate_client.py", "auth/identify_service.py"),
    "service_keys": ("machines/store.py", "auth/authenticate_client.py", "auth/identify_service.py"),
    "api_keys": ("machines/store.py", "auth/identify_api_key.py"),
    "used_assertions": ("tickets/store.py",),
    "networks": ("limits/lists/store.py",),
    "networks_version": ("limits/lists/store.py",),
    "used_challenges": ("limits/challenge/store.py",),
    "guesses": ("limits/store.py", "accounts/forget_guesses.py"),
    "vault_keys": ("vault/store.py",),
    "data_keys": (
        "vault/store.py",
        "users/store.py",
        "accounts/list_users.py",
        "auth/identify.py",
        "auth/identify_api_key.py",
        "auth/reauthenticate.py",
    ),
    "users": (
        "users/store.py",
        "roles/store.py",  # the age of whoever is given a role
        "accounts/list_users.py",
        "operations/sweep.py",
        "auth/identify.py",
        "auth/identify_api_key.py",
        "auth/reauthenticate.py",
        "auth/refresh.py",
        "auth/start_session.py",
        "accounts/forget_guesses.py",
    ),
    "erasures": ("users/erasures.py",),
    "signing_keys": ("jwt/store.py",),
    "sessions": (
        "sessions/store.py",
        "auth/identify.py",
        "auth/issue_session.py",
        "auth/reauthenticate.py",
        "auth/refresh.py",
        "auth/start_session.py",
    ),
    "roles": ("roles/store.py",),
    "authorization_state": (
        "roles/store.py",
        "auth/authenticate_client.py",
        "auth/identify.py",
        "auth/identify_api_key.py",
        "auth/identify_service.py",
    ),
    "user_roles": (
        "roles/store.py",
        "accounts/list_users.py",
        "auth/identify.py",
        "auth/identify_api_key.py",
        "auth/issue_session.py",
        "auth/reauthenticate.py",
        "auth/refresh.py",
        "auth/start_session.py",
    ),
    "tickets": ("tickets/store.py", "notices/store.py", "operations/sweep.py"),
    "idempotency_keys": ("tickets/store.py",),
    "mail_requests": ("notices/store.py",),
    "mails": ("notices/store.py", "auth/refresh.py"),
    "audit_events": ("audit/store.py", "auth/refresh.py", "auth/start_session.py"),
    "schema_migrations": ("kernel/migrate.py", "operations/health.py"),
}


def strings(text):
    """Every string of a module that is no docstring."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


@cache  # and not at the import: each process of a run imports this, and one of them asks
def said_by_module():
    return {name: strings(text) for name, text in MODULES.items()}


def modules_saying(pattern):
    return {name for name, said in said_by_module().items() if any(re.search(pattern, each) for each in said)}


@pytest.mark.parametrize("table", sorted(OWNERS))
def test_a_table_is_named_by_its_owner_and_by_the_joined_statements_only(table):
    assert modules_saying(rf"\b(FROM|JOIN|INTO|UPDATE|TABLE)\s+{table}\b") == set(OWNERS[table])


def test_every_table_has_an_owner():
    migrations = "\n".join(path.read_text("utf-8") for path in SOURCE.glob("migrations/0*.sql"))
    assert set(re.findall(r"CREATE TABLE (\w+)", migrations)) | {"schema_migrations"} == set(OWNERS)


def test_sessions_start_in_one_place():
    assert modules_saying(r"INSERT INTO sessions\b") == {"auth/start_session.py"}


def test_tokens_are_signed_in_one_place():
    signing = {name for name, text in MODULES.items() if re.search(r"import .*\bsign\b|\bjws\.sign\(", text)}
    assert signing == {"jwt/issuer.py"}


def test_time_in_sql_is_the_replaceable_function():
    wall_clock = r"(?i)\b(now\(\)|current_timestamp|clock_timestamp|localtimestamp|statement_timestamp)"
    said = {
        name
        for name, said in said_by_module().items()
        for text in said
        if re.search(wall_clock, text.replace("keystead_now()", ""))
    }
    assert said <= {"kernel/migrate.py"}  # runs before the function exists


def test_nothing_decides_on_the_url_of_a_request():
    attributes = r"request\.(url|base_url|url_for)\b"
    assert not {name for name, text in MODULES.items() if re.search(attributes, text)}


def test_no_check_is_an_assertion_that_optimisation_removes():
    assert not {
        name
        for name, text in MODULES.items()
        if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text)))
    }


def test_nothing_is_imported_inside_a_function():
    for name, text in MODULES.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [child for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)]
                assert not inner, f"{name}: {node.name}"
