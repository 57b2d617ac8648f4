"""The vault: what is sealed opens in its own place only, and only under the right root secret."""

import asyncio

import pytest

from keystead.kernel.errors import CannotStart
from keystead.kernel.ids import new_uuid
from keystead.kernel.secrets import Secret
from keystead.vault import PURPOSES, Unreadable, Vault
from tests.conftest import ROOT_SECRET
from tests.support.people import register

pytestmark = pytest.mark.anyio

ROOT = Secret(ROOT_SECRET)
OTHER = Secret("another root secret, as long as the first one")
PLACE = {"table": "users", "column": "email"}


async def test_what_is_sealed_opens_in_its_place(vault):
    key = vault.new_data_key(new_uuid())
    sealed = key.seal("user@example.com", **PLACE)
    assert b"user@example.com" not in sealed
    assert key.open(sealed, **PLACE) == "user@example.com"
    assert vault.open_data_key(key.owner_id, key.wrapped).open(sealed, **PLACE) == "user@example.com"


async def test_asvs_v5_11_3_3_a_sealed_value_opens_nowhere_else(vault):
    key, other = vault.new_data_key(new_uuid()), vault.new_data_key(new_uuid())
    sealed = key.seal("user@example.com", **PLACE)
    attempts = [
        (key, sealed, {"table": "users", "column": "full_name"}),
        (key, sealed, {"table": "sessions", "column": "email"}),
        (other, sealed, PLACE),
        (key, b"\x02" + sealed[1:], PLACE),
        (key, b"", PLACE),
    ]
    for opener, blob, place in attempts:
        with pytest.raises(Unreadable):
            opener.open(blob, **place)


async def test_a_damaged_or_shortened_value_is_unreadable(vault):
    key = vault.new_data_key(new_uuid())
    sealed = key.seal("text", **PLACE)
    for end in range(len(sealed)):
        with pytest.raises(Unreadable):
            key.open(sealed[:end], **PLACE)
    for place in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1
        with pytest.raises(Unreadable):
            key.open(bytes(damaged), **PLACE)


async def test_a_data_key_opens_for_its_owner_only(vault):
    key = vault.new_data_key(new_uuid())
    with pytest.raises(Unreadable):
        vault.open_data_key(new_uuid(), key.wrapped)


async def test_a_wrapped_key_is_bound_to_purpose_and_context(vault):
    blob = vault.wrap(b"k" * 32, purpose="signing", context=b"kid-1")
    assert vault.unwrap(blob, purpose="signing", context=b"kid-1") == b"k" * 32
    for purpose, context in (("data", b"kid-1"), ("signing", b"kid-2")):
        with pytest.raises(Unreadable):
            vault.unwrap(blob, purpose=purpose, context=context)
    with pytest.raises(Unreadable):
        vault.unwrap(b"\xff\xff" + blob[2:], purpose="signing", context=b"kid-1")


async def test_sealing_twice_never_looks_the_same(vault):
    key = vault.new_data_key(new_uuid())
    assert len({key.seal("same", **PLACE) for _ in range(1000)}) == 1000


async def test_an_index_is_equal_for_equal_texts_and_tells_nothing_without_the_key(vault):
    index = vault.index("user@example.com", purpose="email_index")
    assert index == vault.index("user@example.com", purpose="email_index")
    assert index != vault.index("user@example.org", purpose="email_index")
    stranger = Vault({purpose: {1: b"x" * 32} for purpose in PURPOSES})
    assert index != stranger.index("user@example.com", purpose="email_index")


async def test_a_new_key_version_is_used_for_what_is_new_and_the_old_still_opens():
    old = Vault({purpose: {1: bytes([1]) * 32} for purpose in PURPOSES})
    new = Vault({purpose: {1: bytes([1]) * 32, 2: bytes([2]) * 32} for purpose in PURPOSES})
    owner = new_uuid()
    key = old.new_data_key(owner)
    sealed = key.seal("text", **PLACE)
    assert new.open_data_key(owner, key.wrapped).open(sealed, **PLACE) == "text"
    with pytest.raises(Unreadable):
        old.open_data_key(owner, new.new_data_key(owner).wrapped)


async def test_racing_first_starts_agree_on_one_vault(db):
    vaults = await asyncio.gather(*(Vault.unlock(db, ROOT) for _ in range(8)))
    assert len({vault.index("x", purpose="email_index") for vault in vaults}) == 1


async def test_a_wrong_root_secret_is_refused_and_changes_nothing(db, vault):
    before = await db.fetch("SELECT purpose, version, wrapped FROM vault_keys ORDER BY 1, 2")
    with pytest.raises(CannotStart, match="APP_AUTH__JWT_SECRET_PREVIOUS"):
        await Vault.unlock(db, OTHER)
    assert await db.fetch("SELECT purpose, version, wrapped FROM vault_keys ORDER BY 1, 2") == before
    assert (await Vault.unlock(db, ROOT)).index("x", purpose="email_index") == vault.index(
        "x", purpose="email_index"
    )


async def test_the_root_secret_can_be_replaced_by_naming_the_previous_one(db, vault):
    replaced = await asyncio.gather(*(Vault.unlock(db, OTHER, previous=ROOT) for _ in range(4)))
    for each in (*replaced, await Vault.unlock(db, OTHER), await Vault.unlock(db, OTHER, previous=ROOT)):
        assert each.index("x", purpose="email_index") == vault.index("x", purpose="email_index")
    with pytest.raises(CannotStart):
        await Vault.unlock(db, ROOT)


async def test_a_damaged_key_row_is_named(db):
    await db.execute("UPDATE vault_keys SET wrapped = '\\x00' WHERE purpose = 'refresh'")
    with pytest.raises(CannotStart, match="refresh"):
        await Vault.unlock(db, ROOT)


async def test_neither_the_vault_nor_a_data_key_prints_a_key(vault):
    key = vault.new_data_key(new_uuid())
    assert str(key.wrapped) not in repr(key)
    assert "b'" not in repr(vault)


async def test_no_personal_data_and_no_secret_stands_in_any_column(client, db):
    person = await register(client, email="canary-mail@example.com", full_name="Canary Name")
    tables = await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    canaries = [b"canary-mail", b"Canary Name", b"correct horse", person.refresh_token.encode()]
    for table in tables:
        for row in await db.fetch(f"SELECT t::text AS line FROM {table['tablename']} t"):
            line = row["line"].encode()
            assert not [c for c in canaries if c in line or c.hex().encode() in line], table


async def test_deleting_the_data_key_ends_reading_at_once(client, db, vault):
    person = await register(client)
    stored = await db.fetch_row("SELECT id, email_sealed FROM users WHERE id = $1::text::uuid", person.id)
    async with db.begin() as tx:
        await vault.shred(tx, stored["id"])
    assert (await client.get("/api/v1/users/me", headers=person.bearer)).status_code == 401
    assert not await db.fetch("SELECT FROM data_keys WHERE owner_id = $1", stored["id"])
