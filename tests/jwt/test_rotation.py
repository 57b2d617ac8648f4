"""Keys in the database: the first one, rotation without a gap, revocation, and what lies in the table."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keystead.jwt import store
from keystead.jwt.issuer import TokenIssuer
from keystead.jwt.jws import Reason, TokenRejected
from keystead.jwt.keyring import Keyring, LoadKeys, NoSigningKey
from keystead.jwt.rotation import (
    AddKeys,
    EnsureKey,
    KeyChange,
    ListKeys,
    RevokeKey,
    RotateKeys,
    UnknownSigningKey,
)
from keystead.jwt.types import MAX_TOKEN_LIFE, PUBLISH_LEAD, Algorithm, KeySpec, KeyState
from keystead.jwt.verifier import TokenVerifier
from keystead.kernel.db import Database, Runner
from keystead.kernel.ids import SessionId, UserId, new_uuid
from keystead.vault import Vault
from tests.jwt.forging import AUDIENCE, AUDIENCES, ISSUER
from tests.support.clock import MovableClock
from tests.support.databases import Urls

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
ES256 = KeySpec(Algorithm.ES256, None)
EDDSA = KeySpec(Algorithm.EDDSA, None)
RSA = KeySpec(Algorithm.RS256, 2048)
PLANT_KEY = """
    INSERT INTO signing_keys (number, kid, algorithm, rsa_bits, wrapped, active_from)
    VALUES ($1, $2, $3, $4, $5, keystead_now())
"""


class Process:
    """One process of an installation: its verbs, and its keyring with what signs and verifies by it."""

    def __init__(self, db: Database, vault: Vault, clock: MovableClock, spec: KeySpec = ES256) -> None:
        self.changes: list[tuple[KeyChange, str]] = []
        keys = AddKeys(db, vault, spec, self._record)
        self.ensure, self.rotate, self.revoke, self.list = (
            EnsureKey(keys),
            RotateKeys(keys),
            RevokeKey(keys),
            ListKeys(db),
        )
        self.keyring = Keyring(LoadKeys(db, vault))
        self._clock = clock
        self._issuer = TokenIssuer(self.keyring, issuer=ISSUER)
        self._verifier = TokenVerifier(self.keyring, issuer=ISSUER, audiences=AUDIENCES)

    async def _record(self, db: Runner, change: KeyChange, kid: str) -> None:
        await db.fetch_row("SELECT 1")  # the transaction is open
        self.changes.append((change, kid))

    async def start(self) -> "Process":
        await self.ensure()
        await self.keyring.refresh()
        return self

    def issue(self) -> str:
        issued = self._issuer.issue(
            audience=AUDIENCE,
            ttl=timedelta(minutes=5),
            user_id=UserId(new_uuid()),
            session_id=SessionId(new_uuid()),
            client_id="default",
            auth_time=None,
            amr=("pwd",),
            roles=(),
            now=self._clock.now(),
        )
        return issued.token.reveal()

    async def verdict(self, token: str) -> Reason | None:
        try:
            await self._verifier.verify(token, now=self._clock.now())
        except TokenRejected as rejected:
            return rejected.reason
        return None

    async def states(self) -> list[KeyState]:
        history = await self.list()
        return [key.state(history.now) for key in history.keys]

    def signs_with(self) -> str:
        return self.keyring.current(self._clock.now()).kid

    def publishes(self) -> set[str]:
        return set(self.keyring.public_keys(self._clock.now()))


@pytest.fixture
async def owner(urls: Urls) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The owner of the tables, in a database that has no signing key yet."""
    connection = await asyncpg.connect(urls.owner)
    await connection.execute("DELETE FROM signing_keys")
    yield connection
    await connection.close()


@pytest.fixture
async def process(db: Database, vault: Vault, clock: MovableClock, owner: object) -> Process:
    return await Process(db, vault, clock).start()


