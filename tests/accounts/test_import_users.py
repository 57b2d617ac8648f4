"""Batches of users that come in, all of them that leave again, and what of it the database holds."""

import asyncio
import json
import random
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import RFC_4122, UUID, uuid4

import asyncpg
import pytest
from argon2 import PasswordHasher

from keystead.accounts.import_users import MAX_BATCH, Foreseen
from keystead.accounts.incoming import Acceptable, JudgeIncoming, Omission, Outcome
from keystead.accounts.list_users import Filters
from keystead.accounts.moving import Format, IncomingUser, Unreadable, detect, read
from keystead.auth.refusals import LoginRefused
from keystead.kernel.caller import Operator, Origin
from keystead.users.hash_kinds import kind_of
from keystead.users.types import EmailTaken, UserStatus
from keystead.vault import PURPOSES, PageWanted, Vault
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.support.people import PASSWORD, make_user, new_email
from tests.support.tables import contents

pytestmark = pytest.mark.anyio

ADD_USER = """
    INSERT INTO users (id, status, email_index, email_sealed, password_hash) VALUES ($1, $2, $3, '', '!')
"""
HASH = PasswordHasher(1, 8, 1).hash(PASSWORD)
CREATED, UPDATED = datetime(2020, 2, 3, 4, 5, 6, 789, UTC), datetime(2021, 2, 3, tzinfo=UTC)
ORIGIN = Origin("127.0.0.1", "test")


def incoming(email=None, **changes):
    user_id = uuid4()
    user = IncomingUser(
        source_id=str(user_id),
        id=user_id,
        email=email or new_email(),
        email_verified=True,
        full_name="Jane Doe",
        password_hash=HASH,
        is_disabled=False,
        created_at=CREATED,
        updated_at=UPDATED,
        preferences={"theme": "dark"},
        app_metadata={"plan": "gold"},
        roles=(),
    )
    return replace(user, **changes)


def from_elsewhere(source_id, **changes):
    """A user whose id there is no UUID."""
    return incoming(source_id=source_id, id=None, **changes)


def bring(core, *batch, source=Format.SUPABASE, first_record=1):
    return core.accounts.import_users(Operator(), batch, source=source, first_record=first_record)


def foresee(core, *batch, source=Format.SUPABASE, foreseen=None):
    foreseen = foreseen or Foreseen()
    return core.accounts.preview_import(Operator(), batch, source=source, foreseen=foreseen)


def show(core, user_id):
    return core.accounts.show.read(core.accounts.show.db, user_id)


def login(core, email, password=PASSWORD):
    return core.auth.login(email=email, password=password, origin=ORIGIN)


async def ids_in(db):
    return {row[0] for row in await db.fetch("SELECT id FROM users")}


async def test_a_user_comes_with_everything_they_had(core, db):
    user = incoming("Jane@Example.com")
    tally = await bring(core, user)
    account = await show(core, user.id)
    assert tally.outcomes == {Outcome.IMPORTED: 1}
    assert (account.user.email, account.user.full_name, account.user.status) == (
        "Jane@Example.com",
        "Jane Doe",
        UserStatus.ACTIVE,
    )
    assert (account.user.created_at, account.user.updated_at) == (CREATED, UPDATED)
    assert (account.user.preferences, account.user.app_metadata) == ({"theme": "dark"}, {"plan": "gold"})
    assert (account.user.email_verified, account.user.version, account.roles) == (True, 1, ("user",))
    (stored,) = await db.fetch("SELECT password_hash, email_verified_at, preferences FROM users")
    assert tuple(stored) == (HASH, CREATED, "{}")
    await login(core, "jane@example.com")


async def test_times_that_a_file_does_not_tell_are_now(core):
    user = incoming(created_at=None, updated_at=None)
    await bring(core, user)
    account = await show(core, user.id)
    assert account.user.created_at == account.user.updated_at
    assert datetime.now(UTC) - account.user.created_at < UPDATED - CREATED


