"""Redis: calls overlap on one connection, a failure costs little, and the way back is found."""

import asyncio
import os
import signal
import time
from datetime import timedelta

import pytest

from keystead.kernel.redis import Redis, RedisError, RedisUnavailable
from keystead.kernel.secrets import Secret
from tests.support import throwaway

pytestmark = pytest.mark.anyio

QUICKLY = timedelta(milliseconds=100)


@pytest.fixture
def valkey():
    with throwaway.valkey() as server:
        yield server


@pytest.fixture
async def redis(valkey):
    client = Redis(Secret(valkey.url), timeout=timedelta(milliseconds=500), retry_after=QUICKLY)
    yield client
    await client.close()


async def until_it_works(redis, meanwhile=lambda: None):
    for _ in range(200):
        meanwhile()
        try:
            return await redis.call("PING")
        except RedisUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("Redis did not come back")


async def test_overlapping_calls_each_get_their_own_reply_over_one_connection(redis):
    replies = await asyncio.gather(*(redis.call("ECHO", f"word {n}") for n in range(500)))
    assert replies == [f"word {n}".encode() for n in range(500)]
    assert (await redis.call("CLIENT", "LIST")).count(b"\n") == 1


async def test_values_of_every_kind_arrive_as_they_were_sent(redis):
    await redis.call("SET", "key", b"\x00\r\n$5\r\n\xff")
    assert await redis.call("GET", "key") == b"\x00\r\n$5\r\n\xff"
    assert await redis.call("GET", "absent") is None
    assert await redis.call("INCRBY", "count", 41) == 41


async def test_an_error_reply_is_an_error_of_ours_and_the_connection_goes_on(redis):
    with pytest.raises(RedisError):
        await redis.call("NO SUCH COMMAND")
    assert await redis.call("PING")


async def test_a_frozen_server_costs_one_timeout_and_then_nothing_until_it_is_tried_again(redis, valkey):
    await redis.call("SET", "mine", "1")
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        with pytest.raises(RedisUnavailable):
            await redis.call("PING")
        before = time.monotonic()
        for _ in range(100):
            with pytest.raises(RedisUnavailable):
                await redis.call("PING")
        refused_at_once = time.monotonic() - before < 0.5
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
    assert refused_at_once
    await until_it_works(redis)
    assert await redis.call("GET", "mine") == b"1"


async def test_a_server_that_accepts_connections_but_says_nothing_is_still_away(redis, valkey):
    await redis.call("PING")
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        outcomes = await asyncio.gather(*(redis.call("PING") for _ in range(50)), return_exceptions=True)
        assert all(isinstance(outcome, RedisUnavailable) for outcome in outcomes)
        for _ in range(20):
            await asyncio.sleep(0.02)
            assert redis.is_away
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
    await until_it_works(redis)


async def test_a_call_waits_its_turn_behind_others_that_are_answered(valkey):
    redis = Redis(Secret(valkey.url), timeout=timedelta(milliseconds=600), retry_after=QUICKLY)
    await redis.call("PING")
    answers = await asyncio.gather(*(redis.call("BLPOP", "nothing", 0.2) for _ in range(5)))
    assert answers == [None] * 5
    assert not redis.is_away
    await redis.close()


async def test_a_server_that_is_too_slow_is_away_though_it_answers(valkey):
    redis = Redis(Secret(valkey.url), timeout=timedelta(milliseconds=50), retry_after=QUICKLY)
    await redis.call("PING")
    slow = (redis.call("BLPOP", "nothing", 0.02) for _ in range(50))
    outcomes = await asyncio.gather(*slow, return_exceptions=True)
    assert any(isinstance(outcome, RedisUnavailable) for outcome in outcomes)
    await redis.close()


async def test_a_late_reply_is_never_taken_for_that_of_a_later_call(redis, valkey):
    os.kill(valkey.pid, signal.SIGSTOP)
    with pytest.raises(RedisUnavailable):
        await redis.call("ECHO", "late")
    os.kill(valkey.pid, signal.SIGCONT)
    await until_it_works(redis)
    assert await redis.call("ECHO", "current") == b"current"


async def test_a_server_that_was_killed_and_restarted_is_found_again(redis, valkey):
    assert await redis.call("PING")
    os.kill(valkey.pid, signal.SIGKILL)
    with pytest.raises(RedisUnavailable):
        for _ in range(100):
            await redis.call("PING")
            await asyncio.sleep(0.01)
    assert await until_it_works(redis, meanwhile=valkey.poll)


@pytest.mark.parametrize(
    "url", ["unix:///nonexistent/valkey.sock", "redis://127.0.0.1:1", "rediss://127.0.0.1:1/0", "redis://"]
)
async def test_a_server_that_is_not_there_is_an_outage(url):
    redis = Redis(Secret(url))
    with pytest.raises(RedisUnavailable):
        await redis.call("PING")
    await redis.close()
