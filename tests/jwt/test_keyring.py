"""The keys in memory: whose turn it is, what is published, and how often the database is asked."""

import asyncio
from datetime import timedelta

import pytest

from keystead.jwt import keyring as keyring_module
from keystead.jwt.jws import Reason, TokenRejected
from keystead.jwt.keyring import HeldKey, Keyring, NoSigningKey
from keystead.jwt.keys import generate_key
from keystead.jwt.types import MAX_TOKEN_LIFE, Algorithm, KeySpec, KeyState, SigningKey
from keystead.jwt.verifier import TokenVerifier
from keystead.kernel import fresh_copy
from keystead.kernel.errors import Unavailable
from tests.jwt.forging import AUDIENCES, ISSUER, NOW, Source, header, held, token

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
TURN = NOW + timedelta(seconds=70)
RETIRED = TURN + MAX_TOKEN_LIFE + timedelta(seconds=30)


@pytest.fixture
def old() -> SigningKey:
    return generate_key(KeySpec(Algorithm.EDDSA, None))


@pytest.fixture
def new() -> SigningKey:
    return generate_key(KeySpec(Algorithm.EDDSA, None))


def overlap(old: SigningKey, new: SigningKey) -> tuple[HeldKey, HeldKey]:
    """`old` is active until TURN, when `new` follows it."""
    return held(old, replaced_at=TURN), held(new, number=2, created_at=NOW, active_from=TURN)


def verifier_on(keyring: Keyring) -> TokenVerifier:
    return TokenVerifier(keyring, issuer=ISSUER, audiences=AUDIENCES)


async def reason_of(verifier: TokenVerifier, whole: str) -> Reason | None:
    try:
        await verifier.verify(whole, now=NOW)
    except TokenRejected as rejected:
        return rejected.reason
    return None


async def test_the_state_of_a_key_follows_from_the_time(old: SigningKey, new: SigningKey):
    first, second = (key.record for key in overlap(old, new))
    states = {
        NOW: (KeyState.ACTIVE, KeyState.NEXT),
        TURN - SECOND: (KeyState.ACTIVE, KeyState.NEXT),
        TURN: (KeyState.RETIRING, KeyState.ACTIVE),
        RETIRED - SECOND: (KeyState.RETIRING, KeyState.ACTIVE),
        RETIRED: (KeyState.RETIRED, KeyState.ACTIVE),
    }

    assert {at: (first.state(at), second.state(at)) for at in states} == states
    assert held(old, revoked_at=NOW).record.state(NOW - SECOND) is KeyState.REVOKED


async def test_the_next_key_signs_from_its_turn_on_and_the_old_one_verifies_until_it_retires(
    old: SigningKey, new: SigningKey
):
    keyring = Keyring(Source(*overlap(old, new)))
    await keyring.refresh()

    assert [keyring.current(at).kid for at in (NOW, TURN - SECOND, TURN, RETIRED)] == [
        old.kid,
        old.kid,
        new.kid,
        new.kid,
    ]
    assert keyring.public_keys(NOW).keys() == {old.kid, new.kid}
    assert keyring.public_keys(RETIRED - SECOND).keys() == {old.kid, new.kid}
    assert keyring.public_keys(RETIRED).keys() == {new.kid}


async def test_the_published_keys_are_the_same_object_until_they_change(old: SigningKey, new: SigningKey):
    source = Source(*overlap(old, new))
    keyring = Keyring(source)
    await keyring.refresh()
    before = keyring.public_keys(NOW)
    await keyring.refresh()
    assert keyring.public_keys(NOW) is before

    source.keys = (held(old),)
    await keyring.refresh()
    assert keyring.public_keys(NOW).keys() == {old.kid}


async def test_nobody_can_change_the_published_keys(old: SigningKey):
    keyring = Keyring(Source(held(old)))
    await keyring.refresh()

    with pytest.raises(TypeError):
        keyring.public_keys(NOW)["another"] = old.public()  # type: ignore[index]


async def test_without_an_active_key_nothing_is_signed(old: SigningKey, new: SigningKey):
    waiting = held(new, active_from=TURN)
    revoked = held(old, revoked_at=NOW)
    for source in (Source(), Source(waiting), Source(revoked), Source(revoked, waiting)):
        keyring = Keyring(source)
        await keyring.refresh()
        with pytest.raises(NoSigningKey):
            keyring.current(NOW)


async def test_a_token_of_a_key_that_is_seconds_old_is_accepted_at_once(old: SigningKey, new: SigningKey):
    source = Source(held(old))
    keyring = Keyring(source)
    await keyring.refresh()
    verifier = verifier_on(keyring)
    source.keys = overlap(old, new)

    assert await reason_of(verifier, token(new)) is None
    assert source.reads == 2