@pytest.mark.usefixtures("owner")
async def test_the_first_key_is_active_at_once(db: Database, vault: Vault, clock: MovableClock):
    process = Process(db, vault, clock)
    made = await process.ensure()
    await process.keyring.refresh()

    assert process.signs_with() == made.kid
    assert await process.states() == [KeyState.ACTIVE]
    assert await process.verdict(process.issue()) is None
    assert process.changes == [(KeyChange.ADDED, made.kid)]


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(
    "spec", [ES256, EDDSA, RSA, KeySpec(Algorithm.PS256, 2048)], ids=lambda s: s.algorithm.value
)
async def test_processes_that_start_together_make_one_first_key(
    db: Database, vault: Vault, clock: MovableClock, spec: KeySpec
):
    processes = [Process(db, vault, clock, spec) for _ in range(8)]
    made = await asyncio.gather(*(process.ensure() for process in processes))

    assert len({key.kid for key in made}) == 1
    assert await processes[0].states() == [KeyState.ACTIVE]
    assert made[0].spec == spec
    assert sum(len(process.changes) for process in processes) == 1


async def test_a_restart_makes_no_key(process: Process, db: Database, vault: Vault, clock: MovableClock):
    again = await Process(db, vault, clock).start()

    assert again.signs_with() == process.signs_with()
    assert again.changes == []


async def test_a_rotation_publishes_the_next_key_before_it_signs(process: Process, clock: MovableClock):
    old = process.signs_with()
    new = await process.rotate()
    await process.keyring.refresh()

    assert new.active_from - new.created_at >= timedelta(seconds=70) - SECOND
    assert (process.signs_with(), process.publishes()) == (old, {old, new.kid})
    assert await process.states() == [KeyState.ACTIVE, KeyState.NEXT]
    await clock.advance(PUBLISH_LEAD - 5 * SECOND)
    assert process.signs_with() == old
    await clock.advance(5 * SECOND)
    assert (process.signs_with(), process.publishes()) == (new.kid, {old, new.kid})
    assert await process.states() == [KeyState.RETIRING, KeyState.ACTIVE]


async def test_a_rotation_ends_no_token(process: Process, db: Database, vault: Vault, clock: MovableClock):
    other = await Process(db, vault, clock).start()
    old_token = process.issue()
    await process.rotate()
    await process.keyring.refresh()
    await clock.advance(PUBLISH_LEAD)
    new_token = process.issue()

    assert [await process.verdict(token) for token in (old_token, new_token)] == [None, None]
    assert [await other.verdict(token) for token in (old_token, new_token)] == [None, None]


async def test_a_replaced_key_retires_once_its_last_token_is_dead(process: Process, clock: MovableClock):
    old = process.signs_with()
    new = await process.rotate()
    await process.keyring.refresh()
    await clock.advance(PUBLISH_LEAD + MAX_TOKEN_LIFE + 25 * SECOND)
    assert process.publishes() == {old, new.kid}
    await clock.advance(10 * SECOND)

    assert process.publishes() == {new.kid}
    assert await process.states() == [KeyState.RETIRED, KeyState.ACTIVE]
    await process.keyring.refresh()
    assert process.publishes() == {new.kid}


async def test_rotations_at_once_or_repeated_add_one_key(
    process: Process, db: Database, vault: Vault, clock: MovableClock
):
    others = [Process(db, vault, clock) for _ in range(6)]
    made = await asyncio.gather(*(other.rotate() for other in others))

    assert len({key.kid for key in made}) == 1
    assert (await process.rotate()).kid == made[0].kid
    assert await process.states() == [KeyState.ACTIVE, KeyState.NEXT]


async def test_many_rotations_leave_one_active_key(process: Process, clock: MovableClock):
    for _ in range(4):
        await process.rotate()
        await clock.advance(PUBLISH_LEAD)

    assert await process.states() == [KeyState.RETIRING] * 4 + [KeyState.ACTIVE]


@pytest.mark.parametrize("spec", [EDDSA, RSA], ids=lambda spec: spec.algorithm.value)
async def test_another_algorithm_in_the_settings_leads_to_a_key_of_it_and_ends_no_token(
    process: Process, db: Database, vault: Vault, clock: MovableClock, spec: KeySpec
):
    old_token, old = process.issue(), process.signs_with()
    restarted = [Process(db, vault, clock, spec) for _ in range(4)]
    await asyncio.gather(*(other.start() for other in restarted))

    assert await process.states() == [KeyState.ACTIVE, KeyState.NEXT]
    assert {other.signs_with() for other in restarted} == {old}
    await clock.advance(PUBLISH_LEAD)
    assert {other.keyring.current(clock.now()).algorithm for other in restarted} == {spec.algorithm}
    assert await restarted[0].verdict(old_token) is None
    assert await restarted[0].verdict(restarted[1].issue()) is None
    assert await process.verdict(restarted[0].issue()) is None