async def test_whoever_was_disabled_or_unverified_there_is_so_here(core, db):
    disabled, unverified = incoming(is_disabled=True), incoming(email_verified=False)
    await bring(core, disabled, unverified)
    assert (await show(core, disabled.id)).user.status == UserStatus.DISABLED
    account = await show(core, unverified.id)
    assert (account.user.status, account.user.email_verified) == (UserStatus.ACTIVE, False)
    with pytest.raises(LoginRefused):
        await login(core, disabled.email)
    await login(core, unverified.email)


async def test_nobody_signs_in_to_an_account_without_a_password(core, db):
    user = incoming(password_hash=None)
    await bring(core, user)
    for password in ("", "!", PASSWORD):
        with pytest.raises(LoginRefused):
            await login(core, user.email, password)
    assert (await db.fetch("SELECT password_hash FROM users"))[0][0] == "!"


async def test_every_import_is_in_the_trail(core, db):
    users = [incoming(), incoming(roles=("user", "admin"))]
    await bring(core, *users)
    events = await db.fetch("SELECT event, subject_id, actor_id, detail FROM audit_events ORDER BY event, id")
    told = [
        (row["event"], row["subject_id"], json.loads(row["detail"]))
        for row in events
        if row["event"] != "key.added"
    ]
    assert ("role.granted", users[1].id, {"role": "admin"}) in told
    assert {subject for event, subject, _ in told if event == "user.imported"} == {u.id for u in users}
    assert len(told) == 3


async def test_a_second_run_finds_everybody_there_and_changes_nothing(core, urls):
    batch = [incoming(), from_elsewhere("auth0|7"), from_elsewhere("17")]
    await bring(core, *batch)
    before = await contents(urls)
    changed = [replace(user, full_name="Somebody else", email=new_email()) for user in batch]
    assert (await bring(core, *batch)).outcomes == {Outcome.ALREADY_THERE: 3}
    assert (await bring(core, *changed)).outcomes == {Outcome.ALREADY_THERE: 3}
    assert await contents(urls) == before


async def test_an_id_that_is_no_uuid_becomes_one_that_follows_from_it_and_from_our_keys(core, db):
    users = [from_elsewhere("17"), from_elsewhere("18")]
    await bring(core, *users, source=Format.DJANGO)
    assert (await bring(core, *users, source=Format.DJANGO)).outcomes == {Outcome.ALREADY_THERE: 2}
    await bring(core, from_elsewhere("17"), source=Format.AUTH0)
    made = await ids_in(db)
    assert len(made) == 3
    assert {(one.version, one.variant) for one in made} == {(8, RFC_4122)}
    other_keys = Vault({purpose: {1: bytes(32)} for purpose in PURPOSES})
    judged = JudgeIncoming(other_keys)(users[0], record=1, source=Format.DJANGO)
    assert isinstance(judged, Acceptable)
    assert judged.row.id not in made


async def test_the_listing_shows_whoever_came_by_the_day_that_they_signed_up_there(core):
    old, new = incoming(created_at=CREATED), incoming(created_at=UPDATED)
    await bring(core, new, old)
    page = await core.accounts.list(Operator(), Filters(), PageWanted())
    assert [account.user.id for account in page.items] == [new.id, old.id]


def index_of(core, email):
    return core.accounts.list.vault.index(email, purpose="email_index")


@asynccontextmanager
async def signing_up(urls, user_id, email_index):
    """Somebody whose transaction has the address. What this yields ends it, as soon as somebody waits for it."""
    # As the role that waits, too: of others' statements one sees nothing.
    connection, watcher = await asyncpg.connect(urls.runtime), await asyncpg.connect(urls.runtime)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    async def end(how):
        async with asyncio.timeout(20):
            while not await watcher.fetchval(waiting):
                await asyncio.sleep(0.01)
        await connection.execute(how)

    try:
        await connection.execute("BEGIN")
        await connection.execute(ADD_USER, user_id, "active", email_index)
        yield end
    finally:
        await connection.close()
        await watcher.close()


