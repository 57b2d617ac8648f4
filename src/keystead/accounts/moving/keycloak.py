"""Keycloak: a realm's export, as one file or as the folder that `kc export --dir` writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from keystead.accounts.moving.fields import (
    Flag,
    Moment,
    address,
    flag,
    identifier,
    moment,
    name,
    no_hash,
    provenance,
    usable_hash,
    uuid,
)
from keystead.accounts.moving.records import Record, load_document, unreadable_file
from keystead.accounts.moving.types import BadRow, Format, IncomingUser, Reading

EXPECTED = "an export of Keycloak, an object with `realm` and the list `users` (the console exports none)"
_PBKDF2 = ("pbkdf2-sha256", "pbkdf2-sha512")
_ARGON2_VERSIONS = {"1.0": 16, "1.3": 19}


class Realm(msgspec.Struct):
    realm: str | None = None
    users: list[msgspec.Raw] | None = None


class Credential(msgspec.Struct, rename="camel"):
    type: str | None = None
    secret_data: str | None = None
    credential_data: str | None = None
    value: str | None = None


class SecretData(msgspec.Struct):
    value: str
    salt: str = ""


class CredentialData(msgspec.Struct, rename="camel"):
    algorithm: str
    hash_iterations: int = 0
    additional_parameters: dict[str, list[str]] | None = None

    def first(self, parameter: str) -> str:
        values = (self.additional_parameters or {}).get(parameter)
        return values[0] if values else ""


class Row(msgspec.Struct, rename="camel"):
    id: str | None = None
    username: str | None = None
    email: str | None = None
    email_verified: Flag = False
    enabled: Flag = True
    first_name: str | None = None
    last_name: str | None = None
    created_timestamp: Moment = None
    service_account_client_id: str | None = None
    credentials: list[Credential] = []
    attributes: dict[str, Any] | None = None
    realm_roles: list[str] | None = None
    client_roles: dict[str, Any] | None = None
    groups: list[str] | None = None


_SECRET_DATA = msgspec.json.Decoder(SecretData)
_CREDENTIAL_DATA = msgspec.json.Decoder(CredentialData)


def records(path: Path) -> Iterator[Record]:
    """Raises InvalidInput."""
    found = [(file, _load(file)) for file in (_require_files(path) if path.is_dir() else [path])]
    if len({realm.realm for _, realm in found}) > 1:
        raise unreadable_file(
            "The folder holds several realms. Name the file of one, or move the others away."
        )
    if all(realm.users is None for _, realm in found):
        raise unreadable_file(f"There are no users in it; expected is {EXPECTED}.")
    users = (user for _, realm in found for user in realm.users or ())
    yield from enumerate(users, 1)


def to_user(row: Row, reading: Reading) -> IncomingUser:
    """Raises BadRow."""
    if row.service_account_client_id:
        raise BadRow("it is the account of a client, not of a person")
    source_id = identifier(row.id or row.username)
    user_id = uuid(source_id)
    return IncomingUser(
        source_id=source_id,
        id=user_id,
        email=address(row.email),
        email_verified=flag(row.email_verified, "emailVerified"),
        full_name=name(row.first_name, row.last_name),
        password_hash=_hash(row, reading),
        is_disabled=not flag(row.enabled, "enabled"),
        created_at=moment(row.created_timestamp, "createdTimestamp"),
        updated_at=None,
        preferences={},
        app_metadata=provenance(
            Format.KEYCLOAK,
            source_id,
            user_id,
            username=row.username if row.username != row.email else None,
            attributes=row.attributes,
            realm_roles=row.realm_roles,
            client_roles=row.client_roles,
            groups=row.groups,
        ),
        roles=(),
    )


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that hold users, or may."""
    files = [file for pattern in ("*-realm.json", "*-users-*.json") for file in sorted(folder.glob(pattern))]
    return [file for file in files if "-federated-users-" not in file.name]


def _require_files(folder: Path) -> list[Path]:
    files = files_of(folder)
    if not files:
        raise unreadable_file("The folder holds no …-realm.json and no …-users-0.json of Keycloak.")
    return files


def _load(file: Path) -> Realm:
    loaded: Realm | list[Realm] = load_document(file, Realm | list[Realm], expected=EXPECTED)  # type: ignore[arg-type]
    if isinstance(loaded, Realm):
        return loaded
    with_users = [realm for realm in loaded if realm.users]
    if len(with_users) > 1:
        raise unreadable_file("The file holds several realms. Export one with `kc export --realm`.")
    return with_users[0] if with_users else Realm()


def _hash(row: Row, reading: Reading) -> str | None:
    credential = next((one for one in row.credentials if one.type == "password"), None)
    if credential is None:
        return None
    if not credential.secret_data or not credential.credential_data:
        return no_hash("its password is not hashed", reading)
    try:
        secret = _SECRET_DATA.decode(credential.secret_data)
        data = _CREDENTIAL_DATA.decode(credential.credential_data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return no_hash("its credential cannot be read", reading)
    if data.algorithm == "pbkdf2":
        return no_hash("its password is hashed with SHA-1, which is too quick to guess", reading)
    return usable_hash(_stored(secret, data), reading)


def _stored(secret: SecretData, data: CredentialData) -> str:
    value, salt = secret.value.rstrip("="), secret.salt.rstrip("=")
    if data.algorithm in _PBKDF2:
        return f"${data.algorithm}$i={data.hash_iterations}${salt}${value}"
    if data.algorithm == "argon2":
        version = _ARGON2_VERSIONS.get(data.first("version"), 0)
        cost = f"m={data.first('memory')},t={data.hash_iterations},p={data.first('parallelism')}"
        return f"$argon2{data.first('type')}$v={version}${cost}${salt}${value}"
    return secret.value  # of an extension, such as those for bcrypt, which keep the usual string
