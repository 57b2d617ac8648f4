"""The package with a running Keystead: what it issues holds, and what it revokes does not."""

import httpx2
import pytest

from keystead.wiring import open_core
from keystead_verify import Introspection, InvalidToken, Reason, Verifier
from tests.conftest import settings_for
from tests.support.machines import key_bearer, machine_bearer, make_service_account
from tests.support.people import register
from tests.support.server import serving
from tests.verify.test_introspection import pass_time

pytestmark = pytest.mark.anyio

CONFIGURED = {"APPLICATIONS__SHOP__AUDIENCE": "https://shop.example"}


@pytest.fixture(scope="module")
async def keystead(cluster):
    """Its client, and a core over the same database."""
    async with (
        cluster.clone() as urls,
        serving(urls, workers=1, SERVER__PUBLIC_URL="http://127.0.0.1:{port}", **CONFIGURED) as server,
        open_core(settings_for(urls, **CONFIGURED)) as running,
        httpx2.AsyncClient(base_url=server.base_url) as client,
    ):
        yield client, running.core


def url_of(client):
    return str(client.base_url).rstrip("/")


def token_of(bearer):
    return bearer["authorization"].split()[1]


async def asking(keystead, application, audience, **options):
    """A verifier that may ask about tokens of `application`."""
    client, core = keystead
    account = await make_service_account(core, roles=("admin",), client_id=application)
    settings = Introspection(account.client_id, account.secret, **options)
    return Verifier(url_of(client), audience, introspection=settings, timeout=10)


async def reason(verifier, token):
    with pytest.raises(InvalidToken) as refusal:
        await verifier.averify(token)
    return refusal.value.reason


async def test_tokens_of_each_application_hold_for_its_own_verifier_alone(keystead):
    client, core = keystead
    audiences = {"default": url_of(client), "shop": "https://shop.example"}
    verifiers = {name: Verifier(url_of(client), audience, timeout=10) for name, audience in audiences.items()}
    for name in audiences:
        person = await register(client, client_id=name)
        machine = await make_service_account(core, client_id=name)
        machine_token = token_of(await machine_bearer(client, machine))
        for other, verifier in verifiers.items():
            if other != name:
                assert await reason(verifier, person.access_token) is Reason.AUDIENCE
                assert await reason(verifier, machine_token) is Reason.AUDIENCE
                continue
            claims = await verifier.averify(person.access_token)
            assert (claims.subject, claims.session_id) == (person.id, person.session_id)
            assert (claims.roles, claims.amr, claims.client_id) == (("user",), ("pwd",), name)
            assert claims.auth_time is not None
            of_machine = await verifier.averify(machine_token)
            assert (of_machine.subject, of_machine.client_id, of_machine.key_id, of_machine.session_id) == (
                machine.client_id,
                machine.client_id,
                machine.key_id,
                None,
            )


async def test_a_refresh_token_is_no_access_token(keystead):
    client, _ = keystead
    person = await register(client)
    assert (
        await reason(Verifier(url_of(client), url_of(client), timeout=10), person.refresh_token)
        is Reason.FORM
    )


async def test_an_api_key_holds_until_it_is_revoked(keystead, monkeypatch):
    client, _ = keystead
    verifier = await asking(keystead, "shop", "https://shop.example")
    person = await register(client, client_id="shop")
    key = token_of(await key_bearer(client, person, ["account:read"]))
    claims = await verifier.averify(key)
    assert (claims.subject, claims.scopes, claims.client_id) == (person.id, {"account:read"}, "shop")
    revoked = await client.delete(f"/api/v1/users/me/api-keys/{claims.key_id}", headers=person.bearer)
    assert revoked.is_success
    pass_time(monkeypatch, 6)
    assert await reason(verifier, key) is Reason.INACTIVE
    assert await reason(verifier, key[:-1] + "x") is Reason.INACTIVE


async def test_an_api_key_of_another_application_is_nobodys(keystead):
    client, _ = keystead
    person = await register(client)
    key = token_of(await key_bearer(client, person, ["account:read"]))
    assert await reason(await asking(keystead, "shop", "https://shop.example"), key) is Reason.INACTIVE


async def test_a_sign_out_is_seen_at_once_by_who_always_asks_and_at_expiry_by_who_does_not(
    keystead, monkeypatch
):
    client, _ = keystead
    always = await asking(keystead, None, url_of(client), always=True)
    never = Verifier(url_of(client), url_of(client), timeout=10)
    person = await register(client)
    for verifier in (always, never):
        assert (await verifier.averify(person.access_token)).session_id == person.session_id
    await client.post("/api/v1/auth/logout", headers=person.bearer)
    pass_time(monkeypatch, 6)
    assert await reason(always, person.access_token) is Reason.INACTIVE
    assert (await never.averify(person.access_token)).session_id == person.session_id
