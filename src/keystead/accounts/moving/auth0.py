"""Auth0: its export of users with password hashes, and the files that its bulk import takes."""

import base64
from collections.abc import Callable
from functools import partial
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
from keystead.accounts.moving.types import BadRow, Format, IncomingUser, Reading

_SELF_DESCRIBING = ("argon2", "bcrypt", "pbkdf2")
_DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": partial(base64.b64decode, validate=True),
    "utf8": str.encode,
}


class Encoded(msgspec.Struct):
    value: str
    encoding: str | None = None


class PasswordEncoding(msgspec.Struct):
    encoding: str | None = None


class CustomHash(msgspec.Struct, rename="camel"):
    algorithm: str
    hash: Encoded
    salt: Encoded | None = None
    password: PasswordEncoding | None = None
    cost: int = 16384
    block_size: int = 8
    parallelization: int = 1


class ObjectId(msgspec.Struct):
    oid: str = msgspec.field(name="$oid")


class Date(msgspec.Struct):
    date: Moment = msgspec.field(name="$date")


class Identifier(msgspec.Struct):
    type: str
    value: str | None = None
    verified: Flag = False


class Row(msgspec.Struct):
    user_id: str | None = None
    alt_id: str | None = None
    object_id: ObjectId | str | None = msgspec.field(name="_id", default=None)
    email: str | None = None
    email_verified: Flag = None
    identifiers: list[Identifier] = []
    exported_hash: str | None = msgspec.field(name="passwordHash", default=None)
    password_hash: str | None = None
    custom_password_hash: CustomHash | None = None
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    username: str | None = None
    blocked: Flag = False
    created_at: Date | Moment = None
    updated_at: Date | Moment = None
    app_metadata: dict[str, Any] | None = None
    user_metadata: dict[str, Any] | None = None


def to_user(row: Row, reading: Reading) -> IncomingUser:
    """Raises BadRow."""
    source_id = _id(row)
    user_id = uuid(source_id)
    email, is_verified = _email(row)
    return IncomingUser(
        source_id=source_id,
        id=user_id,
        email=address(email),
        email_verified=is_verified,
        # Auth0 puts the address where it was told no name.
        full_name=name(row.given_name, row.family_name) or (name(row.name) if row.name != email else None),
        password_hash=_hash(row, reading),
        is_disabled=flag(row.blocked, "blocked"),
        created_at=_moment(row.created_at, "created_at"),
        updated_at=_moment(row.updated_at, "updated_at"),
        preferences=row.user_metadata or {},
        app_metadata={
            **(row.app_metadata or {}),
            **provenance(Format.AUTH0, source_id, user_id, username=row.username),
        },
        roles=(),
    )


def _id(row: Row) -> str:
    """The subject of Auth0's tokens: the export of hashes leaves the name of the connection's kind out."""
    if row.user_id:
        return identifier(row.user_id)
    bare = row.alt_id or (row.object_id.oid if isinstance(row.object_id, ObjectId) else row.object_id)
    # A file for the import need name no id; the address is unique there.
    return f"auth0|{identifier(bare)}" if bare else identifier(row.email)


def _email(row: Row) -> tuple[str | None, bool]:
    if row.email:
        return row.email, flag(row.email_verified, "email_verified")
    for one in row.identifiers:
        if one.type == "email":
            return one.value, flag(one.verified, "verified")
    return None, False


def _moment(value: Date | Moment, what: str) -> Any:
    return moment(value.date if isinstance(value, Date) else value, what)


def _hash(row: Row, reading: Reading) -> str | None:
    if row.custom_password_hash is None:
        return usable_hash(row.exported_hash or row.password_hash, reading)
    try:
        stored = _stored(row.custom_password_hash)
    except BadRow as bad:
        return no_hash(str(bad), reading)
    return usable_hash(stored, reading)


def _stored(custom: CustomHash) -> str:
    """Raises BadRow."""
    if custom.password and custom.password.encoding not in (None, "utf8", "ascii"):
        raise BadRow("its password was hashed in another encoding than UTF-8")
    if custom.algorithm in _SELF_DESCRIBING:
        if custom.salt:
            raise BadRow("its password was hashed with something before or after it")
        return custom.hash.value
    if custom.algorithm != "scrypt":
        raise BadRow("its password hash is none of bcrypt, Argon2, scrypt and PBKDF2")
    if custom.cost < 1 or custom.cost & (custom.cost - 1):
        raise BadRow("the cost of scrypt is no power of two")
    salt, key = _decoded(custom.salt, "utf8"), _decoded(custom.hash, "base64")
    cost = f"ln={custom.cost.bit_length() - 1},r={custom.block_size},p={custom.parallelization}"
    return f"$scrypt${cost}${_bare_base64(salt)}${_bare_base64(key)}"


def _decoded(encoded: Encoded | None, otherwise: str) -> bytes:
    """Raises BadRow."""
    if encoded is None:
        raise BadRow("its password hash has no salt")
    try:
        return _DECODERS[encoded.encoding or otherwise](encoded.value)
    except (KeyError, ValueError) as error:
        raise BadRow("its password hash or salt cannot be decoded") from error


def _bare_base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
