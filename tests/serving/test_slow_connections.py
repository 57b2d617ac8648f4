"""Whoever is slow: their connections end by the server's deadlines, and everybody else is answered meanwhile."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from keystead.serving.http import BoundedHttp

pytestmark = pytest.mark.anyio

PATIENCE = 20  # seconds, after which a connection that should have ended did not
LARGE = 4 << 20  # more than the system takes off our hands
PIECE = 0.05  # seconds between two pieces of a slow request


class Quick(BoundedHttp):
    head_seconds = answer_seconds = 0.3


@asynccontextmanager
async def answering(*, idle: int = 60) -> AsyncIterator[int]:
    """The port of a server with short deadlines: `/large` is large, and anything else is answered before its body."""

    async def app(scope, _, send):
        body = bytes(LARGE) if scope["path"] == "/large" else b"{}"
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app, http=Quick, loop="none", lifespan="off", ws="none", log_config=None, timeout_keep_alive=idle
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serves = asyncio.ensure_future(server._serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await serves
        listener.close()


@asynccontextmanager
async def connected(port: int, *, receive_buffer: int | None = None):
    """Reader and writer. Who takes answers slowly has a small window."""
    ours = socket.socket()
    if receive_buffer:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    ours.setblocking(False)
    await asyncio.get_running_loop().sock_connect(ours, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=ours, limit=receive_buffer or 65536)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def ask(path: str, *more: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *more, "", "")).encode()


async def dribble(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """A piece at a time, for ever, or until nobody takes it any more."""
    try:
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(PIECE)
    except OSError:
        return


async def all_it_says(reader: asyncio.StreamReader) -> bytes:
    """Until the connection has ended, in whatever way."""
    said = b""
    async with asyncio.timeout(PATIENCE):
        try:
            while piece := await reader.read(65536):
                said += piece
        except ConnectionResetError:
            pass
    return said


async def is_reset_while_reading_slowly(reader: asyncio.StreamReader) -> bool:
    """Whether it ended before everything was taken."""
    taken = 0
    async with asyncio.timeout(PATIENCE):
        try:
            while piece := await reader.read(256):
                taken += len(piece)
                await asyncio.sleep(PIECE)
        except ConnectionResetError:
            return taken < LARGE
    return False


async def test_a_head_that_comes_in_pieces_is_refused_in_time():
    async with answering() as port, connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        slow = asyncio.ensure_future(dribble(writer, b"X-More: and more\r\n"))
        said = await all_it_says(reader)
        slow.cancel()
    assert said.startswith(b"HTTP/1.1 408")
    assert b"head_timeout" in said


async def test_a_connection_on_which_nothing_is_asked_is_closed_in_time():
    async with answering() as port, connected(port) as (reader, _writer):
        assert await all_it_says(reader) == b""


@pytest.mark.parametrize("more", [(), ("Connection: close",)], ids=["kept open", "to be closed"])
async def test_an_answer_that_is_not_taken_in_time_is_given_up(more):
    async with answering() as port, connected(port, receive_buffer=4096) as (reader, writer):
        writer.write(ask("/large", *more))
        assert await is_reset_while_reading_slowly(reader)


async def test_an_answer_that_is_not_taken_is_given_up_when_its_peer_says_no_more():
    async with answering() as port, connected(port, receive_buffer=4096) as (reader, writer):
        writer.write(ask("/large"))
        await reader.read(100)
        writer.write_eof()
        assert await is_reset_while_reading_slowly(reader)


async def test_a_large_answer_that_is_taken_is_whole_and_the_connection_goes_on():
    async with answering() as port, connected(port) as (reader, writer):
        for _ in range(3):
            writer.write(ask("/large"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(LARGE) == bytes(LARGE)
            await asyncio.sleep(2 * Quick.answer_seconds)


@pytest.mark.parametrize(
    ("request_head", "piece"),
    [
        (ask("/"), b"\r\n"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", b"{"),
    ],
    ids=["empty lines", "a body that nobody reads"],
)
async def test_after_an_answer_only_another_request_keeps_a_connection_open(request_head, piece):
    async with answering(idle=1) as port, connected(port) as (reader, writer):
        writer.write(request_head)
        slow = asyncio.ensure_future(dribble(writer, piece))
        said = await all_it_says(reader)
        slow.cancel()
    assert said.count(b"HTTP/1.1 200") == 1


async def test_a_connection_that_goes_on_asking_stays_open():
    async with answering(idle=1) as port, connected(port) as (reader, writer):
        for _ in range(8):
            writer.write(ask("/"))
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.3)
