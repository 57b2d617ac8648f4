"""SHA-1 of passwords: the form in which lists of breached ones are published. Nothing is kept or protected by it."""

import hashlib


def sha1(password: bytes) -> bytes:
    return hashlib.sha1(password, usedforsecurity=False).digest()


def digests_of(normal: str) -> set[bytes]:
    """As it is, and in lower case: both are kept of a list of passwords, and both are looked up, because published
    lists of hashes have what was found, and most of that is in lower case. `normal` is in normal form (NFC)."""
    return {sha1(spelling.encode()) for spelling in (normal, normal.casefold())}
