"""Stopping: not ready at once, nothing under way is lost, nobody's connection is reset."""

import asyncio
import os
import signal
from collections import Counter

import httpx2
import pytest

from tests.support.people import PASSWORD, new_email, register
from tests.support.server import serving_counted

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

QUICK = {"AUTH__SIGNING_ALGORITHM": "ES256"}


async def ask(port: int) -> str:
    """One request on a new connection, read to the end; what became of it."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return "refused"
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        return "closing" if b"connection: close" in head.lower() else head[9:12].decode()
    except (ConnectionResetError, asyncio.IncompleteReadError):
        return "reset"
    finally:
        writer.close()


async def knock(port: int, seen: Counter[str]) -> None:
    while True:
        seen[await ask(port)] += 1


async def test_a_stopping_server_is_not_ready_but_answers_until_the_drain_is_over(urls):
    async with serving_counted(urls, workers=1, SERVER__DRAIN_SECS="1", **QUICK) as server:
        worker = server.workers[0]
        seen: Counter[str] = Counter()
        knocking = [asyncio.create_task(knock(worker.port, seen)) for _ in range(8)]
        async with httpx2.AsyncClient(base_url=server.base_url) as client:
            assert (await client.get("/health/ready")).status_code == 200
            stopping = asyncio.create_task(worker.stop())
            await asyncio.sleep(0.2)
            ready = await client.get("/health/ready")
            live = await client.get("/health/live")
        assert (ready.status_code, ready.json()["reason"]) == (503, "draining")
        assert (live.status_code, live.headers["connection"]) == (200, "close")
        status = await stopping
        for task in knocking:
            task.cancel()  # the test holds the port open, so whoever comes after the end waits
        await asyncio.gather(*knocking, return_exceptions=True)
    assert status == 0
    assert seen["closing"] > 0
    assert seen["reset"] == 0


async def test_what_is_under_way_is_finished(urls):
    slow = {"AUTH__ARGON2__MEMORY_KIB": "131072", "AUTH__ARGON2__ITERATIONS": "4"}
    async with (
        serving_counted(urls, workers=1, SERVER__DRAIN_SECS="0", **slow, **QUICK) as server,
        httpx2.AsyncClient(base_url=server.base_url, timeout=30) as client,
    ):
        body = {"email": new_email(), "password": PASSWORD}
        registering = asyncio.create_task(client.post("/api/v1/auth/register", json=body))
        await asyncio.sleep(0.1)
        assert await server.workers[0].stop() == 0
        assert (await registering).status_code == 201


async def test_a_second_signal_ends_the_drain(urls):
    async with (
        serving_counted(urls, workers=1, SERVER__DRAIN_SECS="300", **QUICK) as server,
        httpx2.AsyncClient(base_url=server.base_url) as client,
    ):
        await register(client)
        os.kill(server.workers[0].pid, signal.SIGTERM)
        await asyncio.sleep(0.2)
        assert (await client.get("/health/ready")).status_code == 503
        assert await server.workers[0].stop() == 0
