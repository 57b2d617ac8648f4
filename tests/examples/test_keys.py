"""Express and Go verify with every algorithm of Keystead, and ask for keys no oftener than they should."""

import asyncio
import time
from uuid import uuid4

import httpx2
import pytest

from keystead.jwt.jwks import jwk_set
from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec
from pytest_keystead.issuer import LocalIssuer
from tests.jwt.forging import compact, signer
from tests.support.examples import missing, running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(params=["express", "go"])
async def place(request, tmp_path):
    """An issuer with a key of each algorithm, those keys, and a client of the example that trusts it."""
    if reason := missing(request.param):
        pytest.skip(reason)
    keys = {algorithm: generate_key(KeySpec.of(algorithm, 2048)) for algorithm in Algorithm}
    with LocalIssuer() as issuer:
        issuer.audience = issuer.url
        issuer.answer_with(jwk_set([key.public() for key in keys.values()]))
        with running(request.param, issuer.url, tmp_path) as url:
            async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
                yield issuer, keys, client


def token(issuer, key, kid=None, algorithm=None, used=None):
    """What says that it is of `kid` and `algorithm`, and was signed with `key` in the way of `used`."""
    now = int(time.time())
    claims = {
        "iss": issuer.url, "aud": issuer.url, "sub": str(uuid4()), "client_id": "default", "jti": str(uuid4()),
        "iat": now, "exp": now + 300, "roles": [], "scope": "", "sid": str(uuid4()), "amr": [],
    }  # fmt: skip
    header = {"alg": (algorithm or key.algorithm).value, "kid": kid or key.kid, "typ": "at+jwt"}
    return compact(header, claims, signer(key, used))


async def status(client, token):
    return (await client.get("/me", headers={"authorization": f"Bearer {token}"})).status_code


async def test_each_key_verifies_in_the_way_of_its_own_algorithm_alone(place):
    issuer, keys, client = place
    for algorithm, key in keys.items():
        assert await status(client, token(issuer, key)) == 200, algorithm
        for other in set(Algorithm) - {algorithm}:
            assert await status(client, token(issuer, key, algorithm=other, used=other)) == 401
            assert await status(client, token(issuer, key, kid=keys[other].kid)) == 401
            assert await status(client, token(issuer, keys[other], kid=key.kid, used=algorithm)) == 401


async def test_invented_key_ids_cost_the_issuer_two_requests_at_most(place):
    issuer, keys, client = place
    key = keys[Algorithm.ES256]
    good, *rest = await asyncio.gather(
        status(client, token(issuer, key)),
        *(status(client, token(issuer, key, kid=f"invented-{number:08}")) for number in range(100)),
    )
    assert (good, set(rest)) == (200, {401})
    assert issuer.requests <= 2


async def test_keys_that_are_known_serve_on_while_the_issuer_is_away_or_answers_nonsense(place):
    issuer, keys, client = place
    key = keys[Algorithm.EDDSA]
    assert await status(client, token(issuer, key)) == 200
    issuer.answer_with(b"<html>maintenance</html>", status=503)
    assert await status(client, token(issuer, key)) == 200
    issuer.go_down()
    assert await status(client, token(issuer, key)) == 200
    assert await status(client, token(issuer, key, kid="invented-00000001")) in (401, 503)
