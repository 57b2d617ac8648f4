"""Issuing: what a token says, who verifies it, and when none is issued."""

import json
from datetime import timedelta
from uuid import UUID

import jwt as pyjwt
import pytest
from joserfc import jwt as joserfc
from joserfc.jwk import KeySet

from keystead.jwt.issuer import IssuedToken, TokenIssuer, TokenTooLarge
from keystead.jwt.jwks import jwk_set
from keystead.jwt.keyring import NoSigningKey
from keystead.jwt.types import Algorithm, SigningKey
from keystead.jwt.verifier import TokenVerifier
from keystead.kernel.ids import SessionId, UserId
from tests.jwt.conftest import Keys
from tests.jwt.forging import AUDIENCE, AUDIENCES, ISSUER, NOW, SESSION, USER, at, keyring_of, read_session

# RFC 9864 renames the algorithm; most libraries know it by the name of RFC 8037, which is the one offered.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")

TTL = timedelta(minutes=5)


def issuer_of(*keys: SigningKey) -> TokenIssuer:
    return TokenIssuer(keyring_of(*keys), issuer=ISSUER)


def issue(issuer: TokenIssuer, **changes: object) -> IssuedToken:
    arguments: dict[str, object] = {
        "audience": AUDIENCE,
        "ttl": TTL,
        "user_id": UserId(UUID(USER)),
        "session_id": SessionId(UUID(SESSION)),
        "client_id": "default",
        "auth_time": NOW - timedelta(seconds=60),
        "amr": ("pwd",),
        "roles": ("admin", "user"),
        "now": NOW,
        **changes,
    }
    return issuer.issue(**arguments)  # type: ignore[arg-type]


def test_a_token_is_read_back_as_it_was_issued(any_key: SigningKey):
    keyring = keyring_of(any_key)
    issuer = TokenIssuer(keyring, issuer=ISSUER)
    issued = issue(issuer, more={"plan": "pro", "sub": "mallory"}, now=NOW + timedelta(milliseconds=900))
    verifier = TokenVerifier(keyring, issuer=ISSUER, audiences=AUDIENCES)
    claims = read_session(verifier, issued.token.reveal())

    assert issued.expires_in == 300
    assert (claims.user_id, claims.session_id) == (UUID(USER), UUID(SESSION))
    assert (claims.issuer, claims.audience, claims.client_id) == (ISSUER, AUDIENCE, "default")
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + TTL)
    assert claims.auth_time == NOW - timedelta(seconds=60)
    assert (claims.amr, claims.roles, claims.scope) == (("pwd",), ("admin", "user"), "")


def test_other_libraries_verify_a_token_with_the_published_keys(any_key: SigningKey):
    token = issue(issuer_of(any_key)).token.reveal()
    document = jwk_set([any_key.public()])
    expected = {
        "iss": ISSUER,
        "sub": USER,
        "aud": AUDIENCE,
        "client_id": "default",
        "exp": at(300),
        "iat": at(0),
        "sid": SESSION,
        "auth_time": at(-60),
        "amr": ["pwd"],
        "roles": ["admin", "user"],
        "scope": "",
    }

    (published,) = pyjwt.PyJWKSet.from_json(document.decode()).keys
    by_pyjwt = pyjwt.decode_complete(
        token,
        published.key,
        algorithms=[any_key.algorithm.value],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    by_joserfc = joserfc.decode(token, KeySet.import_key_set(json.loads(document)), [any_key.algorithm.value])

    assert by_pyjwt["header"] == {"alg": any_key.algorithm.value, "kid": any_key.kid, "typ": "at+jwt"}
    for read in (by_pyjwt["payload"], by_joserfc.claims):
        assert UUID(read.pop("jti")).version == 7
        assert read == expected


def test_each_token_has_an_id_of_its_own(keys: Keys):
    issuer = issuer_of(keys[Algorithm.ES256])

    assert len({issue(issuer).token.reveal().split(".")[1] for _ in range(100)}) == 100


def test_a_token_for_which_nobody_proved_anything_has_no_auth_time(keys: Keys):
    key = keys[Algorithm.ES256]
    token = issue(issuer_of(key), auth_time=None).token.reveal()

    assert "auth_time" not in pyjwt.decode(token, options={"verify_signature": False})
    verifier = TokenVerifier(keyring_of(key), issuer=ISSUER, audiences=AUDIENCES)
    assert read_session(verifier, token).auth_time is None


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("roles", tuple(f"role-{n:04}" for n in range(400))),
        ("client_id", "c" * 4000),
        ("more", {"plan": "p" * 4000}),
    ],
)
def test_a_token_above_4_kib_is_refused_and_the_claim_named(keys: Keys, claim: str, value: object):
    with pytest.raises(TokenTooLarge) as refusal:
        issue(issuer_of(keys[Algorithm.RS256]), **{claim: value})

    assert refusal.value.detail == {"claim": "plan" if claim == "more" else claim}


def test_a_token_of_4_kib_is_issued_and_one_byte_more_is_not(keys: Keys):
    issuer = issuer_of(keys[Algorithm.EDDSA])
    issued = [len(issue(issuer, client_id="s" * n).token.reveal()) for n in (0, 1000)]
    room = (4096 - issued[0]) * 3 // 4

    assert len(issue(issuer, client_id="s" * (room - 2)).token.reveal()) <= 4096
    with pytest.raises(TokenTooLarge):
        issue(issuer, client_id="s" * (room + 2))


def test_nothing_is_issued_while_no_key_is_active():
    with pytest.raises(NoSigningKey):
        issue(issuer_of())


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1), timedelta(hours=24, seconds=1)])
def test_a_life_that_no_key_would_outlast_is_a_mistake(keys: Keys, ttl: timedelta):
    with pytest.raises(ValueError, match="a day at most"):
        issue(issuer_of(keys[Algorithm.ES256]), ttl=ttl)


def test_a_token_does_not_print(keys: Keys):
    issued = issue(issuer_of(keys[Algorithm.ES256]))

    assert issued.token.reveal() not in repr(issued)
