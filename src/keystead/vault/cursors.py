"""Pages of a list, and the cursors that lead from one to the next: sealed, so that nobody makes one up."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Generic, TypeVar

from keystead.kernel.errors import FieldError, InvalidInput
from keystead.vault.aead import Unreadable
from keystead.vault.vault import Vault

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class PageWanted:
    """At most `limit` items (1 to 200), after those of the page that gave `cursor`."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Cursors:
    """A cursor says where a page ended, and belongs to one list with its filters (`scope`)."""

    vault: Vault

    def seal(self, scope: str, *position: str) -> str:
        return _spell(
            self.vault.wrap(json.dumps(position).encode(), purpose="cursor", context=scope.encode())
        )

    def open(self, scope: str, cursor: str) -> list[str]:
        """Raises InvalidInput for whatever this list with these filters did not give."""
        try:
            position: list[str] = json.loads(
                self.vault.unwrap(_read(cursor), purpose="cursor", context=scope.encode())
            )
        except (Unreadable, binascii.Error, ValueError) as error:
            message = "This cursor is not of this list with these filters. Begin again without one."
            raise InvalidInput(FieldError("/cursor", "cursor_invalid", message)) from error
        return position


def _spell(blob: bytes) -> str:
    return base64.urlsafe_b64encode(blob).rstrip(b"=").decode()


def _read(cursor: str) -> bytes:
    blob = base64.urlsafe_b64decode(cursor[:_MAX_CURSOR_LENGTH] + "=" * (-len(cursor) % 4))
    if _spell(blob) != cursor:  # there is one spelling of each
        raise Unreadable
    return blob
