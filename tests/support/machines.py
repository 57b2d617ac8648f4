"""Machine credentials for tests."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from keystead.accounts.service_accounts import NewAccount
from keystead.kernel.caller import Operator
from keystead.kernel.ids import new_uuid
from keystead.kernel.secrets import digest
from keystead.machines.secret_text import SecretKind, new_machine_secret

TOKEN = "/api/v1/auth/token"


@dataclass(frozen=True)
class Machine:
    """A service account with one secret."""

    client_id: str
    secret: str
    key_id: str
    name: str

    @property
    def basic(self):
        return (self.client_id, self.secret)


async def make_service_account(
    core, *, roles=("user",), client_id=None, scopes=None, lifetime=None
) -> Machine:
    name = f"job-{secrets.token_hex(5)}"
    made = await core.machines.create(
        Operator(), NewAccount(name, roles=roles, client_id=client_id, scopes=scopes, lifetime=lifetime)
    )
    return Machine(str(made.account.id), made.secret.reveal(), str(made.key.id), name)


async def get_token(client, machine: Machine, **fields):
    """The answer of the token endpoint."""
    return await client.post(TOKEN, data={"grant_type": "client_credentials", **fields}, auth=machine.basic)


async def machine_bearer(client, machine: Machine, **fields) -> dict[str, str]:
    answer = await get_token(client, machine, **fields)
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def insert_api_key(service, user_id: str) -> str:
    """The id of a key that nobody knows the secret of: for requests about keys."""
    key_id, secret = new_uuid(), new_machine_secret(SecretKind.API_KEY)
    await service.sql(
        "INSERT INTO api_keys (id, user_id, client_id, name, digest, hint, scopes, expires_at)"
        " SELECT $1::text::uuid, id, 'default', 'n', $3, 'abcd', '{account:read}', keystead_now() + $4::interval"
        "   FROM users WHERE id = $2::text::uuid",
        str(key_id),
        user_id,
        digest(secret.reveal()),
        timedelta(days=1),
    )
    return str(key_id)


async def make_api_key(client, person, scopes, **fields):
    """The answer to making one."""
    body = {"name": "laptop", "scopes": list(scopes), **fields}
    return await client.post("/api/v1/users/me/api-keys", json=body, headers=person.bearer)


async def key_bearer(client, person, scopes, **fields) -> dict[str, str]:
    answer = await make_api_key(client, person, scopes, **fields)
    assert answer.status_code == 201, answer.text
    return {"authorization": f"Bearer {answer.json()['api_key']}"}
