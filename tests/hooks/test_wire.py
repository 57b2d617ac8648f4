"""What a service can do on the wire, on purpose or by mistake, and that nothing of it costs more than its deadline."""

import asyncio
import gzip
import socket
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from keystead.hooks.types import HookPoint, HookUnavailable, OnFailure
from keystead.outgoing import line
from keystead.outgoing.breaker import RECENT
from keystead.outgoing.destination import Destinations
from tests.support.receiver import KEY, LOOPBACK, Receiver, hook, hooks_of

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ENDLESS = {
    "a body that drips": (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a head that drips": (HEAD, b"x: y\r\n"),
    "a body without an end": (HEAD + b"\r\n", b" " * 65536),
    "answers before the answer": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "silence": (b"", b""),
}
BROKEN = {
    "gone at once": b"",
    "gone in the head": b"HTTP/1.1 200 OK\r\ncontent-t",
    "gone in the body": HEAD + b'content-length: 100\r\n\r\n{"action":',
    "gone in a chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nff\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "a head of a megabyte": b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n",
    "compressed": HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"{}"),
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "other protocols": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
}


@pytest.fixture
def raw(receiver, monkeypatch):
    """Sends the first argument, then the second one for as long as anybody listens; `gone` says that nobody does."""

    def answer(first: bytes, again: bytes | None = None) -> threading.Event:
        gone = threading.Event()

        def respond(_receiver: Receiver, handler: BaseHTTPRequestHandler) -> None:
            handler.close_connection = True
            handler.connection.settimeout(30)
            try:
                handler.connection.sendall(first)
                while again is not None:
                    if again:
                        handler.connection.sendall(again)
                    elif not handler.connection.recv(1):
                        break
            except OSError:
                pass
            gone.set()

        monkeypatch.setattr(Receiver, "respond", respond)
        return gone

    return answer


@pytest.mark.parametrize("name", ENDLESS)
async def test_a_service_without_an_end_is_hung_up_on(receiver, raw, name):
    gone = raw(*ENDLESS[name])
    hooks = hooks_of(hook(receiver.url, seconds=0.2))
    with pytest.raises(HookUnavailable):
        await hooks(HookPoint.BEFORE_TOKEN, {})
    assert await asyncio.to_thread(gone.wait, 20)
    await hooks.close()


@pytest.mark.parametrize("name", BROKEN)
async def test_half_an_answer_is_none(receiver, raw, name):
    raw(BROKEN[name])
    hooks = hooks_of(hook(receiver.url))
    with pytest.raises(HookUnavailable):
        await hooks(HookPoint.BEFORE_TOKEN, {})
    await hooks.close()


async def test_a_handshake_that_never_comes_leaves_no_socket_behind():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        hooks = hooks_of(hook(url, seconds=0.2, on_failure=OnFailure.ALLOW))
        await hooks(HookPoint.BEFORE_TOKEN, {})
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(5)
            assert await asyncio.to_thread(until_closed, connection)
        await hooks.close()


async def test_a_redirect_is_followed_nowhere(receiver, raw):
    elsewhere = Receiver()
    for status in (301, 302, 303, 307, 308):
        head = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere.url}\r\nset-cookie: a=b\r\n"
        raw(f"{head}content-length: 0\r\n\r\n".encode())
        hooks = hooks_of(hook(receiver.url))
        with pytest.raises(HookUnavailable):
            await hooks(HookPoint.BEFORE_TOKEN, {})
        await hooks.close()
    assert elsewhere.calls == []
    assert not any("cookie" in headers for headers in receiver.headers)
    elsewhere.close()


async def test_a_proxy_of_the_environment_is_not_used(receiver, monkeypatch):
    proxy = Receiver()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    hooks = hooks_of(hook(receiver.url))
    await hooks(HookPoint.BEFORE_TOKEN, {})
    await hooks.close()
    assert (len(receiver.calls), proxy.calls) == (1, [])
    proxy.close()


async def test_a_call_in_the_clear_does_not_leave_the_networks_that_are_allowed(receiver):
    async def outside(_host, _port):
        return ["93.184.215.14"]

    hooks = hooks_of(
        hook("http://hooks.example.com/"), destinations=Destinations(LOOPBACK.allowed, resolve=outside)
    )
    with capture_logs() as logs, pytest.raises(HookUnavailable):
        await hooks(HookPoint.BEFORE_TOKEN, {})
    assert logs[0]["reason"].startswith("AddressForbidden")
    await hooks.close()


