"""Every framework says the same: who is let in, and how a refusal is spelled (RFC 6750, RFC 9470)."""

import threading
from concurrent import futures

import grpc
import grpc.aio
import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from keystead_verify import Guard, NotAllowed, TokenMissing, Verifier, asgi, wsgi
from keystead_verify.fastapi import Bearer
from keystead_verify.flask import claims as claims_of_flask
from keystead_verify.flask import require_token
from keystead_verify.grpc import RequireToken, RequireTokenAsync, claims
from pytest_keystead.issuer import LocalIssuer
from tests.verify.frameworks import FRAMEWORKS, fastapi_app

pytestmark = pytest.mark.anyio

AUDIENCE = "https://api.example"
SUBJECT = "0198a9c1-7d3e-7c11-9a52-0c1d2e3f4a5b"


@pytest.fixture(scope="module")
def issuer():
    with LocalIssuer(AUDIENCE, algorithm="ES256") as made:
        yield made


@pytest.fixture(scope="module")
def verifier(issuer):
    return Verifier(issuer.url, AUDIENCE, clock=issuer.clock)


@pytest.fixture(params=FRAMEWORKS, ids=lambda framework: framework.__name__)
def call(request, verifier):
    ask = request.param(verifier)

    def with_token(path, token=None, authorization=None):
        value = authorization or (f"Bearer {token}" if token else None)
        return ask(path, {"authorization": value} if value else {})

    return with_token


def test_who_holds_a_good_token_is_let_in(call, issuer):
    reply = call("/any", issuer.token(sub=SUBJECT))
    assert (reply.status, reply.body) == (200, {"subject": SUBJECT})


def test_without_a_token_no_error_is_named(call):
    reply = call("/any")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("authorization", ["Basic dXNlcjpwdw==", "Bearer", "Bearer ", "token"])
def test_another_scheme_is_no_token(call, authorization):
    reply = call("/any", authorization=authorization)
    assert reply.status == 401
    assert "error=" not in reply.headers["www-authenticate"]


@pytest.mark.parametrize("bad", ["forged", "expired", "foreign", "nonsense", "api key"])
def test_a_token_that_does_not_hold_is_invalid_whatever_is_wrong(call, issuer, bad):
    token = {
        "forged": lambda: issuer.forged(),
        "expired": lambda: issuer.token(expires_in=-60),
        "foreign": lambda: issuer.token(audience="https://other.example"),
        "nonsense": lambda: "nonsense",
        "api key": lambda: "ks_ak_" + "x" * 49,  # nobody to ask about it
    }[bad]()
    reply = call("/any", token)
    assert reply.status == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert reply.body == call("/any", issuer.forged()).body


def test_roles_are_any_of_those_named(call, issuer):
    assert call("/admin", issuer.token(roles=["owner"])).status == 200
    reply = call("/admin", issuer.token(roles=["user"]))
    assert reply.status == 403


def test_scopes_are_all_of_those_named(call, issuer):
    assert call("/write", issuer.token(scope="things:write things:read more")).status == 200
    reply = call("/write", issuer.token(scope="things:read"))
    assert reply.status == 403
    assert 'error="insufficient_scope"' in reply.headers["www-authenticate"]
    assert 'scope="things:read things:write"' in reply.headers["www-authenticate"]


def test_a_proof_that_is_too_old_asks_for_another_one(call, issuer):
    now = issuer.clock()
    assert call("/fresh", issuer.token(auth_time=now - 200)).status == 200
    for token in (issuer.token(auth_time=now - 400), issuer.token(auth_time=None), issuer.machine_token()):
        reply = call("/fresh", token)
        assert reply.status == 401
        assert 'error="insufficient_user_authentication"' in reply.headers["www-authenticate"]
        assert 'max_age="300"' in reply.headers["www-authenticate"]


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.__name__)
def test_with_nothing_to_verify_with_the_answer_is_503(framework):
    with LocalIssuer(AUDIENCE, algorithm="ES256") as away:
        token = away.token()
        away.go_down()
        reply = framework(Verifier(away.url, AUDIENCE))("/any", {"authorization": f"Bearer {token}"})
    assert reply.status == 503
    assert reply.headers["retry-after"] == "2"


PROBLEMS = {"starlette", "asgi", "wsgi", "flask", "django", "django_async"}


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.__name__)
def test_a_refusal_is_a_problem_where_the_framework_has_no_form_of_its_own(framework, verifier):
    reply = framework(verifier)("/any", {})
    if framework.__name__ in PROBLEMS:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["cache-control"] == "no-store"
        assert (reply.body["status"], reply.body["code"]) == (401, "token_missing")
    else:
        assert reply.body.keys() == {"detail"}


async def ask_twice(app, good):
    """With two headers of which one is good."""
    sent = []
    headers = [(b"authorization", f"Bearer {good}".encode()), (b"authorization", b"Bearer x")]
    scope = {"type": "http", "method": "GET", "path": "/any", "raw_path": b"/any", "query_string": b""}
    scope |= {
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "server": ("api", 80),
    }

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"]


async def test_of_two_headers_none_counts(issuer, verifier):
    """Whoever stands before may have read the other one."""

    async def inner(_scope, _receive, _send):
        raise AssertionError

    assert await ask_twice(asgi.RequireToken(inner, verifier), issuer.token()) == 401
    assert await ask_twice(fastapi_app(verifier), issuer.token()) == 401