class TestConflicts:
    async def test_an_address_belongs_to_whoever_had_it_first(self, core, db):
        owner_id = await make_user(core, "jane@example.com")
        tally = await bring(core, incoming(), incoming("JANE@example.com"), incoming(), first_record=11)
        assert tally.outcomes == {Outcome.IMPORTED: 2, Outcome.EMAIL_TAKEN: 1}
        (rejected,) = tally.rejected
        assert (rejected.record, rejected.outcome) == (12, Outcome.EMAIL_TAKEN)
        assert "jane" not in repr(tally).lower()
        assert (await show(core, owner_id)).user.full_name is None
        assert len(await db.fetch("SELECT FROM users")) == len(await db.fetch("SELECT FROM data_keys")) == 3

    async def test_of_two_rows_with_one_address_the_first_is_taken(self, core):
        first, second = incoming("jane@example.com"), incoming("Jane@EXAMPLE.com")
        tally = await bring(core, first, second)
        assert tally.outcomes == {Outcome.IMPORTED: 1, Outcome.EMAIL_TAKEN: 1}
        assert tally.rejected[0].record == 2
        await show(core, first.id)

    async def test_of_two_rows_with_one_id_the_first_is_taken_and_opens(self, core):
        first = incoming()
        batch = [first, replace(first, email=new_email()), incoming()]
        for shuffled in (batch, [*batch[::-1]]):
            tally = await bring(core, *shuffled)
            assert not tally.rejected
        assert (await show(core, first.id)).user.email == first.email

    async def test_a_row_does_not_replace_the_one_before_it_with_the_same_id(self, core, db):
        await make_user(core, "jane@example.com")
        first = incoming("jane@example.com")
        tally = await bring(core, first, replace(first, email=new_email()))
        assert tally.outcomes == {Outcome.EMAIL_TAKEN: 1, Outcome.REFUSED: 1}
        assert len(await ids_in(db)) == 1

    async def test_an_erased_account_does_not_come_back(self, core, db):
        user = incoming()
        await bring(core, user)
        await core.accounts.erase_again(Operator(), [user.id])
        tally = await bring(core, user, incoming())
        assert tally.outcomes == {Outcome.IMPORTED: 1, Outcome.REFUSED: 1}
        assert "erased" in tally.rejected[0].reason
        assert (await foresee(core, user)).outcomes == {Outcome.REFUSED: 1}

    async def test_who_signs_up_while_the_batch_is_written_keeps_the_address(self, core, urls):
        users = [incoming(f"person{number}@example.com") for number in range(5)]
        async with signing_up(urls, uuid4(), index_of(core, "person3@example.com")) as end:
            bringing = asyncio.create_task(bring(core, *users))
            await end("COMMIT")
        tally = await bringing
        assert tally.outcomes == {Outcome.IMPORTED: 4, Outcome.EMAIL_TAKEN: 1}
        assert tally.rejected[0].record == 4

    async def test_who_signs_up_and_fails_leaves_the_address_to_the_file(self, core, urls):
        user = incoming("jane@example.com")
        async with signing_up(urls, uuid4(), index_of(core, "jane@example.com")) as end:
            bringing = asyncio.create_task(bring(core, user))
            await end("ROLLBACK")
        assert (await bringing).outcomes == {Outcome.IMPORTED: 1}

    async def test_registrations_and_the_import_share_the_addresses_between_them(self, core, db):
        dice = random.Random(7)
        for round_ in range(5):
            emails = [f"round{round_}-{number}@example.com" for number in range(8)]
            registrations = [
                core.auth.register(email=email, password=PASSWORD, full_name=None, origin=ORIGIN)
                for email in dice.sample(emails, 4)
            ]
            bringing = asyncio.create_task(bring(core, *map(incoming, emails)))
            answers = await asyncio.gather(*registrations, return_exceptions=True)
            tally = await bringing
            registered = sum(not isinstance(answer, EmailTaken) for answer in answers)
            assert tally.outcomes[Outcome.IMPORTED] + registered == 8
            assert tally.outcomes[Outcome.EMAIL_TAKEN] == registered
        owners = await db.fetch("SELECT email_index FROM users GROUP BY 1 HAVING count(*) > 1")
        assert not owners

    async def test_two_imports_of_the_same_people_at_once_add_each_once(self, core, db):
        users = [incoming() for _ in range(200)]
        backwards = [replace(user, id=uuid4()) for user in users[::-1]]
        tallies = await asyncio.gather(bring(core, *users), bring(core, *users), bring(core, *backwards))
        assert sum(tally.outcomes[Outcome.IMPORTED] for tally in tallies) == 200
        assert len(await ids_in(db)) == 200

    async def test_an_attempt_to_register_neither_keeps_a_user_out_nor_gets_their_account(self, core, db):
        await db.execute(ADD_USER, uuid4(), "pending", index_of(core, "jane@example.com"))
        assert (await bring(core, incoming("jane@example.com"))).outcomes == {Outcome.IMPORTED: 1}
        await login(core, "jane@example.com")


