"""gRPC: interceptors of servers, threaded and asynchronous."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Unpack

import grpc
import grpc.aio

from keystead_verify.claims import Claims
from keystead_verify.errors import InsufficientScope, IssuerUnavailable, NotAllowed
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier

_claims: ContextVar[Claims] = ContextVar("keystead_claims")


def claims() -> Claims:
    """Whose call it is; inside a method of a server with one of the interceptors."""
    return _claims.get()


class _Guarded:
    def __init__(self, verifier: Verifier, *, public: Iterable[str] = (), **asked: Unpack[Asked]) -> None:
        self._guard = Guard(verifier, **asked)
        self._public = frozenset(public)


class RequireToken(_Guarded, grpc.ServerInterceptor):
    """For `grpc.server(…, interceptors=[RequireToken(verifier)])`. `public` are full names of methods without a token.

    Refuses with UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE.
    """

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        if details.method in self._public:
            return continuation(details)
        try:
            found = self._guard.check(_authorization(details))
        except NotAllowed as refusal:
            return _refusing(refusal)
        handler = continuation(details)
        return handler and _with_claims(handler, found)


class RequireTokenAsync(_Guarded, grpc.aio.ServerInterceptor):
    """As RequireToken, for `grpc.aio.server`."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        if details.method in self._public:
            return await continuation(details)
        try:
            _claims.set(
                await self._guard.acheck(_authorization(details))
            )  # each call has a context of its own
        except NotAllowed as refusal:
            return _refusing_async(refusal)
        return await continuation(details)


def _authorization(details: Any) -> str | None:
    found = [value for name, value in details.invocation_metadata if name == "authorization"]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def _code(refusal: NotAllowed) -> grpc.StatusCode:
    match refusal:
        case InsufficientScope():
            return grpc.StatusCode.PERMISSION_DENIED
        case IssuerUnavailable():
            return grpc.StatusCode.UNAVAILABLE
        case _:
            return grpc.StatusCode.UNAUTHENTICATED


# A handler of streams refuses a method of any kind, and before the caller has sent anything.
def _refusing(refusal: NotAllowed) -> Any:
    def abort(_requests: Any, context: Any) -> None:
        context.abort(_code(refusal), str(refusal))

    return grpc.stream_stream_rpc_method_handler(abort)


def _refusing_async(refusal: NotAllowed) -> Any:
    async def abort(_requests: Any, context: Any) -> None:
        await context.abort(_code(refusal), str(refusal))

    return grpc.stream_stream_rpc_method_handler(abort)


def _with_claims(handler: Any, found: Claims) -> Any:
    """The same handler, with the claims set in the thread that runs it."""
    for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
        behaviour = getattr(handler, kind)
        if behaviour is not None:
            make = getattr(grpc, f"{kind}_rpc_method_handler")
            wrap = _streaming if kind.endswith("stream") else _single
            return make(wrap(behaviour, found), handler.request_deserializer, handler.response_serializer)
    return handler


def _single(behaviour: Callable[..., Any], found: Claims) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        before = _claims.set(found)
        try:
            return behaviour(*arguments)
        finally:
            _claims.reset(before)

    return run


def _streaming(behaviour: Callable[..., Any], found: Claims) -> Callable[..., Any]:
    """Between two answers the thread may run another call: the claims are set for each step alone."""

    def run(*arguments: Any) -> Iterator[Any]:
        answers = iter(_single(behaviour, found)(*arguments))
        end = object()
        while (answer := _single(next, found)(answers, end)) is not end:
            yield answer

    return run
