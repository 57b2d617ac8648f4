"""Supabase, Auth0, Firebase, Django, better-auth, fastapi-users and Keystead: what a user becomes."""

import base64
import csv
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import bcrypt
import pytest
from argon2 import PasswordHasher
from django.conf import settings
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from keystead.accounts.moving import Format, IncomingUser, Unreadable
from keystead.kernel.errors import InvalidInput
from keystead.users.foreign_hashes import FirebaseScrypt, verify

if not settings.configured:
    settings.configure()

from django.contrib.auth import hashers as django_hashers

MADE = json.loads((Path(__file__).parents[2] / "users" / "foreign" / "hashes.json").read_text("utf-8"))
BCRYPT = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
ARGON2 = PasswordHasher(1, 8, 1).hash("password")
ID = "f7a3c5d0-3b0f-4a63-9d4b-6f1f6f6a0c11"


def as_csv(*rows):
    """The way `\\copy … CSV HEADER` of PostgreSQL writes them."""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


SUPABASE = {
    "instance_id": "00000000-0000-0000-0000-000000000000",
    "id": ID,
    "aud": "authenticated",
    "role": "authenticated",
    "email": "jane@example.com",
    "encrypted_password": BCRYPT,
    "email_confirmed_at": "2023-01-02 03:04:05.12345+00",
    "banned_until": None,
    "deleted_at": None,
    "created_at": "2023-01-01 03:04:05.678+00",
    "updated_at": "2023-01-03 03:04:05+00",
    "raw_app_meta_data": {"provider": "email", "plan": "gold"},
    "raw_user_meta_data": {"full_name": "Jane Doe", "theme": "dark"},
    "is_super_admin": None,
}


def supabase_csv(**changes):
    row = {**SUPABASE, **changes}
    return as_csv(
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
    )


def test_a_user_of_supabase_is_the_same_from_csv_and_from_json(read_one, lines):
    read = read_one(supabase_csv(), Format.SUPABASE)
    assert read == read_one(lines(SUPABASE), Format.SUPABASE)
    assert read == read_one([SUPABASE], Format.SUPABASE)
    assert read == IncomingUser(
        source_id=ID,
        id=UUID(ID),
        email="jane@example.com",
        email_verified=True,
        full_name="Jane Doe",
        password_hash=BCRYPT,
        is_disabled=False,
        created_at=datetime(2023, 1, 1, 3, 4, 5, 678000, UTC),
        updated_at=datetime(2023, 1, 3, 3, 4, 5, 0, UTC),
        preferences={"full_name": "Jane Doe", "theme": "dark"},
        app_metadata={"provider": "email", "plan": "gold"},
        roles=(),
    )


def test_what_people_wrote_of_themselves_in_supabase_does_not_become_metadata_that_is_trusted(read_one):
    read = read_one(supabase_csv(raw_user_meta_data={"role": "admin"}), Format.SUPABASE)
    assert "role" not in read.app_metadata
    assert read.roles == ()


@pytest.mark.parametrize(
    ("until", "is_disabled"),
    [("2125-01-01 00:00:00+00", True), ("2025-12-31 23:59:59+00", False), ("", False)],
)
def test_a_ban_of_supabase_holds_until_it_ends(until, is_disabled, read_one):
    assert read_one(supabase_csv(banned_until=until), Format.SUPABASE).is_disabled is is_disabled


def test_an_address_that_supabase_did_not_confirm_is_not_verified(read_one):
    assert not read_one(supabase_csv(email_confirmed_at=""), Format.SUPABASE).email_verified


def test_a_super_admin_of_supabase_is_only_remembered_as_one(read_one):
    read = read_one(supabase_csv(is_super_admin="t", role="service_role"), Format.SUPABASE)
    assert read.app_metadata["imported_from"] == {
        "system": "supabase",
        "role": "service_role",
        "is_super_admin": True,
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": ""}, "no e-mail address"),
        ({"deleted_at": "2024-01-01 00:00:00+00"}, "deleted"),
        ({"encrypted_password": "secret"}, "not supported"),
        ({"raw_app_meta_data": "[1]"}, "raw_app_meta_data"),
        ({"raw_user_meta_data": {"name": "a\0b"}}, "U+0000"),
        ({"created_at": "soon"}, "created_at"),
        ({"is_super_admin": "perhaps"}, "is_super_admin"),
    ],
)
def test_a_bad_row_of_supabase_says_why_and_whom_it_is_about(changes, reason, read_one):
    bad = read_one(supabase_csv(**changes), Format.SUPABASE)
    assert isinstance(bad, Unreadable)
    assert (bad.line, bad.source_id) == (2, ID)
    assert reason in bad.reason
    assert "secret" not in bad.reason


