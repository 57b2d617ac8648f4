"""Password hashes of other systems: the right password matches, no other does, and none may ask for too much work.

The hashes come from the systems' own libraries. Keycloak is Java, so its hashes are made with hashlib, the way its
Pbkdf2PasswordHashProvider makes them (64 bytes, whichever digest); those of better-auth and Firebase were made once
with their packages, see foreign/make_hashes.mjs.
"""

import base64
import hashlib
import json
import unicodedata
from datetime import timedelta
from pathlib import Path
from threading import current_thread
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from django.conf import settings
from hypothesis import given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from keystead.kernel.errors import InvalidInput
from keystead.users import foreign_hashes
from keystead.users.foreign_hashes import FirebaseScrypt, is_foreign, recognise, verify
from keystead.users.passwords import Argon2Cost, Hasher

if not settings.configured:
    settings.configure()

from django.contrib.auth import hashers as django

MADE = json.loads((Path(__file__).parent / "foreign" / "hashes.json").read_text("utf-8"))
PASSWORDS = ["correct horse battery staple", "pässwörd für Ångström", "🔑🔑🔑🔑", "tr41ling space "]
WRONG = ["", "correct horse battery", "Correct horse battery staple", "correct horse battery staple "]
PHC_SALT, PHC_HASH = "c2FsdHNhbHQ", "3Z0oBMwJ6Tn8cI0K6jZ4YQ"


def b64(data, *, padded=False):
    text = base64.b64encode(data).decode()
    return text if padded else text.rstrip("=")


def keycloak(password, digest, iterations=1000, salt=b"0123456789abcdef"):
    key = hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations, 64)
    return f"$pbkdf2-{digest}$i={iterations}${b64(salt)}${b64(key)}"


def phc_scrypt(password, *, n=1024, r=8, p=1, salt=b"salt"):
    key = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=32)
    return f"$scrypt$ln={n.bit_length() - 1},r={r},p={p}${b64(salt)}${b64(key)}"


MAKERS: dict[str, Any] = {
    "bcrypt 2b": lambda password: bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode(),
    "bcrypt 2a": lambda password: bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, b"2a")).decode(),
    "bcrypt 2y": lambda password: MAKERS["bcrypt 2b"](password).replace("$2b$", "$2y$"),
    "pwdlib bcrypt": lambda password: BcryptHasher(rounds=4).hash(password),
    "Django PBKDF2": lambda password: django.PBKDF2PasswordHasher().encode(password, "saltsaltsalt", 1000),
    "Django scrypt": lambda password: django.ScryptPasswordHasher().encode(password, "saltsalt", n=1024),
    "Django bcrypt": lambda password: django.BCryptPasswordHasher().encode(password, bcrypt.gensalt(4)),
    "Django bcrypt_sha256": lambda password: django.BCryptSHA256PasswordHasher().encode(
        password, bcrypt.gensalt(4)
    ),
    "Keycloak pbkdf2-sha256": lambda password: keycloak(password, "sha256"),
    "Keycloak pbkdf2-sha512": lambda password: keycloak(password, "sha512"),
    "PHC scrypt": phc_scrypt,
}
each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def refusal(text):
    """The code and the message of what `recognise` says to it."""
    with pytest.raises(InvalidInput) as refused:
        recognise(text)
    (error,) = refused.value.errors
    assert error.pointer == "/password_hash"
    return error.code, error.message


@each_maker
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_hash_made_elsewhere_matches_its_password_and_no_other(make, password):
    stored = recognise(make(password))
    assert is_foreign(stored)
    assert verify(stored, password)
    assert not any(
        verify(stored, wrong) for wrong in [*WRONG, password + "x", password[:-1]] if wrong != password
    )


@each_maker
def test_what_is_stored_is_recognised_as_itself(make):
    stored = recognise(make("password"))
    assert recognise(stored) == stored


def test_the_default_costs_of_django_are_taken():
    for hasher in (
        django.PBKDF2PasswordHasher(),
        django.ScryptPasswordHasher(),
        django.BCryptSHA256PasswordHasher(),
    ):
        stored = recognise(hasher.encode("password", hasher.salt()))
        assert verify(stored, "password")
        assert not verify(stored, "Password")


