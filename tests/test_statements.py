"""Every SQL constant is prepared against a migrated database and compared with the dataclass that it fills."""

import dataclasses
import importlib
import pkgutil
import re
from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import pytest

import keystead
from keystead.applications.store import DeletedApplication, StoredApplication
from keystead.audit.store import StoredEvent
from keystead.auth import identify, refresh, start_session
from keystead.auth.authenticate_client import FoundClient
from keystead.auth.reauthenticate import Replaceable
from keystead.jwt.types import KeyRecord
from keystead.limits.lists.store import StoredNetwork
from keystead.limits.store import Blocks, Reservation
from keystead.machines.types import ApiKey, ServiceAccount, ServiceKey
from keystead.notices.store import KeptRequest, MailRequest, StoredMail
from keystead.roles.store import StoredRole
from keystead.sessions.store import EndedSession, StoredHistory, StoredSession
from keystead.sessions.types import LiveSession
from keystead.tickets.store import KeptKey, KeptTicket
from keystead.tickets.types import Ticket
from keystead.users.erasures import Erasure
from keystead.users.types import Credential, StoredUser
from keystead.vault.store import InstallationRow, KeyRow

pytestmark = pytest.mark.anyio

_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE)\b")

# What the rows of a statement are made into. A statement that is not named returns one column, or none.
ROWS = {
    "keystead.accounts.list_users.LIST_USERS": StoredUser,  # and the roles
    "keystead.accounts.list_users.LIST_USERS_OF_ROLE": StoredUser,  # and the roles
    "keystead.applications.store.LIST": StoredApplication,
    "keystead.applications.store.LIST_DELETED": DeletedApplication,
    "keystead.applications.store.LOCK": StoredApplication,
    "keystead.audit.store.LIST_OF_PERSON": StoredEvent,
    "keystead.auth.identify.IDENTIFY": StoredUser,  # after six columns of the caller's
    "keystead.auth.identify_api_key.IDENTIFY_API_KEY": StoredUser,  # after nine columns of the key and its owner
    "keystead.auth.issue_session.FIND_ISSUED": LiveSession,
    "keystead.limits.store.RESERVE": Reservation,
    "keystead.limits.store.FAIL": Blocks,
    "keystead.auth.reauthenticate.FIND_REPLACEABLE": Replaceable,
    "keystead.auth.reauthenticate.FIND_SUCCESSOR": LiveSession,
    "keystead.auth.refresh.FIND_ROTATABLE": LiveSession,
    "keystead.auth.refresh.ROTATE": refresh.Judgement,
    "keystead.auth.start_session.START_SESSION": LiveSession,  # and whether the device is new
    "keystead.auth.authenticate_client.FIND_CLIENT": FoundClient,
    "keystead.machines.store.LIST_ACCOUNTS": ServiceAccount,
    "keystead.machines.store.FIND_ACCOUNT": ServiceAccount,
    "keystead.machines.store.FIND_ACCOUNT_BY_NAME": ServiceAccount,
    "keystead.machines.store.LOCK_ACCOUNT": ServiceAccount,
    "keystead.machines.store.LIST_SERVICE_KEYS": ServiceKey,
    "keystead.machines.store.FIND_SERVICE_KEY": ServiceKey,
    "keystead.machines.store.ADD_SERVICE_KEY": ServiceKey,
    "keystead.machines.store.LIST_API_KEYS": ApiKey,
    "keystead.machines.store.LIST_API_KEYS_KEPT": ApiKey,
    "keystead.machines.store.ADD_API_KEY": ApiKey,
    "keystead.limits.lists.store.ADD": StoredNetwork,
    "keystead.limits.lists.store.LIST": StoredNetwork,
    "keystead.limits.lists.store.LIST_AROUND": StoredNetwork,
    "keystead.limits.lists.store.REMOVE": StoredNetwork,
    "keystead.limits.lists.store.REMOVE_NETWORK": StoredNetwork,
    "keystead.jwt.store.LIST_KEYS": KeyRecord,
    "keystead.notices.store.CLAIM": StoredMail,
    "keystead.notices.store.LIST_LATEST": StoredMail,
    "keystead.notices.store.LIST_OF_USER": StoredMail,
    "keystead.notices.store.LIST_REQUESTS_OF_USER": KeptRequest,
    "keystead.notices.store.TAKE_REQUEST": MailRequest,
    "keystead.roles.store.FIND_ROLE": StoredRole,
    "keystead.roles.store.LIST_ROLES": StoredRole,
    "keystead.sessions.store.END_OF_APPLICATION": EndedSession,
    "keystead.sessions.store.END_SESSION": EndedSession,
    "keystead.sessions.store.END_ISSUED_OF_USER": EndedSession,
    "keystead.sessions.store.END_SESSIONS_OF_USER": EndedSession,
    "keystead.sessions.store.FIND_LIVE": StoredSession,
    "keystead.sessions.store.FIND_LIVE_OF_USER": StoredSession,
    "keystead.sessions.store.LIST_LIVE": StoredSession,
    "keystead.sessions.store.LIST_OF_USER": StoredHistory,
    "keystead.sessions.store.REPLACE_SESSION": EndedSession,
    "keystead.tickets.store.CONSUME": Ticket,
    "keystead.tickets.store.FIND_LIVE": Ticket,
    "keystead.tickets.store.FIND_LIVE_OF": Ticket,
    "keystead.tickets.store.LIST_KEYS_OF_USER": KeptKey,
    "keystead.tickets.store.LIST_OF_USER": KeptTicket,
    "keystead.users.erasures.LIST_ERASURES": Erasure,
    "keystead.users.erasures.LIST_UNLOGGED": Erasure,
    "keystead.users.store.FIND": StoredUser,
    "keystead.users.store.LIST_CREDENTIALS": Credential,
    "keystead.users.store.FIND_CREDENTIAL_BY_ID": Credential,
    "keystead.users.store.FIND_FOR_UPDATE": StoredUser,
    "keystead.users.store.LIST_BY_EMAIL_FOR_UPDATE": StoredUser,
    "keystead.users.store.LIST_OF_ADDRESS_FOR_UPDATE": StoredUser,
    "keystead.users.store.LIST_FROM": StoredUser,  # and the password's hash
    "keystead.users.store.LIST_UNSEALED": StoredUser,
    "keystead.vault.store.LIST_KEYS": KeyRow,
    "keystead.vault.store.LOAD_INSTALLATION": InstallationRow,
    "keystead.vault.store.LOCK_INSTALLATION": InstallationRow,
}
SKIPPED_COLUMNS = {"keystead.auth.identify.IDENTIFY": 6, "keystead.auth.identify_api_key.IDENTIFY_API_KEY": 9}
# Read by column name where they are used.
BY_NAME = {
    "keystead.auth.identify_service.IDENTIFY_SERVICE",
    "keystead.jwt.store.LOAD_WRAPPED",
    "keystead.kernel.migrate.READ_HISTORY",
    "keystead.limits.lists.store.READ_VERSION",
    "keystead.roles.store.READ_DEFINITIONS",
    "keystead.tickets.store.FIND_KEY",
    "keystead.operations.health.READ_SCHEMA",
}
# Run by the migrating owner.
BY_OWNER = "keystead.kernel.migrate."

