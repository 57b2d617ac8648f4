"""Keycloak. Its hashes are made with hashlib the way its Java makes them."""

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from argon2.low_level import Type, hash_secret_raw

from keystead.accounts.moving import Format, IncomingUser, Unreadable, read
from keystead.kernel.errors import InvalidInput
from keystead.users.foreign_hashes import recognise, verify
from keystead.users.passwords import Argon2Cost, Hasher
from tests.accounts.moving.conftest import NOW

SALT = b"0123456789abcdef"
ID = "f7a3c5d0-3b0f-4a63-9d4b-6f1f6f6a0c11"


def b64(data):
    return base64.b64encode(data).decode()


def credential(algorithm, iterations, value, **parameters):
    return {
        "id": "c1",
        "type": "password",
        "createdDate": 1600000000000,
        "secretData": json.dumps({"value": value, "salt": b64(SALT), "additionalParameters": {}}),
        "credentialData": json.dumps(
            {
                "hashIterations": iterations,
                "algorithm": algorithm,
                "additionalParameters": {name: [text] for name, text in parameters.items()},
            }
        ),
    }


def pbkdf2(digest, iterations=1000):
    return credential(
        f"pbkdf2-{digest}", iterations, b64(hashlib.pbkdf2_hmac(digest, b"password", SALT, iterations, 64))
    )


def argon2(kind="id", version="1.3"):
    of_type, of_version = {"id": Type.ID, "i": Type.I, "d": Type.D}[kind], {"1.3": 19, "1.0": 16}[version]
    raw = hash_secret_raw(b"password", SALT, 2, 64, 1, 32, of_type, version=of_version)
    return credential(
        "argon2", 2, b64(raw), hashLength="32", memory="64", type=kind, version=version, parallelism="1"
    )


def user(**changes):
    return {
        "id": ID,
        "createdTimestamp": 1600000000123,
        "username": "jane",
        "enabled": True,
        "totp": False,
        "emailVerified": True,
        "firstName": "Jane",
        "lastName": "Doe",
        "email": "jane@example.com",
        "credentials": [{"type": "otp", "secretData": "{}"}, pbkdf2("sha512")],
        "disableableCredentialTypes": [],
        "requiredActions": [],
        "realmRoles": ["admin"],
        "clientRoles": {"shop": ["owner"]},
        "groups": ["/staff"],
        "attributes": {"phone": ["123"]},
        "notBefore": 0,
        **changes,
    }


def realm(*users, name="shop"):
    return {"id": "r", "realm": name, "enabled": True, "users": list(users), "clients": []}


def test_a_user_of_a_realm_is_read_with_all_that_is_known(read_one):
    read = read_one(realm(user()), Format.KEYCLOAK)
    assert isinstance(read, IncomingUser)
    assert read.password_hash
    assert read.created_at
    assert (read.source_id, read.id, read.email, read.email_verified) == (
        ID,
        UUID(ID),
        "jane@example.com",
        True,
    )
    assert (read.full_name, read.is_disabled, read.roles, read.preferences) == ("Jane Doe", False, (), {})
    assert read.created_at.isoformat() == "2020-09-13T12:26:40.123000+00:00"
    assert verify(read.password_hash, "password")


