"""Bytes that no client library would send, on a socket of a real worker."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from tests.support.people import PASSWORD, new_email
from tests.support.server import serving_counted

pytestmark = pytest.mark.anyio

HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
TOKEN = b'{"refresh_token":"x"}'
PATIENCE = 5.0


@pytest.fixture(scope="module")
async def worker(cluster):
    async with cluster.clone() as urls, serving_counted(urls) as server:
        yield server.workers[0]
        assert "Traceback" not in server.logs()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name):
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} stands twice"
        return values[0] if values else None


class Connection:
    """One connection, spoken to in bytes."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data):
        self.writer.write(data)
        with suppress(ConnectionError):  # refused in the middle of it: the answer says why
            await self.writer.drain()

    async def read(self, *, has_body=True):
        """The next answer."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = [
                (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
            ]
            length = int(dict(headers).get("content-length", 0)) if has_body else 0
            return Answer(int(status_line.split(" ")[1]), headers, await self.reader.readexactly(length))

    async def is_closed(self):
        """Whether the server closes it, having said nothing more."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connect(worker):
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def only_answer(worker, data):
    """The one answer to `data`, and whether the connection was then closed."""
    async with connect(worker) as connection:
        await connection.send(data)
        return await connection.read(), await connection.is_closed()


def post(*lines, body=b""):
    return (
        b"POST /api/v1/auth/refresh HTTP/1.1\r\n"
        + HEAD
        + b"".join(line + b"\r\n" for line in lines)
        + b"\r\n"
        + body
    )


def get(*lines, target=b"/health/live", version=b"HTTP/1.1"):
    head = b"".join(line + b"\r\n" for line in (b"Host: localhost", *lines))
    return b"GET " + target + b" " + version + b"\r\n" + head + b"\r\n"