BAD = {
    "e-mail": incoming("nobody"),
    "e-mail with a control character": incoming("a\x1b[31m@example.com"),
    "e-mail that is too long": incoming("a" * 300 + "@example.com"),
    "preferences": incoming(preferences={"a": "x" * 5000}),
    "app_metadata": incoming(app_metadata={"a": {"b": {"c": {"d": {}}}}}),
    "surrogate": incoming(app_metadata={"a": "\ud800"}),
    "unreadable": Unreadable(4711, "x", "it has no e-mail address"),
}


class TestWhatDoesNotFit:
    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    async def test_a_bad_row_keeps_nobody_else_out(self, bad, core, db):
        good = [incoming(), incoming()]
        tally = await bring(core, good[0], bad, good[1], first_record=100)
        assert tally.outcomes == {Outcome.IMPORTED: 2, Outcome.REFUSED: 1}
        (rejected,) = tally.rejected
        assert (rejected.record, rejected.source_id) == (101, bad.source_id)
        assert rejected.reason
        assert rejected.line == (4711 if isinstance(bad, Unreadable) else None)
        assert await ids_in(db) == {user.id for user in good}

    async def test_what_is_told_of_a_row_holds_no_hash_and_no_address(self, core):
        tally = await bring(core, incoming("nobody"), incoming(preferences={"a": "x" * 5000}))
        assert len(tally.rejected) == 2
        assert HASH not in repr(tally)
        assert "nobody" not in repr(tally)
        assert "example" not in repr(tally)

    @pytest.mark.parametrize("name", ["", " ", "x" * 201, "Jane\nDoe", "\x1b[31mJane"])
    async def test_a_name_that_does_not_fit_is_left_out_and_counted(self, name, core):
        user = incoming(full_name=name)
        tally = await bring(core, user, incoming())
        assert (await show(core, user.id)).user.full_name is None
        assert (tally.outcomes[Outcome.IMPORTED], tally.omissions[Omission.NAME]) == (2, 1)

    async def test_a_time_before_computers_is_left_out_and_counted(self, core):
        user = incoming(created_at=datetime(1, 1, 1, tzinfo=UTC))
        tally = await bring(core, user)
        account = await show(core, user.id)
        assert account.user.created_at.year > 2020
        assert account.user.updated_at == UPDATED
        assert tally.omissions[Omission.TIME] == 1

    async def test_roles_that_are_not_defined_here_are_left_out_and_counted(self, core):
        user = incoming(roles=("user", "admin", "wizard", "x'; DROP TABLE users"))
        tally = await bring(core, user)
        assert (await show(core, user.id)).roles == ("admin", "user")
        assert tally.omissions[Omission.ROLE] == 2

    async def test_a_batch_has_an_end(self, core):
        with pytest.raises(ValueError, match="1000"):
            await bring(core, *[incoming()] * (MAX_BATCH + 1))

    async def test_an_empty_batch_and_one_of_bad_rows_only_are_nothing(self, core, urls):
        before = await contents(urls)
        assert not (await bring(core)).outcomes
        assert (await bring(core, *BAD.values())).outcomes == {Outcome.REFUSED: len(BAD)}
        assert await contents(urls) == before


