"""Applications for tests, as an administrator makes them."""

import jwt as pyjwt

from tests.support.people import PASSWORD, Person, make_user, new_email

APPLICATIONS = "/api/v1/applications"
SHOP = {"client_id": "shop", "audience": "https://shop.example", "access_token_ttl_secs": 60}


async def sign_in_admin(client, core):
    """What an administrator sends along who has just signed in."""
    email = new_email()
    await make_user(core, email, is_admin=True)
    return (await sign_in(client, email)).bearer


async def make(client, admin, **changes):
    """The shop, but for `changes`."""
    answer = await client.post(APPLICATIONS, json=SHOP | changes, headers=admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def change(client, admin, client_id, **changes):
    answer = await client.patch(f"{APPLICATIONS}/{client_id}", json=changes, headers=admin)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask_to_sign_in(client, email, client_id=None):
    body = {"email": email, "password": PASSWORD}
    return await client.post(
        "/api/v1/auth/login", json=body | ({"client_id": client_id} if client_id else {})
    )


async def sign_in(client, email, client_id=None):
    """A session of this application."""
    answer = await ask_to_sign_in(client, email, client_id)
    assert answer.status_code == 200, answer.text
    pair = answer.json()
    token = pair["access_token"]
    return Person(read(token)["sub"], email, token, pair["refresh_token"], pair["session_id"])


def read(token):
    """What it says, whoever signed it."""
    return pyjwt.decode(token, options={"verify_signature": False})
