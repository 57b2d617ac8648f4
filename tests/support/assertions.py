"""Client assertions (RFC 7523) for tests."""

import json

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from keystead.api.rest.client_proof import ASSERTION_TYPE
from keystead.kernel.caller import Operator
from keystead.kernel.ids import new_uuid
from tests.support.machines import TOKEN, make_service_account

ISSUER = "http://127.0.0.1:3000"
PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_key(kind="ec"):
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ), key.public_key().public_bytes(*PEM).decode()


async def with_public_key(core, kind="ec"):
    machine = await make_service_account(core, roles=("admin",))
    private, public = private_key(kind)
    account = await core.machines.show.by_name(Operator(), machine.name)
    added = await core.machines.add_key(Operator(), account.id, public_key=public)
    return machine, private, public, str(added.key.id)


def assertion(machine, private, kid, clock, *, algorithm="ES256", headers=None, **changes):
    now = int(clock.now().timestamp())
    claims = {
        "iss": machine.client_id,
        "sub": machine.client_id,
        "aud": ISSUER,
        "iat": now,
        "exp": now + 60,
        "jti": str(new_uuid()),
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not ...}
    payload = json.dumps(claims).encode()
    return pyjwt.PyJWS().encode(
        payload, private, algorithm=algorithm, headers={"kid": kid, **(headers or {})}
    )


async def prove(client, token, **fields):
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": token,
        **fields,
    }
    return await client.post(TOKEN, data=form)