async def test_a_slow_hook_holds_up_no_other(receiver, raw, monkeypatch):
    monkeypatch.setattr(line, "MAX_AT_ONCE", 3)
    raw(*ENDLESS["silence"])
    quick = Receiver()
    monkeypatch.setattr(quick, "respond", lambda handler: handler.send_error(404), raising=False)
    hooks = hooks_of(
        hook(receiver.url, point=HookPoint.AFTER_LOGIN),
        hook(quick.url, on_failure=OnFailure.ALLOW),
    )
    slow = [asyncio.create_task(hooks(HookPoint.AFTER_LOGIN, {})) for _ in range(5)]
    while len(receiver.calls) < 3:
        await asyncio.sleep(0.01)
    await hooks(HookPoint.BEFORE_TOKEN, {})
    assert len(quick.calls) == 1
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    await hooks.close()
    quick.close()


async def test_calls_that_found_no_place_are_not_held_against_the_service(receiver, monkeypatch):
    monkeypatch.setattr(line, "MAX_AT_ONCE", 1)
    hooks = hooks_of(hook(receiver.url, on_failure=OnFailure.ALLOW, seconds=0.5))
    before = value("hook_calls_total", outcome="busy")
    receiver.delay = (
        0.45  # the one that is called is answered in time; the others wait for their whole deadline
    )
    await asyncio.gather(*(hooks(HookPoint.BEFORE_TOKEN, {}) for _ in range(RECENT)))
    assert value("hook_calls_total", outcome="busy") - before >= RECENT - 3
    receiver.delay = 0.0
    await hooks(HookPoint.BEFORE_TOKEN, {"user": "the next one"})
    assert "the next one" in str(receiver.bodies)
    await hooks.close()


async def test_who_gives_up_costs_no_place(receiver, raw, monkeypatch):
    monkeypatch.setattr(line, "MAX_AT_ONCE", 2)
    raw(*ENDLESS["silence"])
    hooks = hooks_of(hook(receiver.url))
    for _ in range(3):
        calls = len(receiver.calls)
        tasks = [asyncio.create_task(hooks(HookPoint.BEFORE_TOKEN, {})) for _ in range(2)]
        while len(receiver.calls) < calls + 2:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    monkeypatch.undo()
    await hooks(HookPoint.BEFORE_TOKEN, {})
    await hooks.close()


async def test_figures_tell_how_calls_went_and_that_a_hook_is_left_alone(receiver):
    hooks = hooks_of(hook(receiver.url, point=HookPoint.AFTER_LOGIN, on_failure=OnFailure.ALLOW))
    names = ("answered", "failed", "not_called")
    before = [value("hook_calls_total", outcome=name, hook="after_login") for name in names]
    await hooks(HookPoint.AFTER_LOGIN, {})
    assert value("hooks_left_alone", hook="after_login") == 0
    receiver.says({}, status=500)
    for _ in range(8):
        await hooks(HookPoint.AFTER_LOGIN, {})
    after = [value("hook_calls_total", outcome=name, hook="after_login") for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 5, 3]
    assert value("hooks_left_alone", hook="after_login") == 1
    await hooks.close()


async def test_the_log_tells_why_and_nothing_of_what_was_said(receiver, raw):
    secret = "jane@example.com"
    for answer in (
        HEAD + f"x {secret}\r\n\r\n".encode(),
        HEAD + f'content-length: {len(secret) + 2}\r\n\r\n"{secret}"'.encode(),
        f"HTTP/1.1 500 {secret}\r\ncontent-length: 0\r\n\r\n".encode(),
        HEAD + f'\r\n{{"{secret}": 1, "{secret}": 2}}'.encode(),
    ):
        raw(answer)
        hooks = hooks_of(hook(receiver.url))
        with capture_logs() as logs, pytest.raises(HookUnavailable):
            await hooks(HookPoint.BEFORE_TOKEN, {"user": {"email": secret}})
        assert [entry["event"] for entry in logs] == ["hook.failed"]
        assert secret not in str(logs)
        assert KEY not in str(logs)
        await hooks.close()


def until_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    return True


def value(name: str, *, hook: str = "before_token", **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"hook": hook, **labels}) or 0.0
