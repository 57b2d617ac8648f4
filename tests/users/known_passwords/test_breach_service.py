"""The service that knows breached passwords: what it learns, what its answers mean, and what its failures mean."""

import asyncio
from datetime import timedelta

import pytest

from keystead.outgoing.breaker import IN_A_ROW
from keystead.users.known_passwords.breach_service import (
    CACHED_ANSWERS,
    MAX_ANSWER_BYTES,
    BreachService,
    OnFailure,
    PasswordsUnchecked,
    Service,
)
from tests.support.receiver import LOOPBACK, Receiver
from tests.users.known_passwords.lists import sha1

pytestmark = pytest.mark.anyio

KNOWN = sha1("everybody knows this one")
DIGITS = KNOWN.hex().upper()
PADDING = "0" * 34


@pytest.fixture
def receiver():
    made = Receiver()
    made.says(f"{PADDING}1:3\r\n{DIGITS[5:]}:42\r\n{PADDING}2:0".encode(), media_type="text/plain")
    yield made
    made.close()


@pytest.fixture
async def ask(receiver):
    opened = []

    def make(on_failure=OnFailure.ALLOW, seconds=5.0):
        service = Service(url=receiver.url, timeout=timedelta(seconds=seconds), on_failure=on_failure)
        opened.append(BreachService(service, LOOPBACK, ca_file=None))
        return opened[-1].has

    yield make
    for each in opened:
        await each.close()


async def test_it_learns_five_digits_and_nothing_else(receiver, ask):
    assert await ask()(KNOWN)
    (call,), (headers,) = receiver.calls, receiver.headers
    assert call["path"] == f"/keystead/{DIGITS[:5]}"
    assert headers["add-padding"] == "true"
    assert headers.keys() == {"host", "accept", "user-agent", "add-padding"}
    assert receiver.bodies == []


async def test_only_what_is_in_the_answer_is_known(receiver, ask):
    has = ask()
    other = bytearray(KNOWN)
    other[-1] ^= 1
    assert not await has(bytes(other))
    assert await has(KNOWN)


@pytest.mark.parametrize("count", ["0", "00"])
async def test_padding_is_nobodys_password(receiver, ask, count):
    receiver.says(f"{DIGITS[5:]}:{count}\r\n".encode(), media_type="text/plain")
    assert not await ask()(KNOWN)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
async def test_case_and_line_ends_do_not_matter(receiver, ask, end):
    receiver.says(f"{DIGITS[5:].lower()}:1{end}".encode(), media_type="text/plain")
    assert await ask()(KNOWN)


async def test_an_empty_range_is_an_answer(receiver, ask):
    receiver.says(b"", media_type="text/plain")
    assert not await ask(OnFailure.REFUSE)(KNOWN)


async def test_answers_are_remembered_and_not_too_many(receiver, ask):
    has = ask()
    for _ in range(3):
        assert await has(KNOWN)
    assert len(receiver.calls) == 1
    for number in range(CACHED_ANSWERS):
        await has(number.to_bytes(20, "little") if number else bytes([7]) * 20)
    calls = len(receiver.calls)
    assert await has(KNOWN)
    assert len(receiver.calls) == calls + 1


FAILURES = {
    "error": lambda receiver: receiver.says(b"", status=500),
    "too many": lambda receiver: receiver.says(b"", status=429),
    "redirect": lambda receiver: receiver.says(b"", status=302),
    "page": lambda receiver: receiver.says(b"<html>Sign in to this network</html>", media_type="text/html"),
    "half": lambda receiver: receiver.says(f"{PADDING}1:3\r\n{DIGITS[5:20]}".encode()),
    "endless": lambda receiver: receiver.says(f"{PADDING}1:3\r\n".encode() * (MAX_ANSWER_BYTES // 39 + 1)),
    "slow": lambda receiver: setattr(receiver, "delay", 3.0),
    "gone": lambda receiver: receiver.close(),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_open_or_closed_as_configured(receiver, ask, name):
    FAILURES[name](receiver)
    assert not await ask(OnFailure.ALLOW, seconds=0.5)(KNOWN)
    with pytest.raises(PasswordsUnchecked):
        await ask(OnFailure.REFUSE, seconds=0.5)(KNOWN)


async def test_a_failure_is_not_remembered(receiver, ask):
    has, well = ask(), receiver.answer
    receiver.says(b"", status=503)
    assert not await has(KNOWN)
    receiver.answer = well
    assert await has(KNOWN)


async def test_a_service_that_keeps_failing_is_left_alone(receiver, ask):
    has = ask()
    receiver.says(b"", status=500)
    for _ in range(IN_A_ROW + 5):
        assert not await has(KNOWN)
    assert len(receiver.calls) == IN_A_ROW


async def test_many_at_once_are_answered(receiver, ask):
    has = ask()
    assert all(await asyncio.gather(*(has(KNOWN) for _ in range(40))))
