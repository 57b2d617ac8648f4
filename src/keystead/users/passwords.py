"""Passwords: the rules for new ones, Argon2id (RFC 9106), and the bounded pool that hashes them."""

import asyncio
import os
import re
import sys
import threading
import unicodedata
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from time import monotonic, perf_counter
from typing import ClassVar, TypeVar

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from keystead.kernel.errors import FieldError, InvalidInput, Overloaded
from keystead.kernel.telemetry import PASSWORD_HASHES, PASSWORD_QUEUE
from keystead.users import foreign_hashes
from keystead.users.email import EmailAddress
from keystead.users.hash_ceilings import is_argon2_affordable
from keystead.users.known_passwords.breach_service import PasswordsUnchecked
from keystead.users.known_passwords.known import KnownBy, KnownPasswords
from keystead.users.known_passwords.strength import Strength

T = TypeVar("T")

MAX_BYTES = 1024
_MIN_CONTEXT_WORD = 4
_WEIGHT_OF_ONE = 0.1  # of one hash in the mean of how long they take, once there were ten
_NICENESS = 10
_PATIENCE_OF_THE_KNOWN = 2
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    memory_kib: int
    iterations: int
    parallelism: int


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """NIST SP 800-63B-4 §3.1.1.2: length, context words and known passwords; no composition rules, no expiry.

    `needs_letters_and_digits` is PCI DSS 8.3.6. `min_score`: the least of zxcvbn's estimate that is taken.
    """

    min_length: int
    context_words: tuple[str, ...]
    known: KnownPasswords
    needs_letters_and_digits: bool = False
    min_score: int = 0
    refuses: ClassVar = (InvalidInput, PasswordsUnchecked, Overloaded)

    async def check(self, password: str, *, email: EmailAddress | None, full_name: str | None) -> None:
        """Length counts characters of the normal form; context words count for nothing. No caller may be in a
        transaction. Raises InvalidInput, with an estimate of the strength where there is time for one;
        PasswordsUnchecked, Overloaded."""
        require_hashable(password)
        normal = unicodedata.normalize("NFC", password)
        bare = _without(normal.casefold(), self._context(email, full_name))
        fault = self._fault(normal, bare) or await self._known(normal)
        if fault is None and self.min_score == 0:
            return
        # Without the context words, of which zxcvbn knows nothing.
        strength = await self._estimate(bare, is_needed=fault is None)
        if fault is None and strength is not None and strength.score < self.min_score:
            fault = ("password_too_weak", "This password is too easy to guess.")
        if fault is not None:
            code, message = fault
            raise (
                _refused(code, message)
                if strength is None
                else _refused(code, message, strength=strength.as_dict())
            )

    def _fault(self, normal: str, bare: str) -> tuple[str, str] | None:
        """What needs no thought."""
        if len(normal) < self.min_length:
            return "password_too_short", f"Use at least {self.min_length} characters."
        if len(bare) < self.min_length:
            message = (
                "Words from your name, your address or this service count for nothing: "
                f"use at least {self.min_length} characters beside them."
            )
            return "password_context_word", message
        has_both = any(map(str.isalpha, normal)) and any(map(str.isdigit, normal))
        if self.needs_letters_and_digits and not has_both:
            return "password_composition", "Use letters and digits, both."
        return None

    async def _known(self, normal: str) -> tuple[str, str] | None:
        match await self.known.find(normal):
            case None:
                return None
            case KnownBy.COMMON:
                return (
                    "password_known",
                    "This is one of the commonest passwords, or made of them: choose another.",
                )
            case KnownBy.FILE | KnownBy.SERVICE:
                return (
                    "password_known",
                    "Others know this password: it was found in a breach. Choose another.",
                )

    async def _estimate(self, bare: str, *, is_needed: bool) -> Strength | None:
        try:
            return await self.known.estimate(bare)
        except Overloaded:
            if is_needed:
                raise
            return None

    def _context(self, email: EmailAddress | None, full_name: str | None) -> list[str]:
        address = (email.local, email.domain) if email else ()
        texts = (*self.context_words, *address, full_name or "")
        words = {word.casefold() for text in texts for word in (text, *_WORD.findall(text))}
        return sorted(
            (word for word in words if len(word) >= _MIN_CONTEXT_WORD),
            key=len,
            reverse=True,
        )


@dataclass(slots=True, eq=False)
class Place:
    """Room for one hash, kept for somebody who is on their way to it."""

    is_known: bool
    until: float
    is_kept: bool = True