AUTH0_EXPORT = {
    "_id": {"$oid": "5dea9f9c82dd7c0e76e4ec93"},
    "email_verified": True,
    "email": "jane@example.com",
    "passwordHash": BCRYPT,
    "password_set_date": {"$date": "2019-12-06T18:36:12.412Z"},
    "tenant": "shop",
    "connection": "Username-Password-Authentication",
    "_tmp_is_unique": True,
    "created_at": {"$date": "2019-12-06T18:36:12.412Z"},
}


def test_a_user_of_auth0s_export_is_read(read_one, lines):
    read = read_one(lines(AUTH0_EXPORT), Format.AUTH0)
    assert (read.email, read.email_verified, read.password_hash) == ("jane@example.com", True, BCRYPT)
    assert read.created_at == datetime(2019, 12, 6, 18, 36, 12, 412000, UTC)
    assert read.id is None


def test_the_subject_of_auth0s_tokens_is_kept(read_one, lines):
    read = read_one(lines(AUTH0_EXPORT), Format.AUTH0)
    assert read.app_metadata["imported_from"] == {"system": "auth0", "id": "auth0|5dea9f9c82dd7c0e76e4ec93"}
    assert read_one(lines({**AUTH0_EXPORT, "alt_id": "euclid"}), Format.AUTH0).source_id == "auth0|euclid"


def test_the_address_of_auth0_may_stand_among_the_identifiers(read_one, lines):
    row = {name: value for name, value in AUTH0_EXPORT.items() if not name.startswith("email")}
    row["identifiers"] = [{"type": "email", "value": "jane@example.com", "verified": True}]
    read = read_one(lines(row), Format.AUTH0)
    assert (read.email, read.email_verified) == ("jane@example.com", True)


def auth0_import(algorithm, value, **more):
    custom = {"algorithm": algorithm, "hash": {"value": value, **more.pop("hash", {})}, **more}
    return [
        {
            "user_id": "auth0|7",
            "email": "jane@example.com",
            "blocked": True,
            "given_name": "Jane",
            "family_name": "Doe",
            "app_metadata": {"plan": "gold"},
            "user_metadata": {"theme": "dark"},
            "custom_password_hash": custom,
        }
    ]


def test_a_file_for_auth0s_import_is_read_with_its_metadata(read_one):
    read = read_one(auth0_import("bcrypt", BCRYPT), Format.AUTH0)
    assert (read.full_name, read.is_disabled, read.preferences) == ("Jane Doe", True, {"theme": "dark"})
    assert read.app_metadata == {"plan": "gold", "imported_from": {"system": "auth0", "id": "auth0|7"}}


def test_the_custom_hashes_of_auth0_match_their_password(read_one):
    salt = b"salt salt"
    pbkdf2 = hashlib.pbkdf2_hmac("sha512", b"password", salt, 1000, 20)
    scrypt = hashlib.scrypt(b"password", salt=salt, n=1024, r=8, p=1, dklen=32)
    bare = [base64.b64encode(part).decode().rstrip("=") for part in (salt, pbkdf2)]
    cost = {"keylen": 32, "cost": 1024, "blockSize": 8, "parallelization": 1}
    for content in (
        auth0_import("bcrypt", BCRYPT),
        auth0_import("pbkdf2", f"$pbkdf2-sha512$i=1000,l=20${bare[0]}${bare[1]}"),
        auth0_import("scrypt", scrypt.hex(), hash={"encoding": "hex"}, salt={"value": "salt salt"}, **cost),
        auth0_import(
            "scrypt",
            base64.b64encode(scrypt).decode(),
            hash={"encoding": "base64"},
            salt={"value": salt.hex(), "encoding": "hex"},
            **cost,
        ),
    ):
        assert verify(read_one(content, Format.AUTH0).password_hash, "password")
    assert read_one(auth0_import("argon2", ARGON2), Format.AUTH0).password_hash == ARGON2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (auth0_import("md5", "secret"), "none of"),
        (auth0_import("bcrypt", BCRYPT, salt={"value": "pepper"}), "before or after"),
        (auth0_import("bcrypt", BCRYPT, password={"encoding": "utf16le"}), "encoding"),
        (auth0_import("scrypt", "AAAA"), "no salt"),
        (auth0_import("scrypt", "é", salt={"value": "s"}), "decoded"),
        (auth0_import("scrypt", "AAAA", salt={"value": "s", "encoding": "latin1"}), "decoded"),
        (auth0_import("scrypt", "AAAA", salt={"value": "s"}, cost=1000), "power of two"),
        (auth0_import("pbkdf2", "$pbkdf2-sha1$i=1000$AAAA$secret"), "SHA-1"),
    ],
)
def test_a_custom_hash_that_does_not_map_is_named_or_dropped(content, reason, read_one):
    bad = read_one(content, Format.AUTH0)
    assert isinstance(bad, Unreadable)
    assert bad.source_id == "auth0|7"
    assert reason in bad.reason
    assert read_one(content, Format.AUTH0, drop_unusable_hashes=True).password_hash is None