@pytest.mark.parametrize("made", MADE["better_auth"], ids=range(4))
def test_a_hash_of_better_auth_matches_in_each_compatible_spelling(made):
    stored = recognise(made["hash"])
    assert stored.startswith("$better-auth-scrypt$ln=14,r=16,p=1$")
    assert recognise(stored) == stored
    for form in ("NFC", "NFD", "NFKC"):
        assert verify(stored, unicodedata.normalize(form, made["password"]))
    assert not verify(stored, made["password"] + "x")


@pytest.mark.parametrize("made", MADE["firebase"]["users"], ids=range(4))
def test_a_hash_of_firebase_matches_and_holds_all_of_its_parameters(made):
    asked = MADE["firebase"]["parameters"]
    project = FirebaseScrypt(asked["signer"], asked["saltSeparator"], asked["rounds"], asked["memCost"])
    stored = recognise(project.stored(salt=made["salt"], password_hash=made["hash"]))
    assert stored.startswith("$firebase-scrypt$ln=14,r=8,ss=Bw,sk=")
    assert recognise(stored) == stored
    assert verify(stored, made["password"])
    assert not verify(stored, made["password"] + "x")


def test_a_hash_of_firebase_that_supabase_kept_is_the_same_hash():
    asked, made = MADE["firebase"]["parameters"], MADE["firebase"]["users"][0]
    project = FirebaseScrypt(asked["signer"], asked["saltSeparator"], asked["rounds"], asked["memCost"])
    kept = f"$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={asked['signer']}${made['salt']}${made['hash']}"
    assert recognise(kept) == recognise(project.stored(salt=made["salt"], password_hash=made["hash"]))


def test_the_signer_key_of_firebase_is_not_shown():
    assert "key" not in repr(FirebaseScrypt("a signer key", "Bw==", 8, 14)).replace("signer_key", "")


@pytest.mark.parametrize(
    "hasher", [PasswordHasher(1, 8, 1), Argon2Hasher(1, 64, 1)], ids=["argon2-cffi", "pwdlib"]
)
def test_argon2_is_recognised_and_left_to_the_hasher(hasher):
    stored = recognise(hasher.hash("password"))
    assert stored.startswith("$argon2id$")
    assert not is_foreign(stored)
    assert not verify(stored, "password")


def test_the_prefix_of_django_is_dropped_where_it_only_wraps():
    assert recognise(django.Argon2PasswordHasher().encode("password", "saltsalt")).startswith("$argon2id$")
    assert recognise(MAKERS["Django bcrypt"]("password")).startswith("$2b$04$")


@pytest.mark.parametrize("length", [72, 73, 100])
def test_cve_class_34_bcrypt_never_takes_the_beginning_of_a_long_password_for_the_whole(length):
    stored = recognise(bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode())
    assert verify(stored, "x" * length) == (length == 72)


def test_a_long_password_behind_bcrypt_sha256_is_read_to_its_end():
    stored = recognise(MAKERS["Django bcrypt_sha256"]("x" * 100 + "a"))
    assert verify(stored, "x" * 100 + "a")
    assert not verify(stored, "x" * 100 + "b")


@each_maker
def test_a_password_with_a_null_matches_nothing(make):
    # bcrypt reads "a", "a\0a", "a\0a\0a"… as one password, and HMAC "a" and "a\0".
    assert not any(verify(recognise(make("a")), password) for password in ("a\0", "a\0a", "\0a"))


@each_maker
def test_a_password_is_known_as_received_and_composed(make):
    composed = "caf\u00e9 cr\u00e8me"
    decomposed = unicodedata.normalize("NFD", composed)
    assert verify(recognise(make(composed)), decomposed)
    assert verify(recognise(make(decomposed)), decomposed)