def mixture(dice):
    """Rows of every kind, among them each other's namesakes."""
    emails = [new_email() for _ in range(12)]
    users = [
        incoming(dice.choice(emails), email_verified=dice.random() < 0.5, roles=dice.choice([(), ("admin",)]))
        for _ in range(20)
    ]
    repeated = [replace(dice.choice(users), email=dice.choice(emails)) for _ in range(5)]
    elsewhere = [from_elsewhere(str(dice.randrange(6)), email=dice.choice(emails)) for _ in range(8)]
    batch = [*users, *repeated, *elsewhere, *dice.sample([*BAD.values()], 4)]
    dice.shuffle(batch)
    return batch


@pytest.mark.parametrize("seed", range(5))
async def test_a_preview_writes_nothing_and_foresees_what_the_import_does(seed, core, urls):
    dice = random.Random(seed)
    await make_user(core, "taken@example.com")
    batches = [[*mixture(dice), incoming("taken@example.com")] for _ in range(2)]
    batches.append(dice.sample(batches[0], 20))
    before = await contents(urls)
    foreseen = Foreseen()
    expected = [await foresee(core, *batch, foreseen=foreseen) for batch in batches]
    assert await contents(urls) == before
    assert [await bring(core, *batch) for batch in batches] == expected
    assert sum(tally.outcomes[Outcome.EMAIL_TAKEN] for tally in expected) > 2


async def test_many_batches_hold_each_of_their_users_once(core, db):
    """A small sample of `make bench-million`."""
    numbers = range(2500)
    batches = [numbers[start : start + MAX_BATCH] for start in range(0, 2500, MAX_BATCH)]
    for batch in batches:
        users = [from_elsewhere(f"auth0|{n}", email=f"person{n}@example{n % 40}.com") for n in batch]
        tally = await bring(core, *users, first_record=batch[0] + 1, source=Format.AUTH0)
        assert tally.outcomes == {Outcome.IMPORTED: len(batch)}
        assert tally.hashes == {kind_of(HASH): len(batch)}
    for table in ("users", "data_keys", "user_roles"):
        assert (await db.fetch(f"SELECT count(*) FROM {table}"))[0][0] == 2500
    assert await core.accounts.export_users.estimate() >= 0
    await login(core, "person2499@example19.com")


@pytest.mark.parametrize(
    ("stored", "name", "cost"),
    [
        (None, "none", ""),
        ("!", "none", ""),
        ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "argon2id", "m=65536,t=3,p=4"),
        ("$argon2i$v=19$m=512,t=2,p=1$c2FsdA$aGFzaA", "argon2i", "m=512,t=2,p=1"),
        ("$2y$10$abcdefghijklmnopqrstuv", "bcrypt", "cost 10"),
        ("bcrypt_sha256$$2b$12$abc", "bcrypt_sha256", "cost 12"),
        ("pbkdf2_sha256$260000$salt$hash", "pbkdf2-sha256", "260000 iterations"),
        ("$pbkdf2-sha512$i=27500$salt$hash", "pbkdf2-sha512", "27500 iterations"),
        ("scrypt$16384$salt$8$5$hash", "scrypt", "n=16384,r=8"),
        ("$scrypt$ln=14,r=8,p=1$salt$hash", "scrypt", "n=2^14,r=8"),
        ("$better-auth-scrypt$ln=14,r=16,p=1$00$00", "better-auth-scrypt", "n=2^14,r=16"),
        ("$firebase-scrypt$ln=14,r=8,ss=Bw,sk=secret$salt$hash", "firebase-scrypt", "n=2^14,r=8"),
    ],
)
def test_a_report_names_the_kind_and_the_cost_of_a_hash_and_nothing_secret(stored, name, cost):
    kind = kind_of(stored)
    assert kind.name == name
    assert kind.cost.startswith(cost)
    assert "secret" not in repr(kind)


