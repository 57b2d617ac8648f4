"""Guess which system wrote a file."""

import json
import re
from pathlib import Path

from keystead.accounts.moving.keycloak import files_of
from keystead.accounts.moving.records import MAX_LINE_BYTES, members_of, opening, read_header
from keystead.accounts.moving.systems import SYSTEMS
from keystead.accounts.moving.types import Format
from keystead.kernel.errors import InvalidInput

_TABLES = re.compile(rb'\{\s*"(?:users?|accounts?)"\s*:\s*\[')
_ONLY_DOCUMENTS = (Format.FIREBASE, Format.KEYCLOAK)
# What stands in the first megabyte of each kind of document; the first that is found decides.
_DOCUMENTS = (
    (Format.FIREBASE, re.compile(rb'"localId"\s*:')),
    (Format.KEYCLOAK, re.compile(rb'"realm"\s*:')),
    (Format.BETTER_AUTH, re.compile(rb'"(?:emailVerified|email_verified|providerId|provider_id)"\s*:')),
)


def detect(path: Path) -> Format | None:
    """The format of a file or folder by how it starts, or None where it starts like none of them."""
    if path.is_dir():
        return Format.KEYCLOAK if files_of(path) else None
    try:
        start = opening(path, MAX_LINE_BYTES)
        if start.startswith(b"{"):
            return _by_members(start.partition(b"\n")[0]) or _by_names(start)
        if start.startswith(b"["):
            return _by_members(_first_member(start)) or _by_names(start)
        return _by_columns(path)
    except InvalidInput:
        return None


def _by_columns(path: Path) -> Format | None:
    header = read_header(path)
    return next((found for found, system in SYSTEMS.items() if system.has_columns(header)), None)


def _by_members(data: bytes) -> Format | None:
    members = members_of(data)
    rows = ((found, system) for found, system in SYSTEMS.items() if found not in _ONLY_DOCUMENTS)
    return next((found for found, system in rows if system.is_signed(members)), None)


def _by_names(start: bytes) -> Format | None:
    for found, name in _DOCUMENTS:
        if name.search(start) and (found is not Format.BETTER_AUTH or _TABLES.match(start)):
            return found
    return None


def _first_member(start: bytes) -> bytes:
    """The first member of an array of which only the start is known, as JSON; or nothing."""
    text = start.decode("utf-8", "ignore")
    try:
        member, _ = json.JSONDecoder().raw_decode(text, len(text) - len(text[1:].lstrip()))
        return json.dumps(member).encode()
    except (ValueError, RecursionError):
        return b""