COSTLY = [
    f"$scrypt$ln=22,r=8,p=1${PHC_SALT}${PHC_HASH}",  # 4 GiB
    f"$scrypt$ln=99,r=8,p=1${PHC_SALT}${PHC_HASH}",
    f"$scrypt$ln=14,r=8,p=17${PHC_SALT}${PHC_HASH}",
    f"$scrypt$ln=1,r=1048576,p=16${PHC_SALT}${PHC_HASH}",  # 2 GiB beside N
    f"$scrypt$ln=14,r=9999999999,p=1${PHC_SALT}${PHC_HASH}",
    f"scrypt$4194304$salt$8$1${PHC_HASH}",
    f"$better-auth-scrypt$ln=22,r=16,p=1${'a' * 32}${'b' * 128}",
    f"$firebase-scrypt$ln=22,r=8,ss=Bw,sk={PHC_HASH}${PHC_SALT}${PHC_HASH}",
    f"$pbkdf2-sha512$i=2500001${PHC_SALT}${PHC_HASH}",
    f"pbkdf2_sha256$9999999999$salt${PHC_HASH}",
    f"$2b$15${'a' * 53}",
    f"bcrypt_sha256$$2b$31${'a' * 53}",
    f"$argon2id$v=19$m=4194304,t=1,p=1${PHC_SALT}${PHC_HASH}",
    f"$argon2id$v=19$m=8,t=11,p=1${PHC_SALT}${PHC_HASH}",
    f"$argon2i$v=19$m=8192,t=1,p=9${PHC_SALT}${PHC_HASH}",
]


@pytest.mark.parametrize("text", COSTLY)
def test_a_hash_that_asks_for_too_much_is_refused_and_never_worked_on(text, monkeypatch):
    for name in ("scrypt", "pbkdf2_hmac"):
        monkeypatch.setattr(hashlib, name, lambda *_, **__: pytest.fail("this was worked on"))
    monkeypatch.setattr(bcrypt, "hashpw", lambda *_: pytest.fail("this was worked on"))
    assert refusal(text)[0] == "password_hash_too_costly"
    assert not verify(text, "password")


def test_the_dearest_scrypt_within_the_ceilings_is_worked_on():
    key = hashlib.scrypt(b"password", salt=b"salt", n=2**18, r=8, p=1, maxmem=2**29, dklen=32)
    assert verify(recognise(f"$scrypt$ln=18,r=8,p=1${b64(b'salt')}${b64(key)}"), "password")


MALFORMED = [
    "",
    "!",
    "!unusable",
    "plain text",
    "$2b$12$short",
    "$2x$12$" + "a" * 53,
    "$2b$03$" + "a" * 53,
    "$2b$12$" + "a" * 53 + "\n",
    "$2b$12$" + "a" * 54,
    f"$argon2d$v=19$m=8,t=1,p=1${PHC_SALT}${PHC_HASH}",
    f"$argon2id$v=19$m=8,t=1,p=1${PHC_SALT}",
    f"$argon2id$v=19$m=8,t=1,p=2${PHC_SALT}${PHC_HASH}",
    f"$argon2id$v=19$m=0,t=1,p=1${PHC_SALT}${PHC_HASH}",
    f"$scrypt$ln=0,r=8,p=1${PHC_SALT}${PHC_HASH}",
    f"$scrypt$ln=16,r=1,p=1${PHC_SALT}${PHC_HASH}",
    f"$scrypt$ln=14,r=8,p=0${PHC_SALT}${PHC_HASH}",
    f"scrypt$16383$salt$8$1${PHC_HASH}",
    f"scrypt$salt$16384$8$1${PHC_HASH}",
    f"$pbkdf2-sha256$i=0${PHC_SALT}${PHC_HASH}",
    f"$pbkdf2-sha256$29000${PHC_SALT}${PHC_HASH}",  # passlib's
    f"$pbkdf2-sha256$i=1000,l=17${PHC_SALT}${PHC_HASH}",
    f"$pbkdf2-sha256$i=1000${PHC_SALT}$AAAA",  # a hash of three bytes is guessed by chance
    f"$pbkdf2-sha256$i=1000${PHC_SALT}${'A' * 24}A",
    f"$pbkdf2-sha256$i=1000${'A' * 400}${PHC_HASH}",
    f"$pbkdf2-sha256$i=1000${PHC_SALT}${'A' * 1000}",
    f"$pbkdf2-sha384$i=1000${PHC_SALT}${PHC_HASH}",
    f"pbkdf2_sha256$1000$${PHC_HASH}",
    f"$firebase-scrypt$ln=14,r=8,ss=Bw,sk=AAAA${PHC_SALT}$AAAA",
    f"$firebase-scrypt$ln=14,r=8,ss=Bw,sk={PHC_HASH}${PHC_SALT}${'A' * 43}",
    "a" * 32 + ":" + "b" * 127,
    "a" * 64,
    "A" * 2000,
]


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_no_known_hash_is_refused_and_matches_nothing(text):
    assert refusal(text)[0] == "password_hash_unsupported"
    assert not is_foreign(text)
    assert not any(verify(text, password) for password in ("", "password", "!"))


