"""What the rows of all systems are read with: flags, times, ids, hashes, and where a user came from."""

import re
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from keystead.accounts.moving.records import without_content
from keystead.accounts.moving.types import BadRow, Format, IncomingUser, Reading
from keystead.kernel.errors import InvalidInput
from keystead.users.foreign_hashes import recognise

# As JSON, SQLite and CSV have them.
Flag: TypeAlias = bool | int | str | None
Moment: TypeAlias = int | float | str | None
Mapping: TypeAlias = dict[str, Any] | str | None
Id: TypeAlias = str | int

MAX_ID_LENGTH = 255
_MAX_EMAIL_LENGTH = 320
_FLAGS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False, "": False}
_MILLISECONDS_FROM = 100_000_000_000  # the year 5138 in seconds, March 1973 in milliseconds
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def flag(value: Flag, what: str) -> bool:
    """None is False. Raises BadRow."""
    found = _FLAGS.get(str(value).lower()) if value is not None else False
    if found is None:
        raise BadRow(f"{what} is neither true nor false")
    return found


def moment(value: Moment, what: str) -> datetime | None:
    """ISO 8601 (UTC where it names no zone), or seconds or milliseconds since 1970. Raises BadRow."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        seconds = float(value)
        return datetime.fromtimestamp(seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadRow(f"{what} is no time that can be read") from None


def mapping(value: Mapping, what: str) -> dict[str, Any]:
    """A JSON object, or the text of one. Raises BadRow."""
    if isinstance(value, str) and value:
        try:
            return msgspec.json.decode(value, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BadRow(f"{what} is no JSON object: {without_content(error)}") from None
    return value if isinstance(value, dict) else {}


def address(text: str | None) -> str:
    """Raises BadRow where there is none. Whether it is a usable one is judged by `users.email`."""
    found = (text or "").strip()
    if not found:
        raise BadRow("it has no e-mail address")
    if len(found) > _MAX_EMAIL_LENGTH:
        raise BadRow(f"its e-mail address is longer than {_MAX_EMAIL_LENGTH} characters")
    return found


def name(*texts: str | None) -> str | None:
    """The parts that are there, put together."""
    return " ".join(stripped for text in texts if text and (stripped := text.strip())) or None


def identifier(value: Id | None) -> str:
    """Raises BadRow."""
    found = "" if value is None else str(value)
    if not 0 < len(found) <= MAX_ID_LENGTH:
        raise BadRow(f"its id is missing, or longer than {MAX_ID_LENGTH} characters")
    return found


def uuid(source_id: str) -> UUID | None:
    return UUID(source_id) if _UUID.fullmatch(source_id) else None


def usable_hash(text: str | None, reading: Reading) -> str | None:
    """What is stored of it; None where there is no password. Raises BadRow."""
    if not text or text.startswith("!"):
        return None
    try:
        return recognise(text)
    except InvalidInput as refused:
        return no_hash(refused.errors[0].message, reading)


def no_hash(why: str, reading: Reading) -> str | None:
    """Raises BadRow, unless such users are to be moved without their password."""
    if reading.drop_unusable_hashes:
        return None
    raise BadRow(why)


def require_storable(user: IncomingUser) -> None:
    """PostgreSQL stores no U+0000. Raises BadRow."""
    if _has_nul(
        [user.source_id, user.email, user.full_name, *user.roles, user.preferences, user.app_metadata]
    ):
        raise BadRow("it holds the character U+0000, which cannot be stored")


def provenance(system: Format, source_id: str, user_id: UUID | None, **facts: object) -> dict[str, Any]:
    """Where a user came from and what they were there, under one name; nothing where there is nothing to keep."""
    kept: dict[str, object] = {name: fact for name, fact in facts.items() if fact}
    if user_id is None:
        kept["id"] = source_id
    return {"imported_from": {"system": system.value, **kept}} if kept else {}


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in name or _has_nul(member) for name, member in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))