@pytest.mark.usefixtures("owner")
async def test_another_size_in_the_settings_leads_to_a_key_of_it(
    db: Database, vault: Vault, clock: MovableClock
):
    await Process(db, vault, clock, RSA).start()
    made = await Process(db, vault, clock, KeySpec(Algorithm.RS256, 3072)).ensure()

    assert made.spec == KeySpec(Algorithm.RS256, 3072)


async def test_a_revoked_active_key_is_replaced_at_once_and_its_tokens_are_refused(
    process: Process, db: Database, vault: Vault, clock: MovableClock
):
    other = await Process(db, vault, clock).start()
    leaked, leaked_token = process.signs_with(), process.issue()
    assert await other.verdict(leaked_token) is None
    await process.revoke(leaked)
    await process.keyring.refresh()

    assert process.signs_with() != leaked
    assert await process.states() == [KeyState.REVOKED, KeyState.ACTIVE]
    assert await process.verdict(leaked_token) is Reason.UNKNOWN_KEY
    assert (
        await other.verdict(process.issue()) is None
    )  # an unknown key: the other process looks again at once …
    assert await other.verdict(leaked_token) is Reason.UNKNOWN_KEY  # … and sees the revocation too
    assert leaked not in other.publishes()
    assert process.changes[-2:] == [(KeyChange.REVOKED, leaked), (KeyChange.ADDED, process.signs_with())]


async def test_a_revoked_next_key_never_becomes_active(process: Process, clock: MovableClock):
    old = process.signs_with()
    new = await process.rotate()
    await process.revoke(new.kid)
    await process.keyring.refresh()
    await clock.advance(PUBLISH_LEAD + MAX_TOKEN_LIFE * 2)

    assert (process.signs_with(), process.publishes()) == (old, {old})
    assert await process.states() == [KeyState.ACTIVE, KeyState.REVOKED]
    following = await process.rotate()
    await clock.advance(PUBLISH_LEAD)
    assert await process.states() == [KeyState.RETIRING, KeyState.REVOKED, KeyState.ACTIVE]
    assert following.number == 3


async def test_a_revoked_key_does_not_bring_back_the_one_before_it(process: Process, clock: MovableClock):
    old = process.signs_with()
    new = await process.rotate()
    await clock.advance(PUBLISH_LEAD + SECOND)
    await process.revoke(new.kid)
    await process.keyring.refresh()

    assert process.signs_with() not in (old, new.kid)
    assert await process.states() == [KeyState.RETIRING, KeyState.REVOKED, KeyState.ACTIVE]


async def test_revoking_a_retiring_key_leaves_the_active_one(process: Process, clock: MovableClock):
    old, old_token = process.signs_with(), process.issue()
    await process.rotate()
    await clock.advance(PUBLISH_LEAD + SECOND)
    await process.revoke(old)
    await process.keyring.refresh()

    assert await process.states() == [KeyState.REVOKED, KeyState.ACTIVE]
    assert await process.verdict(old_token) is Reason.UNKNOWN_KEY


async def test_with_the_active_key_revoked_the_waiting_one_still_takes_its_turn(
    process: Process, clock: MovableClock
):
    leaked = process.signs_with()
    waiting = await process.rotate()
    await process.revoke(leaked)
    await process.keyring.refresh()
    assert process.signs_with() not in (leaked, waiting.kid)
    await clock.advance(PUBLISH_LEAD)

    assert process.signs_with() == waiting.kid