async def test_cve_class_07_unknown_keys_do_not_become_a_stampede(
    old: SigningKey, attacker: SigningKey, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fresh_copy, "LOOK_AGAIN_INTERVAL", timedelta(hours=1))  # however slow this machine is
    source = Source(held(old))
    keyring = Keyring(source)
    await keyring.refresh()
    verifier = verifier_on(keyring)
    forged = [token(attacker, header(attacker, kid=f"unknown-{n:06}")) for n in range(50)]

    for _ in range(2):  # the second half comes when the answer to the first is there
        verdicts = await asyncio.gather(*(reason_of(verifier, whole) for whole in forged * 100))
        assert verdicts == [Reason.UNKNOWN_KEY] * 5_000
    assert source.reads == 2


async def test_cve_class_07_the_keys_are_read_again_once_the_interval_is_over(
    old: SigningKey, new: SigningKey, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fresh_copy, "LOOK_AGAIN_INTERVAL", timedelta(0))
    source = Source(held(old))
    keyring = Keyring(source)
    await keyring.refresh()
    verifier = verifier_on(keyring)
    assert await reason_of(verifier, token(new)) is Reason.UNKNOWN_KEY

    source.keys = overlap(old, new)
    assert await reason_of(verifier, token(new)) is None


async def test_a_malformed_token_does_not_make_us_read_the_keys(old: SigningKey):
    source = Source(held(old))
    keyring = Keyring(source)
    await keyring.refresh()
    verifier = verifier_on(keyring)

    for forged in (
        "",
        "a.b.c",
        token(old, header(old, kid="x")),
        token(old, header(old, alg="none")),
        token(old) + "A",
    ):
        assert await reason_of(verifier, forged) is not None
    assert source.reads == 1


@pytest.mark.parametrize("failure", [Unavailable(), RuntimeError("a bug")], ids=["outage", "bug"])
async def test_cve_class_07_a_failure_to_read_the_keys_leaves_them_as_they_are(
    old: SigningKey, new: SigningKey, failure: Exception
):
    source = Source(held(old))
    keyring = Keyring(source)
    await keyring.refresh()
    verifier = verifier_on(keyring)
    source.fails_with = failure

    assert await reason_of(verifier, token(new)) is Reason.UNKNOWN_KEY
    assert await reason_of(verifier, token(old)) is None
    with pytest.raises(type(failure)):
        await keyring.refresh()
    assert keyring.current(NOW) is old


async def test_a_request_that_goes_away_does_not_stop_the_refresh_others_wait_for(
    old: SigningKey, new: SigningKey
):
    source = Source(held(old))
    keyring = Keyring(source)
    await keyring.refresh()
    verifier = verifier_on(keyring)
    source.keys = overlap(old, new)
    impatient = asyncio.create_task(reason_of(verifier, token(new)))
    patient = asyncio.create_task(reason_of(verifier, token(new)))
    await asyncio.sleep(0)
    impatient.cancel()

    assert await patient is None
    assert impatient.cancelled()


async def test_two_refreshes_do_not_overlap(
    old: SigningKey, new: SigningKey, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keyring_module, "REFRESH_INTERVAL", timedelta(0))
    source = Source(held(old))
    keyring = Keyring(source)
    task = asyncio.create_task(keyring.keep_fresh())
    verifier = verifier_on(keyring)
    for _ in range(20):
        await reason_of(verifier, token(new))

    assert source.most_at_once == 1
    task.cancel()


async def test_the_background_refresh_survives_failures(old: SigningKey, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keyring_module, "REFRESH_INTERVAL", timedelta(0))
    source = Source()
    keyring = Keyring(source)
    task = asyncio.create_task(keyring.keep_fresh())
    for source.fails_with in (Unavailable(), RuntimeError("a bug")):
        await source.is_read()
        await source.is_read()
    source.fails_with, source.keys = None, (held(old),)
    await source.is_read()
    await source.is_read()

    assert keyring.current(NOW) is old
    task.cancel()


async def test_when_the_keys_change_what_was_verified_is_forgotten(old: SigningKey, new: SigningKey):
    source = Source(held(old), held(new))
    keyring = Keyring(source)
    await keyring.refresh()
    verifier = verifier_on(keyring)
    whole = token(old)
    assert await reason_of(verifier, whole) is None

    source.keys = (held(new),)  # the old one was revoked
    await keyring.refresh()
    assert await reason_of(verifier, whole) is Reason.UNKNOWN_KEY
