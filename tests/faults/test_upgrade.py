"""The upgrade from 0.1.0: while that version still serves, and with what it left behind."""

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from keystead.kernel.db import Database, PoolLimits
from keystead.kernel.ids import SessionId, new_uuid
from keystead.kernel.migrate import ADD_TO_HISTORY, CREATE_HISTORY, migrate, shipped
from keystead.kernel.secrets import Secret
from keystead.sessions.refresh_token import RefreshTokens
from keystead.users.passwords import Argon2Cost, Hasher
from keystead.vault import Vault
from tests.conftest import ROOT_SECRET
from tests.contract.service import login, serving_over
from tests.support.databases import Urls
from tests.support.people import PASSWORD, new_email, refresh

pytestmark = pytest.mark.anyio

LAST = 6  # the last migration of 0.1.0
LIFETIMES = (timedelta(days=14), timedelta(days=30))
OLD_TABLES = "installation, vault_keys, signing_keys, data_keys, users, sessions, user_roles, audit_events"

# The statements of 0.1.0, as it shipped them.
ADD_USER = """
    INSERT INTO users (id, status, email_index, email_sealed, full_name_sealed, password_hash, email_verified_at)
    VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN keystead_now() END)
    ON CONFLICT (email_index) WHERE status <> 'pending' DO NOTHING
    RETURNING id
"""
START_SESSION = """
    WITH proven AS MATERIALIZED (
        SELECT u.id AS user_id, i.epoch, keystead_now() AS now
          FROM users u CROSS JOIN installation i
         WHERE u.id = $2 AND u.status = 'active' AND u.password_version = $3
           FOR SHARE OF u
    ), started AS (
        INSERT INTO sessions (id, user_id, client_id, epoch, rotated_at, amr, auth_time, created_at,
                              idle_expires_at, absolute_expires_at)
        SELECT $1, user_id, $4, epoch, now, $5, now, now, least(now + $6::interval, now + $7::interval),
               now + $7::interval
          FROM proven
        RETURNING id, user_id, client_id, generation, amr, auth_time, idle_expires_at, created_at
    ), recorded AS (
        INSERT INTO audit_events (at, event, actor_id, subject_id, session_id, request_id)
        SELECT created_at, $8, user_id, user_id, id, $9 FROM started
    )
    SELECT s.id, s.user_id, s.client_id, s.generation, s.amr, s.auth_time,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY r.role) AS roles,
           s.idle_expires_at AS expires_at, s.created_at AS now
      FROM started s
"""
REPLACE_PROFILE = """
    UPDATE users
       SET full_name_sealed = $2, preferences = $3::text::jsonb, updated_at = keystead_now()
     WHERE id = $1
 RETURNING updated_at
"""
GRANT_ROLE = "INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING"
ADD_DATA_KEY = "INSERT INTO data_keys (owner_id, wrapped) VALUES ($1, $2)"


@dataclass(frozen=True)
class Old:
    """A process of 0.1.0, as far as it writes."""

    db: Database
    vault: Vault
    password_hash: str

    async def add_user(self, *, preferences=None, roles=("user",)):
        """Id, address and refresh token of somebody who signed in to it."""
        user_id, email, session_id = new_uuid(), new_email(), SessionId(new_uuid())
        data_key = self.vault.new_data_key(user_id)
        async with self.db.begin() as tx:
            added = await tx.fetch_row(
                ADD_USER,
                user_id,
                "active",
                self.vault.index(email, purpose="email_index"),
                data_key.seal(email, table="users", column="email"),
                self._name(data_key),
                self.password_hash,
                True,
            )
            assert added
            await tx.execute(ADD_DATA_KEY, user_id, data_key.wrapped)
            for role in roles:
                await tx.execute(GRANT_ROLE, user_id, role)
        await self.set_preferences(user_id, preferences or {})
        started = await self.db.fetch_row(
            START_SESSION, session_id, user_id, 1, "default", ["pwd"], *LIFETIMES, "session.started", None
        )
        assert started
        return user_id, email, RefreshTokens(self.vault).make(session_id, 1).reveal()

    async def set_preferences(self, user_id: UUID, preferences):
        data_key = await self.vault.load_data_key(self.db, user_id)
        assert await self.db.fetch_row(
            REPLACE_PROFILE, user_id, self._name(data_key), json.dumps(preferences)
        )

    def _name(self, data_key):
        return data_key.seal("John Doe", table="users", column="full_name")


@pytest.fixture
async def urls(cluster):
    """A database as 0.1.0 migrated it."""
    name = f"old_{new_uuid().hex[-12:]}"
    await cluster.execute(f"CREATE DATABASE {name} OWNER keystead_owner")
    made = cluster.urls(name)
    owner = await asyncpg.connect(made.owner)
    try:
        await owner.execute(CREATE_HISTORY)
        for migration in shipped()[:LAST]:
            await owner.execute(migration.sql)
            await owner.execute(ADD_TO_HISTORY, migration.version, migration.name, migration.checksum)
        await owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {OLD_TABLES} TO keystead_runtime")
    finally:
        await owner.close()
    yield made
    await cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def old(urls):
    db = Database(Secret(urls.runtime), PoolLimits(max_connections=4))
    hasher = Hasher(Argon2Cost(8, 1, 1), threads=1, longest_wait=timedelta(seconds=60))
    yield Old(db, await Vault.unlock(db, Secret(ROOT_SECRET)), await hasher.hash(PASSWORD))
    hasher.close()
    await db.close()