class TestLeaving:
    @pytest.fixture
    async def elsewhere(self, cluster):
        """A fresh installation."""
        async with cluster.clone() as urls, open_core(settings_for(urls)) as running:
            yield running.core

    async def _lines(self, core):
        return [line async for page in core.accounts.export_users(Operator()) for line in page]

    async def _move(self, core, elsewhere, path):
        path.write_bytes(b"".join(await self._lines(core)))
        assert detect(path) is Format.KEYSTEAD
        users = list(read(path, Format.KEYSTEAD, now=datetime.now(UTC)))
        return await bring(elsewhere, *users, source=Format.KEYSTEAD)

    async def test_whoever_leaves_is_the_same_elsewhere_and_signs_in(self, core, db, elsewhere, tmp_path):
        users = [
            incoming("Zoë@exämple.com", full_name="Zoë Ödegård"),
            incoming(email_verified=False, full_name=None, preferences={}, app_metadata={}),
            incoming(password_hash=None),
            incoming(is_disabled=True, roles=("admin",)),
            from_elsewhere("auth0|7"),
        ]
        await bring(core, *users)
        made = await make_user(core, new_email(), is_admin=True)
        tally = await self._move(core, elsewhere, tmp_path / "users.jsonl")
        assert tally.outcomes == {Outcome.IMPORTED: 6}
        for user_id in await ids_in(db):
            assert await show(elsewhere, user_id) == await show(core, user_id)
        hashes = "SELECT id, password_hash FROM users ORDER BY id"
        assert await elsewhere.accounts.show.db.fetch(hashes) == await db.fetch(hashes)
        await login(elsewhere, users[0].email)
        await login(elsewhere, (await show(core, made)).user.email)
        assert await self._lines(elsewhere) == await self._lines(core)

    async def test_a_role_that_is_not_defined_there_stays_behind(self, core, db, elsewhere, tmp_path):
        await db.execute("INSERT INTO roles (name, permissions) VALUES ('editor', '{}')")
        user = incoming(roles=("editor",))
        await bring(core, user)
        assert (await show(core, user.id)).roles == ("editor", "user")
        tally = await self._move(core, elsewhere, tmp_path / "users.jsonl")
        assert tally.omissions[Omission.ROLE] == 1
        assert (await show(elsewhere, user.id)).roles == ("user",)

    async def test_attempts_and_the_erased_stay_behind_and_the_locked_come_disabled(
        self, core, db, elsewhere, tmp_path
    ):
        users = {name: incoming() for name in ("active", "pending", "locked", "erased")}
        await bring(core, *users.values())
        await core.accounts.erase_again(Operator(), [users["erased"].id])
        for status in ("pending", "locked"):
            await db.execute("UPDATE users SET status = $2 WHERE id = $1", users[status].id, status)
        await self._move(core, elsewhere, tmp_path / "users.jsonl")
        rows = await elsewhere.accounts.show.db.fetch("SELECT id, status FROM users")
        assert {tuple(row) for row in rows} == {
            (users["active"].id, "active"),
            (users["locked"].id, "disabled"),
        }

    async def test_pages_hold_everybody_once_while_others_come_and_go(self, core, db, monkeypatch):
        monkeypatch.setattr("keystead.accounts.export_users.PAGE", 10)
        users = [incoming() for _ in range(35)]
        users[0] = replace(users[0], id=UUID(int=0))
        await bring(core, *users)
        seen: Counter[UUID] = Counter()
        first = True
        async for page in core.accounts.export_users(Operator()):
            if first:
                assert json.loads(page[0]) == {"format": "keystead-users", "version": 1}
                first = False
                continue
            assert len(page) <= 10
            ids = [UUID(json.loads(line)["id"]) for line in page]
            seen.update(ids)
            await bring(core, *[incoming() for _ in range(3)])
            await db.execute("UPDATE users SET version = version + 1 WHERE id = $1", ids[0])
        assert {user.id for user in users} <= seen.keys()
        assert set(seen.values()) == {1}

    async def test_an_export_is_in_the_trail_once_even_if_nobody_reads_to_its_end(self, core, db):
        await bring(core, incoming())
        export = core.accounts.export_users(Operator())
        await anext(export)
        await export.aclose()
        assert len(await db.fetch("SELECT FROM audit_events WHERE event = 'users.exported'")) == 1
