"""Canaries: words that stand for a person, and where in a database they can still be read."""

import base64
import itertools
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from keystead.vault import DataKey, Unreadable

TABLES = """
    SELECT c.relname, a.attname, a.atttypid::regtype::text
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY c.relname, a.attnum
"""
# What a value may have been sealed as: a table and a column stand in its context.
PLACES = tuple(
    itertools.product(
        ("users", "sessions", "tickets", "mails"),
        ("email", "full_name", "preferences", "app_metadata", "device", "content"),
    )
)


@dataclass(frozen=True)
class Canaries:
    """Words of one person that nobody else would use."""

    mark: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def email(self) -> str:
        return f"canary.{self.mark}@mailbox-{self.mark}.example"

    @property
    def new_email(self) -> str:
        return f"moved.{self.mark}@elsewhere-{self.mark}.example"

    @property
    def full_name(self) -> str:
        return f"Canary Name-{self.mark}"

    @property
    def preferences(self) -> dict[str, str]:
        return {f"preferred-{self.mark}": f"preference-{self.mark}"}

    @property
    def app_metadata(self) -> dict[str, str]:
        return {f"kept-{self.mark}": f"metadata-{self.mark}"}

    @property
    def user_agent(self) -> str:
        return f"agent-{self.mark}"

    @property
    def address(self) -> str:
        """An IPv6 one, whose text nothing else has."""
        return f"2001:db8:{self.mark[:4].lstrip('0') or '1'}:{self.mark[4:8].lstrip('0') or '1'}::77"

    def stands_in(self, text: str) -> bool:
        """Whether any of them does, in any form that values are printed in. All but the address hold the mark."""
        lowered = text.lower()
        forms = {
            form
            for word in (self.mark, self.address)
            for form in (word, word.encode().hex(), *_base64_of(word))
        }
        return any(form.lower() in lowered for form in forms)


def _base64_of(word: str) -> Iterable[str]:
    """What base64 makes of it wherever it stands, less the ends that depend on its neighbours."""
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + word.encode()).decode()[4:-4]


@dataclass(frozen=True)
class Seen:
    """Everything that a database holds: each row as text, and each value of bytes."""

    rows: dict[str, list[str]]
    blobs: list[bytes]

    @classmethod
    async def of(cls, owner_url: str) -> "Seen":
        connection = await asyncpg.connect(owner_url)
        try:
            columns = await connection.fetch(TABLES)
            tables = {row[0] for row in columns}
            rows = {
                table: [row[0] for row in await connection.fetch(f'SELECT t::text FROM "{table}" t')]
                for table in tables
            }
            blobs = [
                row[0]
                for table, column, kind in columns
                if kind == "bytea"
                for row in await connection.fetch(
                    f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'
                )
            ]
        finally:
            await connection.close()
        return cls(rows, blobs)

    def tables_with(self, text: str) -> set[str]:
        return {table for table, rows in self.rows.items() if any(text in row for row in rows)}

    def in_the_clear(self, canaries: Canaries) -> set[str]:
        """The tables where a canary can be read."""
        return {table for table, rows in self.rows.items() if any(map(canaries.stands_in, rows))}

    def opened_by(self, key: DataKey) -> list[str]:
        """Every value that this key opens, wherever it stands and whatever it was sealed as."""
        found = []
        for blob in self.blobs:
            for table, column in PLACES:
                try:
                    found.append(key.open(blob, table=table, column=column))
                except Unreadable:
                    continue
        return found


async def key_of(core: Any, user_id: str) -> DataKey:
    """The data key of somebody, as whoever kept a copy of it has it."""
    verb = core.accounts.export
    key = await verb.vault.load_data_key(verb.db, UUID(user_id))
    assert key is not None
    return key
