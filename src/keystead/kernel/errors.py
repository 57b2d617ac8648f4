"""Refusals: every rule's "no", with a stable code and no knowledge of HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class Refusal(Exception):
    """Base of every expected "no".

    `code` is stable and documented; `message` is for people and names the mend where there is one;
    `detail` holds named facts that the caller may see.
    """

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(self, **detail: object) -> None:
        super().__init__(self.message)
        self.detail = detail


class Unavailable(Refusal):
    """A part that the request cannot do without is down; nothing was done, or nobody knows whether it was."""

    code = "unavailable"
    message = "A part of the service is down. Try again in a moment."


class Overloaded(Refusal):
    """More work is waiting than can be done in time; nothing was done."""

    code = "overloaded"
    message = "The service is busy. Try again in a moment."


class InvalidInput(Refusal):
    """Input that cannot be accepted; `errors` lists every bad field as `{"pointer", "code", "message", …}`."""

    code = "invalid_input"
    message = "Some fields cannot be accepted."

    def __init__(self, *errors: "FieldError") -> None:
        super().__init__(errors=[error.as_dict() for error in errors])
        self.errors = errors


class Complaints:
    """Gathers what several checks refuse, so that every bad field is named at once."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """An InvalidInput that leaves the block is kept for later."""
        try:
            yield
        except InvalidInput as refusal:
            self._errors.extend(refusal.errors)

    def raise_any(self) -> None:
        """Raises InvalidInput with everything that was noted."""
        if self._errors:
            raise InvalidInput(*self._errors)


class FieldError:
    """One bad field: where (RFC 6901 JSON pointer), a stable code, a sentence, and what more there is to say of it."""

    __slots__ = ("code", "facts", "message", "pointer")

    def __init__(self, pointer: str, code: str, message: str, **facts: object) -> None:
        self.pointer = pointer
        self.code = code
        self.message = message
        self.facts = facts

    def at(self, pointer: str) -> "FieldError":
        """The same of a field that has another name where it came in."""
        return FieldError(pointer, self.code, self.message, **self.facts)

    def as_dict(self) -> dict[str, object]:
        return {"pointer": self.pointer, "code": self.code, "message": self.message, **self.facts}


class CannotStart(Exception):
    """Something that only the operator can mend; the text says what and how. Commands exit with 2."""