_TYPES = {
    "uuid": UUID,
    "text": str,
    "jsonb": str,
    "bytea": bytes,
    "timestamptz": datetime,
    "bool": bool,
    "interval": timedelta,
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


@pytest.fixture(scope="module")
async def migrated(cluster):
    """One database for all: nothing is run, only prepared."""
    async with cluster.clone() as urls:
        yield urls


async def prepare(urls, name):
    connection = await asyncpg.connect(urls.owner if name.startswith(BY_OWNER) else urls.runtime)
    try:
        prepared = await connection.prepare(STATEMENTS[name])
        return [(column.name, column.type.name) for column in prepared.get_attributes()]
    finally:
        await connection.close()


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_a_statement_is_valid_for_its_role_and_fills_its_dataclass(migrated, name):
    columns = await prepare(migrated, name)
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
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return any(fits(kind, part) for part in get_args(hint) if part is not NoneType)
    if kind.endswith("[]"):
        return get_origin(hint) in (list, tuple) and fits(kind.removesuffix("[]"), get_args(hint)[0])
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    return issubclass(hint, _TYPES[kind])


def test_every_named_statement_exists():
    assert not (ROWS.keys() | BY_NAME) - STATEMENTS.keys()
    assert {identify.IDENTIFY, refresh.ROTATE, start_session.START_SESSION} <= set(STATEMENTS.values())
