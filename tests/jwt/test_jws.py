"""The compact form: what we sign others verify, what others sign we verify, and nothing looser."""

import ast
import json
from pathlib import Path

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws as joserfc
from joserfc.jwk import ECKey, OKPKey, RSAKey

import keystead
from keystead.jwt.jws import MAX_TOKEN_BYTES, Reason, TokenRejected, sign, verify_compact
from keystead.jwt.types import Algorithm, PublicKey, SigningKey
from tests.jwt.conftest import Keys
from tests.jwt.forging import b64, compact, header, signer

# RFC 9864 renames the algorithm; most libraries know it by the name of RFC 8037, which is the one offered.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
PAYLOADS = [b"", b"x", b'{"sub":"\xc3\xa9"}', bytes(range(256)) * 4]


def reason_of(token: str | bytes, keys: dict[str, PublicKey], typ: str | None = None) -> Reason | None:
    try:
        verify_compact(token, keys, typ=typ)
    except TokenRejected as rejected:
        return rejected.reason
    return None


def joserfc_key(key: SigningKey) -> RSAKey | ECKey | OKPKey:
    pem = key.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    match key.algorithm:
        case Algorithm.ES256:
            return ECKey.import_key(pem)
        case Algorithm.EDDSA:
            return OKPKey.import_key(pem)
        case _:
            return RSAKey.import_key(pem)


@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
def test_what_is_signed_verifies_to_the_same_bytes(any_key: SigningKey, payload: bytes):
    token = sign(payload, any_key, typ="at+jwt")

    assert verify_compact(token, {any_key.kid: any_key.public()}, typ="at+jwt") == payload
    assert verify_compact(token.encode(), {any_key.kid: any_key.public()}, typ="at+jwt") == payload


@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
def test_other_libraries_verify_what_we_sign(any_key: SigningKey, payload: bytes):
    token = sign(payload, any_key, typ="at+jwt")

    theirs = pyjwt.PyJWS().decode_complete(
        token, any_key.key.public_key(), algorithms=[any_key.algorithm.value]
    )
    assert theirs["payload"] == payload
    assert theirs["header"] == {"alg": any_key.algorithm.value, "kid": any_key.kid, "typ": "at+jwt"}
    assert (
        joserfc.deserialize_compact(token, joserfc_key(any_key), algorithms=[any_key.algorithm.value]).payload
        == payload
    )


@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
def test_we_verify_what_other_libraries_sign(any_key: SigningKey, payload: bytes):
    names = {"kid": any_key.kid, "typ": "at+jwt"}
    by_pyjwt = pyjwt.PyJWS().encode(payload, any_key.key, algorithm=any_key.algorithm.value, headers=names)
    by_joserfc = joserfc.serialize_compact(
        {"alg": any_key.algorithm.value, **names},
        payload,
        joserfc_key(any_key),
        algorithms=[any_key.algorithm.value],
    )

    for token in (by_pyjwt, by_joserfc):
        assert verify_compact(token, {any_key.kid: any_key.public()}, typ="at+jwt") == payload


def test_the_header_may_be_written_in_any_way_that_json_allows(keys: Keys):
    key = keys[Algorithm.ES256]
    spaced = json.dumps(dict(reversed(header(key).items())), indent=2).encode()

    assert verify_compact(compact(spaced, b"x", signer(key)), {key.kid: key.public()}, typ="at+jwt") == b"x"


@pytest.mark.parametrize("typ", [None, "JWT", "AT+JWT", "application/at+jwt", "at+jwt ", ""])
def test_the_type_must_be_the_one_asked_for_exactly(keys: Keys, typ: str | None):
    key = keys[Algorithm.ES256]
    token = compact(header(key, typ=... if typ is None else typ), b"x", signer(key))

    assert reason_of(token, {key.kid: key.public()}, "at+jwt") is Reason.TYPE
    assert reason_of(token, {key.kid: key.public()}, typ) is None


def test_a_token_without_a_type_is_not_asked_for_by_accident(keys: Keys):
    key = keys[Algorithm.ES256]

    assert reason_of(sign(b"x", key, typ="at+jwt"), {key.kid: key.public()}) is Reason.TYPE


def test_base64_that_is_not_canonical_is_rejected(keys: Keys):
    key = keys[Algorithm.ES256]
    known = {key.kid: key.public()}
    head, payload, signature = compact(header(key), b"x", signer(key)).split(".")
    assert reason_of(f"{head}.{payload}.{signature}", known, "at+jwt") is None
    # "x" is eA: the four bits after it are unused and zero. In eB they are not, and a lenient decoder would not see.
    for loose in ("eB", "eP", "eA=", "eA==", "eA\n", " eA", "e A", "e", "eAAAA", "eA+", "eA/"):
        signing_input = f"{head}.{loose}"
        resigned = b64(signer(key)(signing_input.encode()))
        assert reason_of(f"{signing_input}.{resigned}", known, "at+jwt") is Reason.FORM, loose
    twin = ALPHABET[ALPHABET.index(signature[-1]) + 1]
    assert reason_of(f"{head}.{payload}.{signature[:-1]}{twin}", known, "at+jwt") is Reason.FORM


def test_a_token_of_8_kib_is_read_and_one_byte_more_is_not(keys: Keys):
    key = keys[Algorithm.EDDSA]
    bare = len(compact(header(key), b"", signer(key)))
    room = MAX_TOKEN_BYTES - bare
    payload = b"x" * (room * 3 // 4)
    largest = compact(header(key), payload, signer(key))

    assert len(largest) == MAX_TOKEN_BYTES
    assert verify_compact(largest, {key.kid: key.public()}, typ="at+jwt") == payload
    assert reason_of(largest + "A", {key.kid: key.public()}, "at+jwt") is Reason.FORM


def test_a_header_of_1_kib_is_read_and_one_byte_more_is_not(keys: Keys):
    key = keys[Algorithm.EDDSA]
    bare = json.dumps(header(key)).encode()
    largest = bare + b" " * (1024 - len(bare))

    assert reason_of(compact(largest, b"x", signer(key)), {key.kid: key.public()}, "at+jwt") is None
    assert (
        reason_of(compact(largest + b" ", b"x", signer(key)), {key.kid: key.public()}, "at+jwt")
        is Reason.HEADER
    )


def test_cve_class_02_verification_without_keys_is_a_type_error(keys: Keys):
    with pytest.raises(TypeError):
        verify_compact(sign(b"x", keys[Algorithm.RS256], typ=None))  # type: ignore[call-arg]


def test_only_the_issuer_signs():
    root = Path(keystead.__file__).parent
    signers = {
        file.relative_to(root).as_posix() for file in root.rglob("*.py") if _imports_sign(file.read_text())
    }

    assert signers == {"jwt/issuer.py"}


def _imports_sign(source: str) -> bool:
    """Whether it imports the function, or the module that has it."""
    if "jws" not in source:
        return False
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return any(
        alias.name in ("jws", "keystead.jwt.jws")
        or (isinstance(node, ast.ImportFrom) and node.module == "keystead.jwt.jws" and alias.name == "sign")
        for node in imports
        for alias in node.names
    )