PARAMETERS = MADE["firebase"]["parameters"]
PROJECT = FirebaseScrypt(
    PARAMETERS["signer"], PARAMETERS["saltSeparator"], PARAMETERS["rounds"], PARAMETERS["memCost"]
)


def firebase(**changes):
    made = MADE["firebase"]["users"][0]
    return {
        "users": [
            {
                "localId": "Xb3kqDkf3yZ0bZl1Vw0xk1Jc2f22",
                "email": "jane@example.com",
                "emailVerified": True,
                "passwordHash": made["hash"],
                "salt": made["salt"],
                "displayName": "Jane Doe",
                "lastSignedInAt": "1486324027000",
                "createdAt": "1486324027123",
                "disabled": True,
                "customAttributes": '{"admin": true}',
                "providerUserInfo": [],
                **changes,
            }
        ]
    }


def test_a_user_of_firebase_is_read_and_the_password_matches(read_one):
    read = read_one(firebase(), Format.FIREBASE, firebase=PROJECT)
    assert verify(read.password_hash, MADE["firebase"]["users"][0]["password"])
    assert (read.email, read.full_name, read.is_disabled) == ("jane@example.com", "Jane Doe", True)
    assert read.created_at == datetime(2017, 2, 5, 19, 47, 7, 123000, UTC)
    assert read.app_metadata == {
        "admin": True,
        "imported_from": {"system": "firebase", "id": "Xb3kqDkf3yZ0bZl1Vw0xk1Jc2f22"},
    }
    assert read.roles == ()


def test_passwords_of_firebase_ask_for_the_parameters_of_the_project(read_all, read_one):
    with pytest.raises(InvalidInput) as refused:
        read_all(firebase(), Format.FIREBASE)
    assert "hash parameters" in refused.value.errors[0].message
    assert read_one(firebase(), Format.FIREBASE, drop_unusable_hashes=True).password_hash is None
    without = {"users": [{"localId": "a", "email": "a@example.com"}]}
    assert read_one(without, Format.FIREBASE).password_hash is None


def test_a_hash_of_firebase_without_salt_is_unreadable(read_one):
    assert isinstance(read_one(firebase(salt=None), Format.FIREBASE, firebase=PROJECT), Unreadable)


def django(model="auth.user", pk=1, **changes):
    fields = {
        "password": django_hashers.PBKDF2PasswordHasher().encode("password", "saltsalt", 1000),
        "last_login": None,
        "is_superuser": True,
        "username": "jane",
        "first_name": "Jane",
        "last_name": "Doe",
        "email": "jane@example.com",
        "is_staff": True,
        "is_active": True,
        "date_joined": "2023-01-01T00:00:00Z",
        "groups": [["editors"]],
        "user_permissions": [],
        **changes,
    }
    return {"model": model, "pk": pk, "fields": fields}


def test_a_user_of_django_is_the_same_from_json_and_from_json_lines(read_one, lines):
    permission = {"model": "auth.permission", "pk": 1, "fields": {"name": "Can add", "codename": "add"}}
    read = read_one([permission, django()], Format.DJANGO)
    assert read == read_one(lines(permission, django()), Format.DJANGO)
    assert verify(read.password_hash, "password")
    assert (read.source_id, read.id, read.full_name, read.email_verified) == ("1", None, "Jane Doe", False)
    assert read.app_metadata == {
        "imported_from": {
            "system": "django",
            "id": "1",
            "username": "jane",
            "is_staff": True,
            "is_superuser": True,
            "groups": [["editors"]],
        }
    }
    assert read.roles == ()


