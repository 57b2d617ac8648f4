"""Proof of work: a puzzle that costs its solver, says itself what it is, and takes no memory of ours until solved."""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from keystead.kernel.clock import Clock
from keystead.kernel.secrets import digest
from keystead.limits.challenge.types import MAX_DIFFICULTY, MIN_DIFFICULTY
from keystead.vault import MacTokens, Vault

LIFETIME = timedelta(minutes=2)

_NONCE_BYTES = 16
_EXPIRY_BYTES = 6
_COUNTER = re.compile(r"\d{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Solved:
    """A genuine challenge with a right counter. Whether it is fresh, only the database knows."""

    id_digest: bytes
    difficulty: int
    expires_at: datetime


class ProofOfWork:
    """A challenge is random, under a MAC of the vault's, and good for one purpose and one network.

    Its answer is `challenge.counter`, a text whose SHA-256 begins with `difficulty` zero bits.
    """

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._clock = clock
        self._tokens = MacTokens(
            vault, "challenge", prefix="pw_", body_bytes=_NONCE_BYTES + 1 + _EXPIRY_BYTES
        )

    def make(self, *, purpose: str, network: str, difficulty: int) -> dict[str, Any]:
        """What the client is told."""
        bits = held(difficulty)
        expires_at = (self._clock.now() + LIFETIME).replace(microsecond=0)
        body = os.urandom(_NONCE_BYTES) + bytes([bits]) + int(expires_at.timestamp()).to_bytes(_EXPIRY_BYTES)
        return {
            "kind": "proof_of_work",
            "challenge": self._tokens.make(body, context=_context(purpose, network)).reveal(),
            "difficulty": bits,
            "algorithm": "sha-256",
            "expires_at": expires_at,
        }

    def read(self, answer: str, *, purpose: str, network: str) -> Solved | None:
        """None for what we did not ask, or that is not solved; found out without asking the database."""
        challenge, _, counter = answer.partition(".")
        body = self._tokens.read(challenge, context=_context(purpose, network))
        if body is None or not _COUNTER.fullmatch(counter):
            return None
        bits = body[_NONCE_BYTES]
        if int.from_bytes(digest(answer)) >> (256 - bits):
            return None
        expires_at = datetime.fromtimestamp(int.from_bytes(body[_NONCE_BYTES + 1 :]), UTC)
        return Solved(digest(body), bits, expires_at)


def held(difficulty: int) -> int:
    """Within its bounds: less would be no work, more would keep people out."""
    return min(max(difficulty, MIN_DIFFICULTY), MAX_DIFFICULTY)


def _context(purpose: str, network: str) -> bytes:
    return f"{purpose}\0{network}".encode()
