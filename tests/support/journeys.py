"""The five ways in which somebody comes to have a link in a mailbox."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from keystead.kernel.caller import Operator
from tests.support.people import PASSWORD, make_user, new_email

NEW_PASSWORD = "four tall silent lighthouses"


@dataclass(frozen=True)
class Journey:
    """A link on its way to `mailbox`; what its page asks for; and with what its owner signs in afterwards."""

    mailbox: str
    email: str
    password: str = PASSWORD
    typed: dict[str, str] = field(default_factory=dict)


# `client` speaks to a service over the database of `core` that mails, and waits for proven addresses.
Start = Callable[[Any, Any], Awaitable[Journey]]


async def registration(_core, client) -> Journey:
    email = new_email()
    answer = await client.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 202, answer.text
    return Journey(email, email)


async def forgotten_password(core, client) -> Journey:
    email = new_email()
    await make_user(core, email, password="a password that was forgotten")
    answer = await client.post("/api/v1/auth/password/forgot", json={"email": email})
    assert answer.status_code == 202, answer.text
    return Journey(email, email, NEW_PASSWORD, {"password": NEW_PASSWORD})


async def new_address(core, client) -> Journey:
    old, new = new_email(), new_email()
    await make_user(core, old)
    pair = (await client.post("/api/v1/auth/login", json={"email": old, "password": PASSWORD})).json()
    answer = await client.put(
        "/api/v1/users/me/email",
        json={"email": new, "current_password": PASSWORD},
        headers={"authorization": f"Bearer {pair['access_token']}"},
    )
    assert answer.status_code == 202, answer.text
    return Journey(new, new)


async def invitation(core, _client, **wanted) -> Journey:
    email = new_email()
    await core.accounts.invite(Operator(), email=email, **wanted)
    return Journey(email, email, NEW_PASSWORD, {"full_name": "Ada Lovelace", "password": NEW_PASSWORD})


async def locked_account(core, _client) -> Journey:
    email = new_email()
    await core.accounts.lock(Operator(), await make_user(core, email))
    return Journey(email, email)


# By the first part of the link's path.
JOURNEYS: dict[str, Start] = {
    "verify": registration,
    "reset": forgotten_password,
    "change-email": new_address,
    "invitation": invitation,
    "unlock": locked_account,
}