def test_what_a_user_may_do_there_gives_no_role_here(read_one):
    read = read_one(realm(user()), Format.KEYCLOAK)
    assert read.roles == ()
    assert read.app_metadata == {
        "imported_from": {
            "system": "keycloak",
            "username": "jane",
            "attributes": {"phone": ["123"]},
            "realm_roles": ["admin"],
            "client_roles": {"shop": ["owner"]},
            "groups": ["/staff"],
        }
    }


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_the_pbkdf2_of_keycloak_matches_its_password(digest, read_one):
    read = read_one(realm(user(credentials=[pbkdf2(digest, 27500)])), Format.KEYCLOAK)
    assert read.password_hash.startswith(f"$pbkdf2-{digest}$i=27500$")
    assert verify(read.password_hash, "password")
    assert not verify(read.password_hash, "Password")


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "version"), [("id", "1.3"), ("i", "1.3"), ("id", "1.0")])
async def test_the_argon2_of_keycloak_matches_its_password(kind, version, read_one):
    read = read_one(realm(user(credentials=[argon2(kind, version)])), Format.KEYCLOAK)
    assert recognise(read.password_hash) == read.password_hash
    hasher = Hasher(Argon2Cost(8, 1, 1), threads=1, longest_wait=timedelta(seconds=60))
    assert await hasher.verify(read.password_hash, "password")
    assert not await hasher.verify(read.password_hash, "Password")
    hasher.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"credentials": [credential("pbkdf2", 1000, "AAAA")]}, "SHA-1"),
        ({"credentials": [argon2("d")]}, "Argon2d"),
        ({"credentials": [credential("pbkdf2-sha256", 99_000_000, b64(bytes(64)))]}, "too much"),
        ({"credentials": [credential("md5-crypt", 1, "$1$salt$abc")]}, "MD5"),
        ({"credentials": [{"type": "password", "value": "secret in plain"}]}, "not hashed"),
        ({"credentials": [{"type": "password", "secretData": "{", "credentialData": "{"}]}, "cannot be read"),
        ({"email": None}, "no e-mail address"),
        ({"serviceAccountClientId": "shop", "email": None}, "client"),
        ({"enabled": "maybe"}, "enabled"),
        ({"createdTimestamp": "yesterday"}, "createdTimestamp"),
        ({"email": 7}, "$.email"),
    ],
)
def test_a_bad_user_is_named_with_the_reason_and_the_others_are_read(changes, reason, read_all):
    bad, good = read_all(realm(user(**changes), user()), Format.KEYCLOAK)
    assert isinstance(bad, Unreadable)
    assert (bad.line, bad.source_id) == (1, ID)
    assert reason in bad.reason
    assert "secret in plain" not in bad.reason
    assert isinstance(good, IncomingUser)


def test_a_user_with_an_unusable_hash_can_be_moved_without_it(read_one):
    row = user(credentials=[credential("pbkdf2", 1000, "AAAA")])
    assert read_one(realm(row), Format.KEYCLOAK, drop_unusable_hashes=True).password_hash is None


def test_a_user_of_another_way_to_sign_in_has_no_password(read_one):
    assert read_one(realm(user(credentials=[])), Format.KEYCLOAK).password_hash is None


def test_a_disabled_user_stays_disabled(read_one):
    assert read_one(realm(user(enabled=False)), Format.KEYCLOAK).is_disabled


def test_the_files_of_a_folder_are_read_one_after_the_other(tmp_path):
    (tmp_path / "shop-realm.json").write_text(json.dumps({"realm": "shop", "enabled": True}))
    (tmp_path / "shop-users-0.json").write_text(json.dumps(realm(user(), user())))
    (tmp_path / "shop-users-1.json").write_text(json.dumps(realm(user(email="last@example.com"))))
    (tmp_path / "shop-federated-users-0.json").write_text("no matter")
    users: list[Any] = list(read(tmp_path, Format.KEYCLOAK, now=NOW))
    assert [one.email for one in users] == ["jane@example.com", "jane@example.com", "last@example.com"]


def test_a_folder_of_several_realms_is_refused(tmp_path):
    (tmp_path / "shop-realm.json").write_text(json.dumps(realm(user())))
    (tmp_path / "master-realm.json").write_text(json.dumps(realm(user(), name="master")))
    with pytest.raises(InvalidInput, match="fields") as refused:
        read(tmp_path, Format.KEYCLOAK, now=NOW)
    assert "several realms" in refused.value.errors[0].message


def test_of_a_file_of_several_realms_the_only_one_with_users_is_read(read_one):
    assert read_one([{"realm": "master"}, realm(user())], Format.KEYCLOAK).email == "jane@example.com"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"realm": "shop", "clients": []}, "no users"),
        ([realm(user()), realm(user(), name="b")], "several realms"),
        ("no JSON", "export of Keycloak"),
        ('{"users": 7}', "export of Keycloak"),
        ("", "empty"),
    ],
)
def test_a_file_that_is_no_export_is_refused_with_what_to_do(content, message, read_all):
    with pytest.raises(InvalidInput) as refused:
        read_all(content, Format.KEYCLOAK)
    assert message in refused.value.errors[0].message