@pytest.mark.parametrize("name", ["pbkdf2_sha256", "scrypt", "bcrypt_sha256", "argon2"])
def test_each_hasher_of_django_is_taken(name, read_one):
    stored = (
        django_hashers.make_password("password", hasher=name)
        if name != "scrypt"
        else (django_hashers.ScryptPasswordHasher().encode("password", "saltsalt", n=1024))
    )
    assert read_one([django(password=stored)], Format.DJANGO).password_hash


def test_an_unusable_password_of_django_is_none(read_one):
    assert (
        read_one([django(password=django_hashers.make_password(None))], Format.DJANGO).password_hash is None
    )


def test_a_user_model_of_ones_own_is_taken(read_one):
    read = read_one(
        [django(model="people.person", pk=ID, username=None, email="own@example.com")], Format.DJANGO
    )
    assert (read.id, read.email) == (UUID(ID), "own@example.com")
    by_name = django(model="people.person", pk=None, username="jane@example.com", email=None)
    read = read_one([{name: by_name[name] for name in ("model", "fields")}], Format.DJANGO)
    assert (read.source_id, read.email) == ("jane@example.com", "jane@example.com")


BETTER_AUTH = {
    "id": "q0ZVbq2mQ3y5J0vTn1mJxkW9sPzLr7aB",
    "name": "Jane Doe",
    "email": "jane@example.com",
    "emailVerified": True,
    "image": None,
    "createdAt": "2024-05-01T10:00:00.000Z",
    "updatedAt": 1714557600000,
    "role": "admin",
    "password": MADE["better_auth"][0]["hash"],
}


def test_a_user_of_better_auth_is_the_same_in_every_form(read_one, lines):
    read = read_one(lines(BETTER_AUTH), Format.BETTER_AUTH)
    snake = {"emailVerified": "email_verified", "createdAt": "created_at", "updatedAt": "updated_at"}
    user = {name: value for name, value in BETTER_AUTH.items() if name != "password"}
    account = {
        "id": "1",
        "userId": user["id"],
        "providerId": "credential",
        "password": BETTER_AUTH["password"],
    }
    social = {"id": "2", "user_id": user["id"], "provider_id": "github", "password": None}
    for content in (
        lines({snake.get(name, name): value for name, value in BETTER_AUTH.items()}),
        [BETTER_AUTH],
        as_csv({**BETTER_AUTH, "emailVerified": "t"}),
        {"user": [user], "account": [account, social]},
        json.dumps({"users": [{**user, "emailVerified": 1}], "accounts": [social, account]}, indent=2),
    ):
        assert read_one(content, Format.BETTER_AUTH) == read
    assert verify(read.password_hash, MADE["better_auth"][0]["password"])
    assert read.created_at == read.updated_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert (read.id, read.full_name, read.roles) == (None, "Jane Doe", ())
    assert read.app_metadata == {
        "imported_from": {"system": "better-auth", "id": BETTER_AUTH["id"], "role": "admin"}
    }


def test_a_user_of_better_auth_without_a_credential_has_no_password(read_one, lines):
    social = {"userId": BETTER_AUTH["id"], "providerId": "github", "password": BETTER_AUTH["password"]}
    assert read_one({"user": [BETTER_AUTH], "account": [social]}, Format.BETTER_AUTH).password_hash is None
    assert read_one(as_csv({**BETTER_AUTH, "password": ""}), Format.BETTER_AUTH).password_hash is None
    joined = lines({**BETTER_AUTH, "providerId": "github", "password": "x"})
    assert read_one(joined, Format.BETTER_AUTH).password_hash is None


@pytest.mark.parametrize(
    ("banned", "expires", "is_disabled"),
    [
        (True, None, True),
        (1, "2125-01-01T00:00:00Z", True),
        (True, "2025-01-01T00:00:00Z", False),
        (False, None, False),
        (None, None, False),
    ],
)
def test_a_ban_of_better_auth_holds_until_it_ends(banned, expires, is_disabled, read_one, lines):
    row = {**BETTER_AUTH, "banned": banned, "banExpires": expires}
    assert read_one(lines(row), Format.BETTER_AUTH).is_disabled is is_disabled


