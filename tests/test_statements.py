"""Every SQL constant is prepared against a migrated database and compared with the dataclass that it fills."""

import dataclasses
import importlib
import pkgutil
import re
from datetime import datetime
from types import NoneType, UnionType
from typing import get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import pytest

import keystead
from keystead.auth import identify, refresh, start_session
from keystead.jwt.types import KeyRecord
from keystead.sessions.store import EndedSession
from keystead.sessions.types import LiveSession
from keystead.users.types import Credential, StoredUser
from keystead.vault.store import InstallationRow, KeyRow

pytestmark = pytest.mark.anyio

_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE)\b")

# What the rows of a statement are made into. A statement that is not named returns one column, or none.
ROWS = {
    "keystead.auth.identify.IDENTIFY": StoredUser,  # after two columns of the caller's
    "keystead.auth.refresh.ROTATE": refresh.Judgement,
    "keystead.auth.start_session.START_SESSION": LiveSession,
    "keystead.jwt.store.LIST_KEYS": KeyRecord,
    "keystead.sessions.store.END_SESSION": EndedSession,
    "keystead.sessions.store.END_SESSIONS_OF_USER": EndedSession,
    "keystead.users.store.LIST_BY_EMAIL_FOR_UPDATE": StoredUser,
    "keystead.users.store.FIND_CREDENTIAL": Credential,
    "keystead.users.store.LOAD": StoredUser,
    "keystead.users.store.LOAD_FOR_UPDATE": StoredUser,
    "keystead.vault.store.LIST_KEYS": KeyRow,
    "keystead.vault.store.LOAD_INSTALLATION": InstallationRow,
    "keystead.vault.store.LOCK_INSTALLATION": InstallationRow,
}
SKIPPED_COLUMNS = {"keystead.auth.identify.IDENTIFY": 2}
# Read by column name where they are used.
BY_NAME = {
    "keystead.jwt.store.LOAD_WRAPPED",
    "keystead.kernel.migrate.READ_HISTORY",
    "keystead.operations.health.READ_SCHEMA",
}
# Run by the migrating owner.
BY_OWNER = "keystead.kernel.migrate."

_TYPES = {
    "uuid": UUID,
    "text": str,
    "bytea": bytes,
    "timestamptz": datetime,
    "bool": bool,
    "int2": int,
    "int4": int,
    "int8": int,
}


def statements():
    for module in pkgutil.walk_packages(keystead.__path__, "keystead."):
        if module.name.endswith("__main__"):
            continue
        imported = importlib.import_module(module.name)
        for name, value in vars(imported).items():
            if isinstance(value, str) and name.isupper() and not name.startswith("_") and _SQL.match(value):
                yield f"{module.name}.{name}", value


STATEMENTS = dict(statements())


async def prepare(urls, name):
    connection = await asyncpg.connect(urls.owner if name.startswith(BY_OWNER) else urls.runtime)
    try:
        prepared = await connection.prepare(STATEMENTS[name])
        return [(column.name, column.type.name) for column in prepared.get_attributes()]
    finally:
        await connection.close()


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_a_statement_is_valid_for_its_role_and_fills_its_dataclass(urls, name):
    columns = await prepare(urls, name)
    if name not in ROWS:
        assert len(columns) <= 1 or name in BY_NAME
        return
    fields = dataclasses.fields(ROWS[name])
    hints = get_type_hints(ROWS[name])
    columns = columns[SKIPPED_COLUMNS.get(name, 0) :][: len(fields)]
    assert [column for column, _ in columns] == [field.name for field in fields]
    for column, kind in columns:
        assert fits(kind, hints[column]), (column, kind)


def fits(kind, hint):
    if isinstance(hint, UnionType):
        return any(fits(kind, part) for part in get_args(hint) if part is not NoneType)
    if kind.endswith("[]"):
        return get_origin(hint) in (list, tuple) and fits(kind.removesuffix("[]"), get_args(hint)[0])
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    return issubclass(hint, _TYPES[kind])


def test_every_named_statement_exists():
    assert not (ROWS.keys() | BY_NAME) - STATEMENTS.keys()
    assert {identify.IDENTIFY, refresh.ROTATE, start_session.START_SESSION} <= set(STATEMENTS.values())
