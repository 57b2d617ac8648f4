"""Claims are taken whole or not at all; what was verified is remembered, and nothing else is."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from keystead.jwt.jws import Reason
from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec, SigningKey
from keystead.jwt.verifier import TokenVerifier
from tests.jwt.conftest import Keys
from tests.jwt.forging import (
    AUDIENCE,
    AUDIENCES,
    ISSUER,
    NOW,
    USER,
    FixedAudiences,
    at,
    claims,
    compact,
    header,
    keyring_of,
    read_session,
    signer,
    token,
    verdict,
    verifier_of,
)

NOT_TEXT: list[object] = [None, True, 0, 1.5, [], ["x"], {}, ""]
NOT_SECONDS: list[object] = [
    None,
    True,
    False,
    "1",
    "",
    1.0,
    1.5,
    [],
    [1],
    {},
    -1,
    2**63,
    10**400,
    253_402_300_800,
]
NOT_TEXTS: list[object] = [None, True, 0, "user", {}, {"user": 1}, [1], [None], [""], [["user"]], ["user", 1]]
NOT_UUIDS: list[object] = [
    *(
        None,
        True,
        0,
        [],
        {},
        "",
        "user",
        USER.upper(),
        f"{{{USER}}}",
        f"urn:uuid:{USER}",
        USER.replace("-", ""),
    ),
    *(USER + " ", USER[:-1], USER + "0", int(UUID(USER)), [USER]),
]


@pytest.fixture(scope="module")
def es256() -> SigningKey:
    return generate_key(KeySpec(Algorithm.ES256, None))


@pytest.fixture(scope="module")
def es256_verifier(es256: SigningKey) -> TokenVerifier:
    return verifier_of(es256)


@pytest.mark.parametrize(
    ("claim", "bad", "expected"),
    [
        (
            "iss",
            [..., None, 1, [], [ISSUER], "", "https://id.example/", "HTTPS://ID.EXAMPLE", ISSUER[:-1]],
            Reason.ISSUER,
        ),
        ("sub", [..., *NOT_UUIDS], Reason.CLAIMS),
        ("sid", [..., *NOT_UUIDS], Reason.CLAIMS),
        ("exp", [..., *NOT_SECONDS], Reason.CLAIMS),
        ("iat", [..., *NOT_SECONDS], Reason.CLAIMS),
        ("nbf", NOT_SECONDS, Reason.CLAIMS),
        ("auth_time", NOT_SECONDS, Reason.CLAIMS),
        ("client_id", [..., *NOT_TEXT], Reason.CLAIMS),
        ("jti", [..., *NOT_TEXT], Reason.CLAIMS),
        ("scope", [..., *NOT_TEXT[:-1]], Reason.CLAIMS),
        ("amr", [..., *NOT_TEXTS], Reason.CLAIMS),
        ("roles", [..., *NOT_TEXTS], Reason.CLAIMS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_asvs_v5_9_2_1_a_claim_that_is_absent_or_of_another_type_is_rejected(
    es256: SigningKey, es256_verifier: TokenVerifier, claim: str, bad: list[object], expected: Reason
):
    verdicts = [verdict(es256_verifier, token(es256, None, **{claim: value})) for value in bad]

    assert verdicts == [expected] * len(bad)


@pytest.mark.parametrize(
    "audience",
    [
        *(..., None, 1, True, {}, "", [], [""], [None]),
        *(
            AUDIENCE.upper(),
            AUDIENCE + "/",
            AUDIENCE[:-1],
            AUDIENCE + ".evil.example",
            "https://api.exampleevil",
        ),
        *(
            [AUDIENCE],
            [AUDIENCE, "https://foreign.example"],
            [AUDIENCE, *sorted(AUDIENCES.accepted)],
            {AUDIENCE: 1},
        ),
    ],
    ids=repr,
)
def test_asvs_v5_9_2_3_only_one_audience_and_that_ours_is_accepted(
    es256: SigningKey, es256_verifier: TokenVerifier, audience: object
):
    assert verdict(es256_verifier, token(es256, aud=audience)) is Reason.AUDIENCE


def test_asvs_v5_9_2_4_every_configured_audience_is_accepted(
    es256: SigningKey, es256_verifier: TokenVerifier
):
    for audience in AUDIENCES.accepted:
        assert es256_verifier.check(token(es256, aud=audience), now=NOW).audience == audience


def test_cve_class_16_a_token_for_another_audience_or_issuer_is_rejected_though_our_key_signed_it(
    es256: SigningKey,
):
    keyring = keyring_of(es256)
    other = TokenVerifier(keyring, issuer=ISSUER, audiences=FixedAudiences(frozenset({"https://b.example"})))
    tenant = TokenVerifier(keyring, issuer="https://tenant.example", audiences=AUDIENCES)

    assert verdict(other, token(es256)) is Reason.AUDIENCE
    assert verdict(tenant, token(es256)) is Reason.ISSUER


@pytest.mark.parametrize(
    ("exp", "expected"),
    [(-31, Reason.EXPIRED), (-30, Reason.EXPIRED), (-29, None), (0, None), (86_300, None)],
)
def test_asvs_v5_9_2_1_a_token_ends_at_its_expiry_and_a_leeway_of_30_seconds(
    es256: SigningKey, es256_verifier: TokenVerifier, exp: int, expected: Reason | None
):
    assert verdict(es256_verifier, token(es256, iat=at(-100), exp=at(exp))) is expected


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize(("seconds", "expected"), [(30, None), (31, Reason.EARLY), (3600, Reason.EARLY)])
def test_asvs_v5_9_2_1_a_token_from_the_future_is_rejected(
    es256: SigningKey, es256_verifier: TokenVerifier, claim: str, seconds: int, expected: Reason | None
):
    forged = token(es256, None, **{"exp": at(seconds + 60), claim: at(seconds)})

    assert verdict(es256_verifier, forged) is expected


@pytest.mark.parametrize(("iat", "exp"), [(0, 0), (0, -1), (-10, 86_391), (0, 10**9)])
def test_a_life_that_no_token_of_ours_has_is_rejected(
    es256: SigningKey, es256_verifier: TokenVerifier, iat: int, exp: int
):
    assert verdict(es256_verifier, token(es256, iat=at(iat), exp=at(exp))) is Reason.CLAIMS


def test_a_claim_of_a_later_version_is_ignored(es256: SigningKey, es256_verifier: TokenVerifier):
    assert verdict(es256_verifier, token(es256, app={"plan": "gold"}, act={"sub": "x"})) is None


@pytest.mark.parametrize(
    "spelling",
    ["1e400", "NaN", "Infinity", "1.8e9", "1772600900.0", "0x7fffffff", "-0.0", "01772600900", "9" * 5000],
)
def test_asvs_v5_9_2_1_an_expiry_is_an_integer_and_spelled_as_one(
    es256: SigningKey, es256_verifier: TokenVerifier, spelling: str
):
    payload = json.dumps(claims(exp="EXP")).replace('"EXP"', spelling)

    assert verdict(es256_verifier, compact(header(es256), payload.encode(), signer(es256))) is Reason.CLAIMS


def test_an_expired_token_is_refused_though_it_is_remembered(keys: Keys):
    key = keys[Algorithm.RS256]
    verifier = verifier_of(key)
    whole = token(key)
    assert verdict(verifier, whole) is None
    assert verdict(verifier, whole, NOW + timedelta(seconds=329)) is None

    assert verdict(verifier, whole, NOW + timedelta(seconds=330)) is Reason.EXPIRED
    assert verdict(verifier, whole, NOW - timedelta(seconds=31)) is Reason.EARLY
    assert verdict(verifier, whole) is None


def test_cve_class_08_the_cache_never_answers_with_another_tokens_claims():
    key = generate_key(KeySpec(Algorithm.ES256, None))
    verifier = verifier_of(key)
    sign, head = signer(key), header(key)
    tokens = {n: compact(head, claims(jti=f"token-{n}", sid=str(UUID(int=n))), sign) for n in range(10_000)}
    for _ in range(2):  # the second time from the cache
        for n, whole in tokens.items():
            read = read_session(verifier, whole)
            assert (read.token_id, read.session_id.int) == (f"token-{n}", n)


def test_cve_class_08_the_cache_is_bounded_and_forgets_what_was_not_used(keys: Keys):
    key = keys[Algorithm.EDDSA]
    verifier = TokenVerifier(keyring_of(key), issuer=ISSUER, audiences=AUDIENCES, capacity=10)
    often = token(key, jti="often")
    for n in range(50):
        verifier.check(often, now=NOW)
        verifier.check(token(key, jti=f"once-{n}"), now=NOW)

    assert len(verifier._verified) == 10
    assert "often" in {kept.claims.token_id for kept in verifier._verified.values()}


def test_cve_class_08_what_was_rejected_is_not_remembered(keys: Keys):
    key = keys[Algorithm.EDDSA]
    verifier = verifier_of(key)
    head, payload, signature = token(key).split(".")
    for forged in (
        f"{head}.{payload}.{signature[::-1]}",
        token(key, iss="x"),
        token(key, iat=at(-400), exp=at(-100)),
    ):
        assert verdict(verifier, forged) is not None

    assert len(verifier._verified) == 0


def test_cve_class_08_a_signature_that_was_changed_misses_the_cache(keys: Keys):
    key = keys[Algorithm.RS256]
    verifier = verifier_of(key)
    whole = token(key)
    verifier.check(whole, now=NOW)
    head, payload, _ = whole.split(".")

    assert verdict(verifier, f"{head}.{payload}.{'A' * 342}") is Reason.SIGNATURE
    assert verdict(verifier, f"{head}.{payload}.") is Reason.SIGNATURE