async def test_a_websocket_is_closed_before_it_opens_and_other_events_pass(issuer, verifier):
    reached, sent = [], []

    async def inner(scope, _receive, _send):
        reached.append((scope["type"], scope.get(asgi.CLAIMS)))

    async def receive():
        return {}

    async def send(message):
        sent.append(message)

    app = asgi.RequireToken(inner, verifier, public={"/health"})
    await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
    await app({"type": "lifespan"}, receive, send)
    await app({"type": "http", "path": "/health", "headers": []}, receive, send)
    assert reached == [("lifespan", None), ("http", None)]
    authorization = (b"authorization", f"Bearer {issuer.token(sub=SUBJECT)}".encode())
    await app({"type": "websocket", "path": "/", "headers": [authorization]}, receive, send)
    assert reached[2][1].subject == SUBJECT


def test_wsgi_leaves_public_paths_alone(verifier):
    app = wsgi.RequireToken(lambda _environ, _start: [b"well"], verifier, public={"/health"})
    assert app({"PATH_INFO": "/health"}, print) == [b"well"]


def test_the_api_reference_of_fastapi_says_which_routes_want_a_token(verifier):
    document = fastapi_app(verifier).openapi()
    assert document["paths"]["/any"]["get"]["security"] == [{"Access token": []}]
    assert document["components"]["securitySchemes"]["Access token"] == {"type": "http", "scheme": "bearer"}


def test_starlette_without_more_answers_in_its_own_way(verifier):
    bearer = Bearer(verifier)

    async def endpoint(request):
        await bearer(request)

    with TestClient(Starlette(routes=[Route("/", endpoint)])) as client:
        answer = client.get("/")
    assert (answer.status_code, answer.text) == (401, str(TokenMissing()))
    assert answer.headers["www-authenticate"] == 'Bearer realm="api"'


def test_an_asynchronous_view_of_flask_is_guarded_too(issuer, verifier):
    app = Flask("api")

    @app.get("/")
    @require_token(verifier)
    async def view():
        return {"subject": claims_of_flask().subject}

    client = app.test_client()
    assert client.get("/").status_code == 401
    answer = client.get("/", headers={"authorization": f"Bearer {issuer.token(sub=SUBJECT)}"})
    assert answer.json == {"subject": SUBJECT}


async def test_a_framework_without_a_module_of_its_own_uses_the_guard(issuer, verifier):
    guard = Guard(verifier, roles=["admin"])
    good = f"bearer {issuer.token(sub=SUBJECT, roles=['admin'])}"
    assert guard.check(good).subject == (await guard.acheck(good)).subject == SUBJECT
    with pytest.raises(NotAllowed) as refusal:
        guard.check(f"Bearer {issuer.token()}")
    assert (refusal.value.status, refusal.value.headers["Content-Type"]) == (403, "application/problem+json")


def test_why_a_token_was_refused_is_in_the_log_and_the_token_is_not(issuer, verifier, caplog):
    forged = issuer.forged()
    with caplog.at_level("INFO", "keystead_verify"), pytest.raises(NotAllowed):
        Guard(verifier).check(f"Bearer {forged}")
    assert [record.getMessage() for record in caplog.records] == ["a token was refused: signature"]


METHOD = "/things.Things/Show"


def handlers(behaviour):
    echo = grpc.unary_unary_rpc_method_handler(behaviour)
    many = grpc.unary_stream_rpc_method_handler(
        lambda _request, _context: iter([claims().subject.encode()] * 3)
    )
    return grpc.method_handlers_generic_handler("things.Things", {"Show": echo, "Watch": many})


def ask(port, token=None, method=METHOD):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return channel.unary_unary(method)(b"x", metadata=metadata, timeout=5)


def refused_stream(port):
    """A stream whose caller waits for an answer before it says anything."""
    silence = threading.Event()

    def nothing_yet():
        silence.wait(5)
        yield b"x"

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/things.Things/Talk")(nothing_yet(), timeout=5)
        with pytest.raises(grpc.RpcError) as refusal:
            next(call)
        silence.set()
    return refusal.value


def test_a_grpc_server_lets_in_who_holds_a_good_token(issuer, verifier):
    server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=[RequireToken(verifier, roles="admin")])
    server.add_generic_rpc_handlers([handlers(lambda _request, _context: claims().subject.encode())])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        good = issuer.token(sub=SUBJECT, roles=["admin"])
        assert ask(port, good) == SUBJECT.encode()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            metadata = [("authorization", f"Bearer {good}")]
            watched = channel.unary_stream("/things.Things/Watch")(b"x", metadata=metadata, timeout=5)
            assert list(watched) == [SUBJECT.encode()] * 3
        for token, code in (
            (None, grpc.StatusCode.UNAUTHENTICATED),
            (issuer.forged(roles=["admin"]), grpc.StatusCode.UNAUTHENTICATED),
            (issuer.token(), grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.RpcError) as refusal:
                ask(port, token)
            assert refusal.value.code() is code
        assert refused_stream(port).code() is grpc.StatusCode.UNAUTHENTICATED
    finally:
        server.stop(None).wait()


async def test_an_asynchronous_grpc_server_does_the_same(issuer, verifier):
    async def show(_request, _context):
        return claims().subject.encode()

    server = grpc.aio.server(interceptors=[RequireTokenAsync(verifier)])
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "things.Things", {"Show": grpc.unary_unary_rpc_method_handler(show)}
            )
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(METHOD)
            metadata = (("authorization", f"Bearer {issuer.token(sub=SUBJECT)}"),)
            assert await call(b"x", metadata=metadata, timeout=5) == SUBJECT.encode()
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call(b"x", timeout=5)
            assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    finally:
        await server.stop(None)