async def upgrade(urls: Urls):
    return await migrate(Secret(urls.owner), runtime_url=Secret(urls.runtime))


async def show(service, pair):
    headers = {"authorization": f"Bearer {pair['access_token']}"}
    return (await service.client.get("/api/v1/users/me", headers=headers)).json()


async def sealed(old, user_id):
    row = await old.db.fetch_row(
        "SELECT preferences, preferences_sealed, email_domain_index FROM users WHERE id = $1", user_id
    )
    return row["preferences"] == "{}" and row["email_domain_index"] is not None


async def test_the_old_version_goes_on_while_its_database_is_migrated_and_afterwards(urls, old):
    people = [await old.add_user(preferences={"n": n}) for n in range(5)]
    is_over = asyncio.Event()

    async def serve():
        count = 0
        while not is_over.is_set():
            await old.add_user(preferences={"while": "migrating"})
            await old.set_preferences(people[count % 5][0], {"n": count % 5, "changed": count})
            count += 1
        return count

    serving = [asyncio.create_task(serve()) for _ in range(2)]
    applied = await upgrade(urls)
    is_over.set()
    counts = await asyncio.gather(*serving)
    assert [migration.version for migration in applied] == [each.version for each in shipped()[LAST:]]
    assert all(count > 0 for count in counts)
    await old.add_user(preferences={"after": "wards"})
    assert await upgrade(urls) == ()


async def test_what_it_left_is_sealed_once_and_its_people_lose_nothing(urls, old):
    preferences = {"theme": "dark", "deep": {"a": [1, None, "\u00e9"]}}
    user_id, email, token = await old.add_user(preferences=preferences)
    root_id, root_email, _ = await old.add_user(roles=("user", "admin"))
    await upgrade(urls)
    async with serving_over(urls) as service:
        # Before the sweep, too.
        pair = (await login(service.client, email)).json()
        assert (await show(service, pair))["preferences"] == preferences
        assert not await sealed(old, user_id)

        await service.core.operations.sweep()
        assert await sealed(old, user_id)
        assert await sealed(old, root_id)
        ((left,),) = await service.sql("SELECT count(*) FROM users WHERE users::text LIKE '%dark%'")
        assert left == 0
        shown = await show(service, pair)
        assert (shown["preferences"], shown["full_name"], shown["email"]) == (preferences, "John Doe", email)
        assert shown["email_verified"]

        # A session of then goes on, and tells of no device.
        rotated = await refresh(service.client, token)
        assert rotated.status_code == 200
        headers = {"authorization": f"Bearer {rotated.json()['access_token']}"}
        listed = (await service.client.get("/api/v1/users/me/sessions", headers=headers)).json()["items"]
        assert [item["device"] is None for item in listed if item["is_current"]] == [True]

        root = (await login(service.client, root_email)).json()
        headers = {"authorization": f"Bearer {root['access_token']}"}
        found = await service.client.get(
            "/api/v1/users", params={"email_domain": "example.com"}, headers=headers
        )
        assert {item["id"] for item in found.json()["items"]} == {str(user_id), str(root_id)}
        found = await service.client.get("/api/v1/users", params={"role": "admin"}, headers=headers)
        assert [item["id"] for item in found.json()["items"]] == [str(root_id)]


async def test_what_the_old_version_writes_beside_the_new_one_holds_and_is_sealed_in_turn(urls, old):
    user_id, email, _ = await old.add_user(preferences={"theme": "dark"})
    await upgrade(urls)
    async with serving_over(urls) as service:
        await service.core.operations.sweep()
        await old.set_preferences(user_id, {"theme": "light"})
        pair = (await login(service.client, email)).json()
        assert (await show(service, pair))["preferences"] == {"theme": "light"}
        await service.core.operations.sweep()
        assert await sealed(old, user_id)
        assert (await show(service, pair))["preferences"] == {"theme": "light"}

        late_id, late_email, late_token = await old.add_user(
            preferences={"late": True}, roles=("user", "admin")
        )
        assert (await refresh(service.client, late_token)).status_code == 200
        await service.core.operations.sweep()
        assert await sealed(old, late_id)
        pair = (await login(service.client, late_email)).json()
        assert (await show(service, pair))["preferences"] == {"late": True}
        headers = {"authorization": f"Bearer {pair['access_token']}"}
        found = await service.client.get("/api/v1/users", params={"role": "admin"}, headers=headers)
        assert [item["id"] for item in found.json()["items"]] == [str(late_id)]


async def test_a_change_by_the_new_version_seals_a_row_before_any_sweep(urls, old):
    user_id, email, _ = await old.add_user(preferences={"theme": "dark"})
    await upgrade(urls)
    async with serving_over(urls) as service:
        pair = (await login(service.client, email)).json()
        headers = {"authorization": f"Bearer {pair['access_token']}"}
        changed = await service.client.patch(
            "/api/v1/users/me", json={"preferences": {"size": "large"}}, headers=headers
        )
        assert changed.json()["preferences"] == {"theme": "dark", "size": "large"}
        row = await old.db.fetch_row(
            "SELECT preferences, preferences_sealed FROM users WHERE id = $1", user_id
        )
        assert (row["preferences"], row["preferences_sealed"] is not None) == ("{}", True)