class Hasher:
    """Argon2id in threads of its own, at most `threads` at once. What would wait for more than `longest_wait`, by how
    long hashes have taken of late, is refused at once: Overloaded. Who is known may wait twice as long, so that no
    number of strangers takes all the room there is.

    Passwords are hashed in Unicode NFC (RFC 8265 §4.2.2) and otherwise exactly as received.
    """

    def __init__(self, cost: Argon2Cost, *, threads: int, longest_wait: timedelta) -> None:
        self._argon2 = PasswordHasher(
            time_cost=cost.iterations,
            memory_cost=cost.memory_kib,
            parallelism=cost.parallelism,
            type=Type.ID,
        )
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2", initializer=_step_back)
        self._threads = threads
        self._longest_wait = longest_wait.total_seconds()
        self._waiting = 0
        self._places: deque[Place] = deque()
        self._kept = 0
        # Checked where there is no stored hash, so that an unknown address costs what a known one costs.
        started = perf_counter()
        self.decoy = self._argon2.hash("no password of anybody")
        self._seconds = perf_counter() - started
        self._timed_hashes = 1

    async def hash(self, password: str, *, beside: str | None = None) -> str:
        """With the salt of `beside`, if that is a hash as they are made today: `verify_either` checks both at once."""
        salt = _salt_of(beside) if beside is not None and self._is_of_today(beside) else None
        return await self._run(lambda: self._argon2.hash(_prepared(password), salt=salt))

    async def verify(self, stored: str, password: str, *, place: Place | None = None) -> bool:
        """Whether `password` is the one behind `stored`, made here or elsewhere. A place is good for one hash.

        What is no hash (`!…`: no password), or one beyond the ceilings, never matches and costs what the decoy costs.
        """
        if foreign_hashes.is_foreign(stored):
            return await self._run(lambda: foreign_hashes.verify(stored, password), place)
        is_usable = _is_affordable(stored)
        checked = stored if is_usable else self.decoy
        matches = await self._run(lambda: self._matches(checked, password), place)
        return is_usable and matches

    async def verify_either(
        self, one: str, other: str, password: str, *, place: Place | None = None
    ) -> tuple[bool, bool]:
        """`verify` of each. Of two with the same salt it costs what one costs."""
        if not self._is_of_today(one) or _form_of(one) != _form_of(other):
            is_one = await self.verify(one, password, place=place)
            return is_one, await self.verify(other, password, place=place)
        salt = _salt_of(one)
        made = await self._run(lambda: self._argon2.hash(_prepared(password), salt=salt), place)
        return compare_digest(made, one), compare_digest(made, other)

    def is_outdated(self, stored: str) -> bool:
        """Whether `stored` was made elsewhere, or with other parameters than today's."""
        return foreign_hashes.is_foreign(stored) or self._argon2.check_needs_rehash(stored)

    def _is_of_today(self, stored: str) -> bool:
        return _is_affordable(stored) and not self.is_outdated(stored)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, _prepared(password))
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def place(self, *, is_known: bool = False) -> Iterator[Place]:
        """Kept until it is used, the block ends, or as long as a hash may wait. Who has one is not refused later, after
        they have cost something else. Raises Overloaded."""
        self.require_room(is_known=is_known)
        place = Place(is_known, monotonic() + self._longest_wait)
        self._places.append(place)
        self._kept += 1
        try:
            yield place
        finally:
            self._give_up(place)

    def require_room(self, *, is_known: bool = False) -> None:
        """What cannot be hashed in time is refused before it costs anything else. Raises Overloaded."""
        while self._places and self._places[0].until <= monotonic():
            self._give_up(self._places.popleft())
        before = self._waiting + self._kept - self._threads + 1  # must be done until a thread is free
        longest_wait = self._longest_wait * (_PATIENCE_OF_THE_KNOWN if is_known else 1)
        if before > 0 and before * self._seconds / self._threads > longest_wait:
            raise Overloaded(retry_after=1)

    def _give_up(self, place: Place) -> bool:
        """Whether it was kept until now."""
        was_kept, place.is_kept = place.is_kept, False
        self._kept -= was_kept
        return was_kept

    async def _run(self, work: Callable[[], T], place: Place | None = None) -> T:
        if place is None or not self._give_up(place):
            self.require_room(is_known=place is not None and place.is_known)
        self._waiting += 1
        PASSWORD_QUEUE.inc()
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work)
        # Counted until the thread is done, even when nobody waits for it any more: a started hash does not stop.
        future.add_done_callback(self._done)
        return await future

    def _timed(self, work: Callable[[], T]) -> T:
        PASSWORD_HASHES.inc()
        started = perf_counter()
        try:
            return work()
        finally:
            self._timed_hashes += 1  # the first one was made while everything else started, too
            weight = max(_WEIGHT_OF_ONE, 1 / self._timed_hashes)
            self._seconds += (perf_counter() - started - self._seconds) * weight

    def _done(self, _future: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        PASSWORD_QUEUE.dec()


def _step_back() -> None:
    """What hashes lets what answers go first: under a flood of logins, everything else stays quick."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def require_hashable(password: str) -> None:
    """What everybody checks before a password is worth any work. Raises InvalidInput."""
    if len(password.encode()) > MAX_BYTES:
        raise _refused("password_too_long", f"The password is longer than {MAX_BYTES} bytes.")


def _prepared(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode()


def _is_affordable(stored: str) -> bool:
    try:
        asked = extract_parameters(stored)
    except InvalidHashError:
        return False
    return is_argon2_affordable(
        memory_kib=asked.memory_cost, iterations=asked.time_cost, parallelism=asked.parallelism
    )


def _form_of(stored: str) -> str:
    """Parameters and salt of an Argon2 hash."""
    return stored.rpartition("$")[0]


def _salt_of(stored: str) -> bytes:
    salt = stored.split("$")[4]
    return b64decode(salt + "=" * (-len(salt) % 4))


def _without(text: str, words: Iterable[str]) -> str:
    for word in words:
        text = text.replace(word, "")
    return text


def _refused(code: str, message: str, **facts: object) -> InvalidInput:
    return InvalidInput(FieldError("/password", code, message, **facts))
