"""Every framework says the same: who is let in, and how a refusal is spelled (RFC 6750, RFC 9470)."""

from concurrent import futures

import grpc
import grpc.aio
import pytest

from keystead_verify import Verifier
from keystead_verify.asgi import _authorization
from keystead_verify.grpc import RequireToken, RequireTokenAsync, claims
from pytest_keystead.issuer import LocalIssuer
from tests.verify.frameworks import FRAMEWORKS

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
    if "www-authenticate" in reply.headers:  # Django REST framework sends none with a 403
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


def test_two_headers_are_none():
    two = {"headers": [(b"authorization", b"Bearer a"), (b"Authorization", b"Bearer b")]}
    assert _authorization(two) is None


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