SMUGGLING = {
    "CL.TE": post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nX"),
    "TE.CL": post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n"),
    "TE.TE, the last no chunked": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"
    ),
    "chunked is not last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "an unknown coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "identity with a length": post(b"Transfer-Encoding: identity", b"Content-Length: 21", body=TOKEN),
    "a space before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "a vertical tab": post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"),
    "a folded coding": post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"),
    "one length twice": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "a list of lengths": post(b"Content-Length: 5, 5", body=b"hello"),
    "a length with a sign": post(b"Content-Length: +5", body=b"hello"),
    "a negative length": post(b"Content-Length: -5", body=b"hello"),
    "a length in hexadecimal": post(b"Content-Length: 0x5", body=b"hello"),
    "a length that overflows": post(b"Content-Length: " + b"9" * 30, body=b"hello"),
    "a chunk size that is none": post(b"Transfer-Encoding: chunked", body=b"zz\r\n\r\n"),
    "a chunk size with a prefix": post(b"Transfer-Encoding: chunked", body=b"0x1\r\na\r\n0\r\n\r\n"),
    "a negative chunk size": post(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n"),
    "a chunk size that overflows": post(b"Transfer-Encoding: chunked", body=b"f" * 20 + b"\r\n"),
    "chunks on bare line feeds": post(b"Transfer-Encoding: chunked", body=b"1\na\n0\n\n"),
}
MALFORMED = {
    "a folded header": get(b"X-A: a", b" b"),
    "a folded first header": b"GET /health/live HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "a bare carriage return": get(b"X-A: a\rb"),
    "bare line feeds": b"GET /health/live HTTP/1.1\nHost: localhost\n\n",
    "a null character": get(b"X-A: a\0b"),
    "no colon": get(b"XA"),
    "a space in a name": get(b"X A: b"),
    "a carriage return in the request id": get(b"X-Request-Id: aaaaaaaa\rSet-Cookie: x=1"),
    "a line feed in the request id": get(b"X-Request-Id: aaaaaaaa\nSet-Cookie: x=1"),
    "a line feed in the trace": get(b"traceparent: 00-\n-1"),
    "a space in the target": get(target=b"/health/li ve"),
    "bytes in the target": get(target="/health/é".encode()),
    "a target of another kind": get(target=b"\\health\\live"),
    "no path": get(target=b"http://evil.example"),
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a version of tomorrow": get(version=b"HTTP/1.2"),
    "HTTP/2 without TLS": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing of HTTP": b"\x00\x01\x02\x03\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_asvs_v5_4_2_1_and_cve_class_86_a_body_of_two_readings_is_400_and_the_connection_closes(
    worker, name
):
    answer, is_closed = await only_answer(worker, SMUGGLING[name] + get())
    assert (answer.status, is_closed) == (400, True)


@pytest.mark.parametrize("name", MALFORMED)
async def test_cve_class_85_and_86_what_is_no_http_is_400_and_the_connection_closes(worker, name):
    answer, is_closed = await only_answer(worker, MALFORMED[name])
    assert (answer.status, is_closed) == (400, True)
    assert answer.header("set-cookie") is None


TOO_LARGE = {
    "a target of a megabyte": get(target=b"/" + b"a" * 1_000_000),
    "a header of a megabyte": get(b"X-A: " + b"a" * 1_000_000),
    "a hundred thousand headers": get(*(b"X-%d: a" % number for number in range(100_000))),
    "a token of a megabyte": get(b"Authorization: Bearer " + b"a" * 1_000_000, target=b"/api/v1/users/me"),
    "a header without an end": get()[:-2] + b"X-A: " + b"a" * 10_000_000,
}


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_cve_class_12_a_head_beyond_the_bound_is_refused_and_the_connection_closes(
    worker, name, monkeypatch
):
    monkeypatch.setattr(f"{__name__}.PATIENCE", 0.5)
    answer, is_closed = await only_answer(worker, TOO_LARGE[name])
    assert (answer.status in (400, 431), is_closed) == (True, True)


async def test_a_head_that_does_not_come_to_its_end_in_time_closes_the_connection(cluster, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PATIENCE", 1.0)
    async with (
        cluster.clone() as urls,
        serving_counted(urls, SERVER__REQUEST_TIMEOUT_SECS="0.2") as server,
        connect(server.workers[0]) as connection,
    ):
        await connection.send(get()[:-2])
        async with asyncio.timeout(PATIENCE):
            assert (await connection.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_on_which_nothing_is_asked_is_closed_in_silence(cluster, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PATIENCE", 1.0)
    async with (
        cluster.clone() as urls,
        serving_counted(urls, SERVER__REQUEST_TIMEOUT_SECS="0.2") as server,
        connect(server.workers[0]) as connection,
    ):
        assert await connection.is_closed()


OTHERS = {
    "no host": (b"GET /health/live HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "two hosts": (get(b"Host: evil.example"), 400, "malformed_request"),
    "one host twice": (get(b"Host: localhost"), 400, "malformed_request"),
    "two slashes": (get(target=b"//health/live"), 404, "not_found"),
    "a header in the path": (get(target=b"/health/live%0d%0aSet-Cookie:%20x=1"), 404, "not_found"),
    "a header in a parameter": (get(target=b"/docs/errors/x%0d%0aX-Injected:1"), 404, "not_found"),
    "a slash in disguise": (get(target=b"/health%2flive"), 404, "not_found"),
    "a line feed at the end": (get(target=b"/health/live%0a"), 404, "not_found"),
    "a detour": (get(target=b"/health/../health/live"), 404, "not_found"),
    "a token in the query": (get(target=b"/health/live?token=x"), 400, "credential_in_url"),
    "the server as a whole": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "not_found"),
    "an echo": (b"TRACE /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "method_not_allowed"),
    "a length of many zeros": (post(b"Content-Length: " + b"0" * 5000), 400, "malformed_request"),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_what_is_http_but_nothing_of_ours_is_a_problem(worker, name):
    data, status, code = OTHERS[name]
    async with connect(worker) as connection:
        await connection.send(data)
        answer = await connection.read()
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
        assert answer.header("content-type") == "application/problem+json"
        assert answer.header("x-injected") is answer.header("set-cookie") is answer.header("server") is None


@pytest.mark.parametrize(
    "target", [b"/health/live", b"http://evil.example/health/live", b"http://evil.example:1/health/live?x=1"]
)
async def test_the_authority_in_a_target_changes_nothing(worker, target):
    async with connect(worker) as connection:
        await connection.send(get(target=target))
        assert (await connection.read()).body == b'{"status":"ok"}'


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.0", b"x"])
async def test_an_upgrade_is_not_taken_and_nothing_after_it_is_read_as_a_request(worker, upgrade):
    lines = (b"Connection: Upgrade", b"Upgrade: " + upgrade, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    async with connect(worker) as connection:
        await connection.send(get(*lines) + get(target=b"/nothing"))
        assert (await connection.read()).status == 200
        connection.writer.write_eof()
        assert await connection.is_closed()


async def test_head_has_the_headers_of_get_and_no_body(worker):
    async with connect(worker) as connection:
        await connection.send(get())
        whole = await connection.read()
        await connection.send(b"HEAD" + get()[3:])
        head = await connection.read(has_body=False)
        assert head.status == whole.status == 200
        assert head.header("content-length") == whole.header("content-length") == str(len(whole.body))
        await connection.send(get(target=b"/nothing"))
        assert (await connection.read()).status == 404  # not a byte of a body stood before it


async def test_requests_in_one_packet_are_answered_in_order(worker):
    async with connect(worker) as connection:
        await connection.send(
            get() + get(target=b"/nothing") + post(b"Content-Length: 21", body=TOKEN) + get()
        )
        assert [(await connection.read()).status for _ in range(4)] == [200, 404, 401, 200]


async def sign_up(connection):
    """An access token."""
    body = json.dumps({"email": new_email(), "password": PASSWORD}).encode()
    await connection.send(
        b"POST /api/v1/auth/register HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    return json.loads((await connection.read()).body)["access_token"].encode()


async def test_a_body_larger_than_a_head_may_be_leaves_the_connection_open(worker):
    async with connect(worker) as connection:
        authorization = b"Authorization: Bearer " + await sign_up(connection) + b"\r\n"
        head = b"PUT /api/v1/users/me HTTP/1.1\r\n" + HEAD + authorization + b"Content-Length: 60000\r\n\r\n"
        await connection.send(head + b" " * 60_000)
        assert (await connection.read()).status == 400
        await connection.send(get())
        assert (await connection.read()).status == 200


async def test_a_connection_that_rests_between_requests_hears_nothing(cluster):
    async with (
        cluster.clone() as urls,
        serving_counted(urls, SERVER__REQUEST_TIMEOUT_SECS="0.2") as server,
        connect(server.workers[0]) as connection,
    ):
        await connection.send(get())
        assert (await connection.read()).status == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await connection.reader.read(1)
        await connection.send(get())
        assert (await connection.read()).status == 200


async def test_garbage_after_a_request_closes_the_connection_and_breaks_nothing(cluster):
    """Whether the request before it was answered or not, its answer is not written into a closed connection."""
    async with cluster.clone() as urls, serving_counted(urls) as server:
        for _ in range(5):
            answer, is_closed = await only_answer(server.workers[0], get() + b"\0garbage\r\n\r\n")
            assert (answer.status in (200, 400), is_closed) == (True, True)
        assert "Exception in ASGI application" not in server.logs()


async def test_a_204_has_no_length_and_the_connection_goes_on(worker):
    async with connect(worker) as connection:
        token = await sign_up(connection)
        await connection.send(
            b"POST /api/v1/auth/logout HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
            + token
            + b"\r\n\r\n"
            + get()
        )
        answer = await connection.read()
        assert (answer.status, answer.header("content-length"), answer.header("transfer-encoding")) == (
            204,
            None,
            None,
        )
        assert (await connection.read()).status == 200


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(worker):
    answer, is_closed = await only_answer(worker, post(b"Content-Length: 99999999", b"Expect: 100-continue"))
    assert (answer.status, is_closed) == (413, True)


async def test_chunks_that_never_end_are_refused_at_the_limit(worker):
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    answer, is_closed = await only_answer(worker, post(b"Transfer-Encoding: chunked", body=chunk * 8))
    assert (answer.status, is_closed) == (413, True)
