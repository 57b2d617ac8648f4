"""One person's data key: seals the personal columns of that person's rows."""

from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.vault.aead import Unreadable, decrypt, encrypt

__all__ = ["DataKey", "Unreadable"]

_FORMAT = b"\x01"


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """`wrapped` is what `data_keys` stores. The context of a value is its table, column, row and format, so
    a value that was copied to another place does not open there."""

    owner_id: UUID
    wrapped: bytes
    cipher: AESGCM

    def seal(self, text: str, *, table: str, column: str) -> bytes:
        return _FORMAT + encrypt(self.cipher, text.encode(), self._context(table, column))

    def open(self, blob: bytes, *, table: str, column: str) -> str:
        """Raises Unreadable."""
        if blob[:1] != _FORMAT:
            raise Unreadable
        return decrypt(self.cipher, blob[1:], self._context(table, column)).decode()

    def _context(self, table: str, column: str) -> bytes:
        return b"\0".join((table.encode(), column.encode(), self.owner_id.bytes, _FORMAT))
