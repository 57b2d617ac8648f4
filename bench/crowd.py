"""A made-up crowd of any size: who is in it follows from their number alone, the newest last."""

import asyncio
import multiprocessing
import random
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import asyncpg
import msgspec
from argon2 import PasswordHasher

from bench.servers import Keystead
from keystead.accounts.import_users import MAX_BATCH
from keystead.accounts.incoming import Outcome, Tally
from keystead.accounts.moving import Format, IncomingUser
from keystead.api.rest.directory import UsersQuery
from keystead.core import Core
from keystead.kernel.caller import Operator
from keystead.serving.instance import attached
from keystead.settings import Settings, load
from keystead.wiring import Running, open_core

T = TypeVar("T")

PASSWORD = "correct horse battery staple"
DOMAINS = ("large.example.com", "second.example.com", "third.example.com", "acme.example.com")
_SHARES = (0.45, 0.6, 0.7, 0.701)
_COMPANIES = 20_000
_PAGE = 50
_BEGINNING = datetime(2023, 1, 1, tzinfo=UTC)
_YEARS = timedelta(days=3 * 365)
_ROLES = ("editor", "founder")


@dataclass(frozen=True, slots=True)
class Person:
    number: int
    id: UUID
    domain: str
    is_disabled: bool
    roles: tuple[str, ...]
    created_at: datetime

    def has(self, filters: dict[str, str]) -> bool:
        held = {
            "status": "disabled" if self.is_disabled else "active",
            "role": self.roles,
            "email_domain": self.domain,
        }
        for name, value in filters.items():
            if name == "created_from":
                fits = self.created_at >= datetime.fromisoformat(value)
            elif name == "created_before":
                fits = self.created_at < datetime.fromisoformat(value)
            else:
                fits = value in held[name] if name == "role" else value == held[name]
            if not fits:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Crowd:
    """`size` people who came over three years. The first administers, the first hundredth are founders."""

    size: int

    def created_at(self, number: int) -> datetime:
        return _BEGINNING + _YEARS / self.size * number

    def person(self, number: int) -> Person:
        dice = random.Random(number)
        user_id = UUID(int=dice.getrandbits(128), version=4)
        share = dice.random()
        domain = next(
            (name for name, most in zip(DOMAINS, _SHARES, strict=True) if share < most),
            f"company{dice.randrange(_COMPANIES)}.example.com",
        )
        roles = ["user"] + ["admin"] * (number == 0) + ["founder"] * (number < self.size // 100)
        if dice.random() < 0.01:
            roles.append("editor")
        is_disabled = number > 0 and dice.random() < 0.02
        return Person(number, user_id, domain, is_disabled, tuple(roles), self.created_at(number))

    def address(self, number: int) -> str:
        return f"person{number}@{self.person(number).domain}"

    def find_active(self, number: int) -> int:
        """The first from `number` on who may sign in."""
        while self.person(number).is_disabled:
            number += 1
        return number

    def batches(self) -> range:
        return range(0, self.size, MAX_BATCH)

    def position(self, server: Keystead, query: str, at: float) -> str:
        """`query` with the cursor of the page about so far into its list: 0.0 is the first, 1.0 the last full one."""
        wanted = dict(parse_qsl(query))
        if at <= 0:
            return query
        if at < 1:  # the newest come first
            before = next(self._matching(wanted, range(int(self.size * (1 - at)), self.size)), None)
        else:
            before = next(islice(self._matching(wanted, range(self.size)), _PAGE, None), None)
        if before is None:  # there is one page only
            return query

        async def seal(core: Core) -> str:
            filters = msgspec.convert(wanted, UsersQuery, strict=False).filters()
            cursors = core.accounts.list.cursors
            return cursors.seal(f"users\0{filters!r}", before.created_at.isoformat(), str(before.id))

        return f"{query}&cursor={with_core(server, seal)}".removeprefix("&")

    def _matching(self, wanted: dict[str, str], numbers: range) -> Iterator[Person]:
        return (person for person in map(self.person, numbers) if person.has(wanted))


def missing_batches(crowd: Crowd, server: Keystead) -> list[int]:
    """The first numbers of those that are not there: each was added as one."""
    firsts = {crowd.person(number).id: number for number in crowd.batches()}
    rows = _as_owner(server, "SELECT id FROM users WHERE id = ANY($1::uuid[])", list(firsts))
    return sorted(set(firsts.values()) - {firsts[row[0]] for row in rows})


def add(crowd: Crowd, server: Keystead, missing: list[int], *, processes: int) -> Iterator[int]:
    """How many users each batch added, as they are done."""
    for role in _ROLES:
        _as_owner(
            server, "INSERT INTO roles (name, permissions) VALUES ($1, '{}') ON CONFLICT DO NOTHING", role
        )
    spawn = multiprocessing.get_context("spawn")
    prepare = (crowd, server.environ)
    with ProcessPoolExecutor(
        processes, mp_context=spawn, initializer=_Importer.start, initargs=prepare
    ) as pool:
        for done in as_completed([pool.submit(_Importer.add, first) for first in missing]):
            yield done.result()


def analyse(server: Keystead) -> None:
    for table in ("users", "data_keys", "user_roles", "audit_events"):
        _as_owner(server, f"VACUUM (ANALYZE) {table}")


def with_core(server: Keystead, act: Callable[[Core], Coroutine[Any, Any, T]]) -> T:
    async def run(settings: Settings) -> T:
        async with open_core(settings) as running:
            return await act(running.core)

    with attached(_settings(server.environ)) as settings:
        return asyncio.run(run(settings))


class _Importer:
    """What one process of the pool holds: a core for as long as it lives."""

    opened: AbstractAsyncContextManager[Running]
    core: Core
    crowd: Crowd
    password_hash: str
    runner: asyncio.Runner

    @classmethod
    def start(cls, crowd: Crowd, environ: dict[str, str]) -> None:
        settings = ExitStack().enter_context(attached(_settings(environ)))
        cost = settings.auth.argon2
        hasher = PasswordHasher(cost.iterations, cost.memory_kib, cost.parallelism)
        cls.crowd, cls.password_hash, cls.runner = crowd, hasher.hash(PASSWORD), asyncio.Runner()
        cls.opened = open_core(settings)  # kept: what nobody holds is closed
        cls.core = cls.runner.run(cls.opened.__aenter__()).core

    @classmethod
    def add(cls, first: int) -> int:
        numbers = range(first, min(first + MAX_BATCH, cls.crowd.size))
        batch = [cls._incoming(cls.crowd.person(number)) for number in numbers]
        tally = cls.runner.run(cls._import(batch))
        assert not tally.rejected, tally.rejected[:3]
        return tally.outcomes[Outcome.IMPORTED]

    @classmethod
    async def _import(cls, batch: list[IncomingUser]) -> Tally:
        return await cls.core.accounts.import_users(Operator(), batch, source=Format.KEYSTEAD)

    @classmethod
    def _incoming(cls, person: Person) -> IncomingUser:
        return IncomingUser(
            source_id=str(person.id),
            id=person.id,
            email=f"person{person.number}@{person.domain}",
            email_verified=True,
            full_name=f"Person {person.number}",
            password_hash=cls.password_hash,
            is_disabled=person.is_disabled,
            created_at=person.created_at,
            updated_at=None,
            preferences={"theme": "dark"},
            app_metadata={"plan": "gold", "imported_from": {"system": "bench", "id": str(person.number)}},
            roles=person.roles,
        )


def _settings(environ: dict[str, str]) -> Settings:
    return load(Path("/nonexistent"), environ).settings


def _as_owner(server: Keystead, statement: str, *arguments: object) -> list[Any]:
    async def run(url: str) -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    with attached(_settings(server.environ)) as settings:
        url = settings.database.migration_url or settings.database.url
        assert url is not None
        return asyncio.run(run(url.reveal()))
