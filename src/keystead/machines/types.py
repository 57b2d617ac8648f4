"""Service accounts and the keys of machines, and what is refused about them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from keystead.kernel.errors import Refusal
from keystead.kernel.ids import ServiceAccountId, UserId


class ServiceAccountNotFound(Refusal):
    code = "service_account_not_found"
    message = "There is no such service account."


class ServiceAccountTaken(Refusal):
    code = "service_account_taken"
    message = "A service account of this name exists."


class KeyNotFound(Refusal):
    code = "key_not_found"
    message = "There is no such key, or it was revoked."


class TooManyKeys(Refusal):
    code = "too_many_keys"
    message = "There are as many keys as one account can have: revoke one first."


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """`client_id` is the application whose audience its tokens have."""

    id: ServiceAccountId
    name: str
    description: str
    client_id: str
    roles: list[str]
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A key of a service account, without what proves it. `algorithm` is that of a public key; a secret has none.

    `scopes` None: everything that the account's roles permit.
    """

    id: UUID
    account_id: ServiceAccountId
    algorithm: str | None
    hint: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A person's key, without its secret. `client_id` is the application that it was made in."""

    id: UUID
    user_id: UserId
    client_id: str
    name: str
    hint: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
