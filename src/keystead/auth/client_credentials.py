"""The client credentials grant: a service account's proof for an access token (RFC 6749 §4.4)."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.auth.authenticate_client import AuthenticateClient, ClientProof, InvalidClient
from keystead.jwt.issuer import TokenIssuer, TokenTooLarge
from keystead.kernel.caller import Access
from keystead.kernel.errors import Refusal
from keystead.kernel.secrets import Secret
from keystead.kernel.telemetry import JWT_TOKENS_ISSUED
from keystead.limits.types import RouteClass
from keystead.roles.book import RoleBook


class ScopeInvalid(Refusal):
    """A scope that is none, or that neither the account's roles nor the key's scopes permit."""

    code = "invalid_scope"
    message = "This service account, or this key of it, may not do what the scope asks for."


@dataclass(frozen=True, slots=True)
class MachineToken:
    token: Secret
    expires_in: int
    scope: str


@dataclass(frozen=True, slots=True)
class GrantClientCredentials:
    """A token of minutes. Without a `scope` it permits what the account's roles and the key do; with one, only that. It
    shows the roles that permit no more.

    Raises InvalidClient, ScopeInvalid, TokenTooLarge.
    """

    authenticate: AuthenticateClient
    issuer: TokenIssuer
    role_book: RoleBook
    requires: ClassVar = Access.CLIENT
    limited_as: ClassVar = RouteClass.CLIENT
    refuses: ClassVar = (InvalidClient, ScopeInvalid, TokenTooLarge)

    async def __call__(self, proof: ClientProof, *, scope: str = "") -> MachineToken:
        client = await self.authenticate(proof)
        permitted = client.caller.permissions
        wanted = frozenset(scope.split())
        if not wanted <= permitted:
            raise ScopeInvalid
        granted = " ".join(sorted(wanted or permitted))
        application = client.application
        issued = self.issuer.issue_to_machine(
            audience=application.audience,
            ttl=application.lifetimes.access_token,
            account_id=client.account_id,
            key_id=client.key_id,
            roles=application.claims.show(self.role_book.within(client.caller.roles, wanted or permitted)),
            scope=granted,
            now=client.caller.now,
        )
        JWT_TOKENS_ISSUED.inc()
        return MachineToken(issued.token, issued.expires_in, granted)
