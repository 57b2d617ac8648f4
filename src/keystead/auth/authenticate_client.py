"""Which service account proves itself: by a secret, or by an assertion that it signed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.jwt.assertion import key_named_by, public_key_of, read_assertion
from keystead.jwt.soundness import UnsoundKey
from keystead.kernel.application import Application
from keystead.kernel.caller import Caller, CredentialKind, NotSignedIn
from keystead.kernel.db import Database
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import ServiceAccountId, UserId
from keystead.kernel.secrets import digest
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.machines import store
from keystead.machines.secret_text import SecretKind, is_machine_secret
from keystead.roles.book import RoleBook
from keystead.tickets import store as tickets

log = structlog.get_logger("auth")

TOUCH_EVERY = timedelta(minutes=1)

# Joins service accounts, their keys and roles; by the digest of a secret, or by the id of a public key.
FIND_CLIENT = """
    SELECT k.id AS key_id, a.id AS account_id, a.client_id, k.algorithm, k.public_key, k.scopes, k.last_used_at,
           k.revoked_at IS NULL AND keystead_now() < k.expires_at AND a.disabled_at IS NULL AS is_live,
           ARRAY(SELECT r.role FROM service_account_roles r WHERE r.account_id = a.id ORDER BY r.role) AS roles,
           (SELECT version FROM authorization_state) AS roles_version, keystead_now() AS now
      FROM service_keys k
      JOIN service_accounts a ON a.id = k.account_id
     WHERE (k.digest = $1 OR k.id = $2 AND k.public_key IS NOT NULL)
"""


class InvalidClient(Refusal):
    """Unknown, wrong, revoked, expired, disabled: one refusal for whatever is wrong with a client's proof."""

    code = "invalid_client"
    message = "The client's credentials are not valid."


@dataclass(frozen=True, slots=True)
class ClientSecret:
    client_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """A token that the client signed (RFC 7523). `client_id` is what stood beside it, if anything did."""

    assertion: str
    client_id: str | None = None


ClientProof = ClientSecret | ClientAssertion


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A service account that has proven itself just now. `application` is the one whose audience its tokens have."""

    caller: Caller
    account_id: ServiceAccountId
    application: Application

    @property
    def key_id(self) -> UUID:
        return self.caller.credential_id


@dataclass(frozen=True, slots=True)
class FoundClient:
    key_id: UUID
    account_id: ServiceAccountId
    client_id: str
    algorithm: str | None
    public_key: str | None
    scopes: list[str] | None
    last_used_at: datetime | None
    is_live: bool
    roles: list[str]
    roles_version: int
    now: datetime


@dataclass(frozen=True, slots=True)
class AuthenticateClient:
    """`audiences` are what an assertion may be for: the issuer, and the address of the token endpoint.

    Raises InvalidClient.
    """

    db: Database
    applications: Applications
    role_book: RoleBook
    audiences: frozenset[str]

    async def __call__(self, proof: ClientProof) -> AuthenticatedClient:
        if isinstance(proof, ClientSecret):
            found = await self._by_secret(proof)
        else:
            found = await self._by_assertion(proof)
        application = await self._application_of(found)
        if found.last_used_at is None or found.now - found.last_used_at >= TOUCH_EVERY:
            await store.touch_service_key(self.db, found.key_id, every=TOUCH_EVERY)
        AUTH_ATTEMPTS.labels("client", "admitted").inc()
        return AuthenticatedClient(await self._caller(found), found.account_id, application)

    async def _by_secret(self, proof: ClientSecret) -> FoundClient:
        if not is_machine_secret(proof.secret, SecretKind.SERVICE_KEY):
            raise await self._refusal(None)
        found = await self._find(digest(proof.secret), None)
        if found is None or not found.is_live or proof.client_id != str(found.account_id):
            raise await self._refusal(found)
        return found

    async def _by_assertion(self, proof: ClientAssertion) -> FoundClient:
        found = await self._find(None, key_named_by(proof.assertion))
        if found is None or not found.is_live or found.algorithm is None or found.public_key is None:
            raise await self._refusal(found)
        try:
            key = public_key_of(found.key_id, found.algorithm, found.public_key)
        except (UnsoundKey, ValueError):
            log.exception("service_key.unusable", key_id=str(found.key_id))
            raise await self._refusal(found) from None
        read = read_assertion(proof.assertion, key, audiences=self.audiences, now=found.now)
        named = str(found.account_id)
        if read is None or read.client_id != named or proof.client_id not in (None, named):
            raise await self._refusal(found)
        if not await tickets.use_assertion(
            self.db, found.account_id, digest(read.id), expires_at=read.expires_at
        ):
            raise await self._refusal(found)
        return found

    async def _find(self, secret_digest: bytes | None, key_id: UUID | None) -> FoundClient | None:
        row = await self.db.fetch_row(FIND_CLIENT, secret_digest, key_id)
        return FoundClient(*row) if row else None

    async def _application_of(self, found: FoundClient) -> Application:
        try:
            return await self.applications.require(found.client_id)
        except NotSignedIn:
            raise await self._refusal(found) from None

    async def _caller(self, found: FoundClient) -> Caller:
        held = tuple(found.roles)
        permissions = await self.role_book.permissions_of(held, found.roles_version)
        return Caller(
            user_id=UserId(found.account_id),
            credential=CredentialKind.SERVICE,
            credential_id=found.key_id,
            roles=held,
            permissions=permissions if found.scopes is None else permissions & frozenset(found.scopes),
            own=frozenset(),
            auth_time=found.now,
            now=found.now,
        )

    async def _refusal(self, found: FoundClient | None) -> InvalidClient:
        AUTH_ATTEMPTS.labels("client", "refused").inc()
        subject = found.account_id if found else None
        await trail.record(self.db, Event(EventName.CLIENT_REFUSED, subject_id=subject))
        return InvalidClient()