def test_an_object_without_users_is_no_file_of_better_auth(read_all):
    with pytest.raises(InvalidInput):
        read_all({"account": []}, Format.BETTER_AUTH)


FASTAPI_USERS = {
    "id": ID,
    "email": "jane@example.com",
    "hashed_password": PasswordHash((Argon2Hasher(1, 64, 1), BcryptHasher(4))).hash("password"),
    "is_active": False,
    "is_superuser": True,
    "is_verified": True,
}


@pytest.mark.parametrize("source_id", [ID, ID.replace("-", "")])
@pytest.mark.parametrize(("yes", "no"), [(True, False), (1, 0), ("t", "f"), ("true", "False")])
def test_a_user_of_fastapi_users_is_the_same_from_every_database(source_id, yes, no, read_one, lines):
    row = {**FASTAPI_USERS, "id": source_id, "is_active": no, "is_superuser": yes, "is_verified": yes}
    read = read_one(lines(row), Format.FASTAPI_USERS)
    assert read == read_one(as_csv(row), Format.FASTAPI_USERS)
    assert (read.id, read.is_disabled, read.email_verified) == (UUID(ID), True, True)
    assert read.app_metadata == {"imported_from": {"system": "fastapi-users", "is_superuser": True}}
    assert read.roles == ()


@pytest.mark.parametrize("hasher", [BcryptHasher(4), Argon2Hasher(1, 64, 1)], ids=["bcrypt", "argon2"])
def test_both_hashers_of_fastapi_users_are_taken(hasher, read_one, lines):
    hashed = hasher.hash("password")
    read = read_one(lines({**FASTAPI_USERS, "id": 7, "hashed_password": hashed}), Format.FASTAPI_USERS)
    assert read.password_hash == hashed
    assert read.app_metadata["imported_from"]["id"] == "7"


HEADER = {"format": "keystead-users", "version": 1}
KEYSTEAD = {
    "id": ID,
    "email": "jane@example.com",
    "email_verified": True,
    "full_name": "Jane Doe",
    "status": "disabled",
    "password_hash": ARGON2,
    "preferences": {"theme": "dark"},
    "app_metadata": {"plan": "gold"},
    "roles": ["user", "editor"],
    "created_at": "2024-05-01T10:00:00+00:00",
    "updated_at": "2024-05-02T10:00:00+00:00",
}


def test_a_user_of_keystead_is_read_as_it_was(read_one, lines):
    assert read_one(lines(HEADER, KEYSTEAD), Format.KEYSTEAD) == IncomingUser(
        source_id=ID,
        id=UUID(ID),
        email="jane@example.com",
        email_verified=True,
        full_name="Jane Doe",
        password_hash=ARGON2,
        is_disabled=True,
        created_at=datetime(2024, 5, 1, 10, tzinfo=UTC),
        updated_at=datetime(2024, 5, 2, 10, tzinfo=UTC),
        preferences={"theme": "dark"},
        app_metadata={"plan": "gold"},
        roles=("user", "editor"),
    )


def test_an_export_without_users_is_no_error(read_all, lines):
    assert read_all(lines(HEADER), Format.KEYSTEAD) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "7"},
        {"surplus": 1},
        {"roles": "admin"},
        {"status": "unknown"},
        {"email_verified": "true"},
        {"preferences": None},
        {"created_at": 7},
    ],
)
def test_a_row_of_keystead_has_exactly_its_members(changes, read_all, lines):
    bad, missing, good = read_all(
        lines(
            HEADER,
            {**KEYSTEAD, **changes},
            {name: value for name, value in KEYSTEAD.items() if name != "roles"},
            {**KEYSTEAD, "password_hash": "!"},
        ),
        Format.KEYSTEAD,
    )
    assert isinstance(bad, Unreadable)
    assert isinstance(missing, Unreadable)
    assert (bad.line, missing.line) == (2, 3)
    assert good.password_hash is None


@pytest.mark.parametrize(
    "header", [{**HEADER, "version": 2}, {**HEADER, "format": "x"}, {"format": 1, "version": ""}, KEYSTEAD]
)
def test_a_file_of_keystead_with_another_header_is_refused(header, read_all, lines):
    with pytest.raises(InvalidInput):
        read_all(lines(header, KEYSTEAD), Format.KEYSTEAD)