@pytest.mark.parametrize(
    "text",
    [
        "md5$salt$" + "a" * 32,
        "sha1$salt$" + "a" * 40,
        "pbkdf2_sha1$1000$salt$AAAA",
        "$1$salt$abc",
        "$apr1$salt$abc",
        "$P$Babcdefghij",
        "$pbkdf2$1000$salt$abc",
        "{SSHA}AAAA",
        "d41d8cd98f00b204e9800998ecf8427e",
        "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
    ],
)
def test_md5_and_sha1_are_refused_by_name(text):
    code, message = refusal(text)
    assert code == "password_hash_unsupported"
    assert "MD5 and SHA-1" in message


def test_a_refusal_holds_nothing_of_the_hash():
    for text in [*COSTLY, *MALFORMED]:
        assert len(text) < 12 or text[-12:] not in refusal(text)[1]


FRAGMENTS = st.sampled_from(
    [
        *(
            "$",
            "$2b$",
            "$2y$",
            "04$",
            "bcrypt_sha256$",
            "$argon2id$",
            "v=19$",
            "m=8,t=1,p=1",
            "$scrypt$",
            "scrypt$",
        ),
        *(
            "16$",
            "1$",
            "ln=4,r=1,p=1",
            "$pbkdf2-sha256$",
            "pbkdf2_sha256$",
            "i=1",
            "$better-auth-scrypt$",
            "a" * 32,
        ),
        *("$firebase-scrypt$", ",ss=,sk=", "A" * 22, "AAA", "=", ":", "!", "\ud800", "\0", "é"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(FRAGMENTS, max_size=8).map("".join),
    st.sampled_from([*COSTLY, *MALFORMED, *(make("x") for make in MAKERS.values())]).flatmap(
        lambda text: st.builds(
            lambda at, put: text[:at] + put + text[at + 1 :], st.integers(0, 100), st.text(max_size=2)
        )
    ),
)


@fuzzing(max_examples=300, deadline=None)
@given(TEXTS, st.text(alphabet=st.characters(), max_size=100))
def test_any_text_is_recognised_or_refused_and_verifying_it_never_raises(text, password):
    verify(text, password)
    is_foreign(text)
    try:
        stored = recognise(text)
    except InvalidInput:
        return
    assert len(stored) <= 1024
    assert recognise(stored) == stored


@pytest.fixture
def hasher():
    made = Hasher(
        Argon2Cost(memory_kib=8, iterations=1, parallelism=1), threads=2, longest_wait=timedelta(seconds=60)
    )
    yield made
    made.close()


@pytest.mark.anyio
@each_maker
async def test_the_hasher_verifies_a_foreign_hash_and_wants_it_renewed(make, hasher):
    stored = recognise(make("password"))
    assert await hasher.verify(stored, "password")
    assert not await hasher.verify(stored, "passwort")
    assert hasher.is_outdated(stored)
    assert not hasher.is_outdated(await hasher.hash("password"))


@pytest.mark.anyio
async def test_the_hasher_verifies_argon2_of_django(hasher):
    assert await hasher.verify(
        recognise(django.Argon2PasswordHasher().encode("password", "saltsalt")), "password"
    )


@pytest.mark.anyio
@pytest.mark.parametrize("stored", ["!", "!reset needed", "plain text", *COSTLY])
async def test_an_account_without_a_usable_password_costs_the_decoy_and_never_matches(
    stored, hasher, monkeypatch
):
    checked = []
    matches = hasher._matches

    def noted(hashed, word):
        checked.append(hashed)
        return matches(hashed, word)

    monkeypatch.setattr(hasher, "_matches", noted)
    for password in ("", "!", "password", "no password of anybody"):
        assert not await hasher.verify(stored, password)
    assert checked == [hasher.decoy] * 4


@pytest.mark.anyio
async def test_a_foreign_hash_is_verified_in_the_threads_of_the_hasher(hasher, monkeypatch):
    threads = []

    def verify_elsewhere(*_):
        threads.append(current_thread().name)
        return True

    monkeypatch.setattr(foreign_hashes, "verify", verify_elsewhere)
    assert await hasher.verify(recognise(MAKERS["bcrypt 2b"]("password")), "password")
    assert threads[0].startswith("argon2")
