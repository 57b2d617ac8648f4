"""Ids: distinct types over UUIDs, made here as version 7 (RFC 9562 §5.7)."""

import secrets
import time
from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
ServiceAccountId = NewType("ServiceAccountId", UUID)

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A = 0xFFF << 64
_RANDOM_B = (1 << 62) - 1


def new_uuid() -> UUID:
    """A UUIDv7: 48 bits of Unix milliseconds, then 74 random bits.

    Ids sort roughly by creation, which keeps B-tree inserts local. They are names, not secrets.
    """
    milliseconds = time.time_ns() // 1_000_000
    noise = secrets.randbits(128)
    return UUID(int=milliseconds << 80 | _VERSION | noise & _RANDOM_A | _VARIANT | noise & _RANDOM_B)
