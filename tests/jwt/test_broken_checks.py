"""A check that cannot be carried out has failed (vulnerability class 11)."""

from types import ModuleType

import pytest

from keystead.jwt import claims, jws, verifier
from keystead.jwt.jws import Reason, TokenRejected
from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec
from keystead.kernel import strict_json
from tests.jwt.forging import NOW, token, verdict, verifier_of


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (jws, "_parse_header"),
        (jws, "_decode"),
        (jws, "_encode"),
        (jws, "_is_signature"),
        (jws, "_verify"),
        (strict_json, "loads"),
        (verifier, "token_bytes"),
        (verifier, "digest"),
        (verifier, "verify_compact"),
        (verifier, "read_claims"),
        (claims, "_parse"),
        (claims, "_seconds"),
        (claims, "_text"),
        (claims, "_texts"),
        (claims, "_uuid"),
        (claims, "_moment"),
    ],
)
def test_cve_class_11_a_check_that_breaks_rejects(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
):
    def broken(*_args: object, **_named: object) -> object:
        raise RuntimeError("broken on purpose")

    key = generate_key(KeySpec(Algorithm.ES256, None))  # its header is in no cache yet
    token_verifier = verifier_of(key)
    whole = token(key)
    monkeypatch.setattr(module, name, broken)

    with pytest.raises(TokenRejected) as rejected:
        token_verifier.check(whole, now=NOW)
    assert rejected.value.reason is Reason.BROKEN_CHECK
    monkeypatch.undo()
    assert verdict(token_verifier, whole) is None