async def test_revocations_and_rotations_at_once_leave_one_active_key(
    process: Process, db: Database, vault: Vault, clock: MovableClock
):
    leaked = process.signs_with()
    others = [Process(db, vault, clock) for _ in range(8)]
    await asyncio.gather(
        *(other.revoke(leaked) for other in others[:4]), *(other.rotate() for other in others[4:])
    )
    states = await process.states()

    assert states.count(KeyState.ACTIVE) == 1
    assert states.count(KeyState.REVOKED) == 1
    assert sum(change is KeyChange.REVOKED for other in others for change, _ in other.changes) == 1
    await clock.advance(PUBLISH_LEAD)
    assert (await process.states()).count(KeyState.ACTIVE) == 1


async def test_revoking_twice_changes_nothing_and_an_unknown_key_is_refused(process: Process):
    leaked = process.signs_with()
    await process.revoke(leaked)
    before = (await process.list()).keys
    await process.revoke(leaked)

    assert (await process.list()).keys == before
    with pytest.raises(UnknownSigningKey):
        await process.revoke("no-such-key")


async def test_a_change_that_cannot_be_recorded_does_not_happen(process: Process, db: Database, vault: Vault):
    async def fail(_db: Runner, _change: KeyChange, _kid: str) -> None:
        raise RuntimeError("the trail is full")

    keys = AddKeys(db, vault, ES256, fail)
    with pytest.raises(RuntimeError, match="full"):
        await RotateKeys(keys)()
    with pytest.raises(RuntimeError, match="full"):
        await RevokeKey(keys)(process.signs_with())

    assert await process.states() == [KeyState.ACTIVE]


async def test_the_private_part_lies_wrapped_and_opens_for_its_own_id_and_algorithm_only(
    process: Process, owner: "asyncpg.Connection[asyncpg.Record]", db: Database, vault: Vault
):
    (row,) = await owner.fetch("SELECT kid, wrapped FROM signing_keys")
    secret = process.keyring.current((await process.list()).now).key.private_numbers().private_value  # type: ignore[union-attr]
    assert secret.to_bytes(32, "big") not in row["wrapped"]

    await owner.execute(PLANT_KEY, 2, "moved-key", "ES256", None, row["wrapped"])
    await owner.execute(PLANT_KEY, 3, "planted-key", "EdDSA", None, b"not wrapped by the vault at all")
    foreign = X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    wrapped = vault.wrap(foreign, purpose="signing", context=b"foreign-key|EdDSA")
    await owner.execute(PLANT_KEY, 4, "foreign-key", "EdDSA", None, wrapped)
    held = await LoadKeys(db, vault)({})
    assert [key.record.kid for key in held] == [row["kid"]]


async def test_an_algorithm_changed_in_the_table_makes_the_key_unusable(
    owner: "asyncpg.Connection[asyncpg.Record]", db: Database, vault: Vault, clock: MovableClock
):
    await Process(db, vault, clock, RSA).start()
    await owner.execute("UPDATE signing_keys SET algorithm = 'PS256'")  # the key would do for it
    restarted = await Process(db, vault, clock, RSA).start()

    with pytest.raises(NoSigningKey):
        restarted.issue()


async def test_a_key_that_is_held_is_not_unwrapped_again(process: Process, db: Database, vault: Vault):
    first = await LoadKeys(db, vault)({})
    again = await LoadKeys(db, vault)({key.record.kid: key for key in first})

    assert again[0].signing is first[0].signing


@pytest.mark.usefixtures("process")
async def test_the_table_takes_no_row_that_is_no_key(db: Database):
    good = {"number": 2, "kid": "another-key", "algorithm": "ES256", "rsa_bits": None}
    for bad in (
        *({"kid": "short"}, {"kid": "../../etc/passwd"}, {"number": 1}, {"number": 0}),
        *({"algorithm": "HS256"}, {"algorithm": "none"}, {"algorithm": "RS256"}, {"rsa_bits": 2048}),
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await db.execute(PLANT_KEY, *{**good, **bad}.values(), b"wrapped")
    await db.execute(PLANT_KEY, *good.values(), b"wrapped")


async def test_a_number_that_is_taken_adds_nothing(process: Process, db: Database):
    new = store.NewKey("another-key", ES256, b"wrapped")

    assert await store.add(db, new, number=1, lead=timedelta(0)) is False
    assert await store.add(db, new, number=2, lead=timedelta(0)) is True
    assert len((await process.list()).keys) == 2
