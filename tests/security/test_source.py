"""What the source must not hold, found by reading all of it."""

import ast
import re
from pathlib import Path

import keystead
from keystead.api.rest import openapi
from keystead.api.rest.catalogue import ROUTES

SOURCE = Path(keystead.__file__).parent
TREES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")
}

SECRET = re.compile(
    r"(^|_)(secret|token|mac|digest|signature|password|hash|hashed|fingerprint|csrf|proof|tag)s?$"
)
# Comparisons that give nothing away: of what the caller sent twice, and of the form of a hash.
HARMLESS = {
    "tickets/repeats.py: found[0] != body_digest",
    "users/foreign_hashes/bcrypts.py: hashed != text",
}
HASHES = {"sha256", "sha384", "sha512", "pbkdf2_hmac", "scrypt"}
# What lists of known passwords are made with: it protects nothing.
FOREIGN_HASHES = {("users/known_passwords/digests.py", "sha1")}


def last_name(node):
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return last_name(function)
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case _:
            return ""


def compared_with_an_operator(tree):
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Compare)
            and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
            and any(SECRET.search(last_name(side)) for side in (node.left, *node.comparators))
        ):
            yield ast.unparse(node)


def test_asvs_v5_11_2_4_and_cve_class_46_no_secret_is_compared_with_an_operator():
    found = {f"{name}: {said}" for name, tree in TREES.items() for said in compared_with_an_operator(tree)}
    assert found <= HARMLESS
    assert list(compared_with_an_operator(ast.parse("sent.csrf_token == wanted"))), "the rule finds nothing"


def imports(tree):
    """The modules and names that a module imports, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(pattern):
    return {
        f"{name}: {imported}"
        for name, tree in TREES.items()
        for imported in imports(tree)
        if re.search(pattern, imported)
    }


def test_asvs_v5_11_2_1_cryptography_is_that_of_reviewed_libraries():
    # Any other that is known, under the names that it is imported by.
    others = r"^(Crypto|Cryptodome|nacl|ecdsa|rsa|jwt|jose|authlib|pyaes|M2Crypto|OpenSSL|passlib|pysodium)\b"
    assert not importers(others)


def test_asvs_v5_11_3_1_and_11_3_2_nothing_encrypts_but_aes_gcm():
    ciphers = importers(r"^cryptography\.hazmat\.primitives\.(ciphers|padding)\b|\.asymmetric\.padding\.OAEP")
    # Firebase's hash is an encryption by its own definition: it is computed to verify, and protects nothing of ours.
    assert {said for said in ciphers if not said.startswith("users/foreign_hashes/firebase.py")} == {
        f"vault/{module}.py: cryptography.hazmat.primitives.ciphers.aead.AESGCM"
        for module in ("aead", "datakey", "vault")
    }


def test_asvs_v5_11_4_1_and_11_4_3_hashes_have_256_bits_or_more():
    used = {
        (name, node.attr)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and last_name(node.value) == "hashlib"
    }
    assert {attribute for name, attribute in used - FOREIGN_HASHES} <= HASHES
    assert importers(r"^cryptography\.hazmat\.primitives\.hashes\.") == {
        f"{module}.py: cryptography.hazmat.primitives.hashes.SHA256" for module in ("jwt/jws", "vault/vault")
    }
    named = {
        (name, node.value)
        for name, tree in TREES.items()
        if any(each in ("hmac", "hashlib") for each in imports(tree))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in ("md5", "sha1", "sha224", "sha256", "sha512")
    }
    verifying = "users/foreign_hashes/"
    assert {digest for name, digest in named if not name.startswith(verifying)} <= {"sha256"}


def test_asvs_v5_11_5_1_what_must_not_be_guessed_comes_from_the_operating_system():
    assert not importers(r"^(random|numpy)\b")
    assert not importers(r"^uuid\.(uuid1|uuid4)$")  # ids of the wrong kind for a secret, and for our rows


def test_asvs_v5_16_2_3_nothing_but_the_telemetry_sets_up_a_log():
    outlets = r"^logging\.(handlers|config|FileHandler)|^(logging\.)?handlers\.|^syslog\b"
    assert not importers(outlets)
    configuring = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("addHandler", "basicConfig", "FileHandler", "configure", "setHandlers")
        and last_name(node.value) in ("logging", "structlog", "root", "getLogger")
    }
    assert configuring == {"kernel/telemetry.py"}


def test_asvs_v5_6_4_2_nothing_asks_for_a_hint_or_a_secret_question():
    named = {
        name
        for schema in openapi.document(ROUTES)["components"]["schemas"].values()
        for name in schema.get("properties", {})
    }
    asked = {name for name in named if re.search(r"hint|question|answer|mother|pet_|birth", name)}
    assert asked == {
        "hint",  # the end of a machine's secret, by which its owner knows it
        "token_type_hint",  # RFC 7662
    }
