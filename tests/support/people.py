"""Accounts for tests, and how to speak for them."""

import secrets
from dataclasses import dataclass

from keystead.accounts.create_user import AccountWanted
from keystead.kernel.caller import Operator

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """A user with one session."""

    id: str
    email: str
    access_token: str
    refresh_token: str
    session_id: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access_token}"}


def new_email() -> str:
    return f"user-{secrets.token_hex(6)}@example.com"


async def register(client, **fields) -> Person:
    """A new active account, signed in."""
    body = {"email": new_email(), "password": PASSWORD, "full_name": "John Doe", **fields}
    answer = await client.post("/api/v1/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Person(
        made["user"]["id"], body["email"], made["access_token"], made["refresh_token"], made["session_id"]
    )


async def refresh(client, token):
    return await client.post("/api/v1/auth/refresh", headers={"authorization": f"Bearer {token}"})


async def make_user(core, email, *, password=PASSWORD, full_name=None, is_admin=False):
    """The id of a new active account, made as an operator makes it."""
    wanted = AccountWanted(
        email=email,
        password=password,
        full_name=full_name,
        roles=("user", "admin") if is_admin else ("user",),
    )
    return (await core.accounts.create(Operator(), wanted)).user.id
