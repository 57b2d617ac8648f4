"""Introspection: what a token is worth at this moment, for the service that it is meant for (RFC 7662)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keystead.auth.identify import Identify
from keystead.auth.identity import Identity
from keystead.jwt.issuer import TokenIssuer
from keystead.jwt.jws import TokenRejected
from keystead.kernel.application import Application
from keystead.kernel.caller import Access, Caller, CredentialKind, NotSignedIn, Permission, PermissionMissing
from keystead.limits.types import RouteClass


@dataclass(frozen=True, slots=True)
class Introspect:
    """None for every token that does not hold, and for one that is meant for somebody else: who asks about a stranger's
    token learns nothing. A refresh token is no business of a service's. Raises PermissionMissing.
    """

    identify: Identify
    requires: ClassVar = Access.CLIENT
    limited_as: ClassVar = RouteClass.CLIENT
    refuses: ClassVar = (PermissionMissing,)

    async def __call__(self, client: Caller, application: Application, token: str) -> Identity | None:
        client.require(Permission.TOKENS_INTROSPECT)
        try:
            identity = await self.identify(token)
        except (NotSignedIn, TokenRejected):
            return None
        return identity if identity.grant.audience == application.audience else None


@dataclass(frozen=True, slots=True)
class SignIntrospection:
    """An answer to `client` that can be shown to others, as its own kind of token (RFC 9701)."""

    issuer: TokenIssuer

    def __call__(self, client: Caller, answer: Mapping[str, Any]) -> str:
        return self.issuer.sign_introspection(audience=str(client.user_id), answer=answer, now=client.now)


def scope_of(identity: Identity) -> str:
    """What a machine's credential permits now; a session's tokens name no scope."""
    caller = identity.caller
    if caller.credential is CredentialKind.SESSION:
        return ""
    return " ".join(sorted({*caller.permissions, *caller.own}))
