"""Guesses: counted before anything is hashed, so that no number of them at once passes the budget."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import ceil
from time import monotonic

from keystead.kernel.db import Database, Runner
from keystead.kernel.errors import Refusal, Unavailable
from keystead.kernel.telemetry import GUESSES
from keystead.limits import store
from keystead.limits.store import Blocks, Budget, Guess

AT_ONCE = (
    2  # of one source in this process: more would only wait elsewhere, for their hash, in the way of others
)
MAX_WAITING = 100  # for others of the same source that are under way
LONGEST_WAIT = 10.0  # seconds
_PAUSE = 0.05  # between looks at what another worker has under way


class TooManyAttempts(Refusal):
    """Too many wrong guesses: said before anything is looked up or hashed, and alike for every address."""

    code = "too_many_attempts"
    message = "Too many failed attempts. Try again later, or use a device that you have signed in with."


@dataclass(slots=True)
class Attempt:
    """A guess that may go on. Exactly one of the two is called once it is known; otherwise it is given back."""

    guess: Guess
    budget: Budget
    is_settled: bool = False

    @property
    def account(self) -> bytes:
        return self.guess.account

    async def succeed(self, db: Runner) -> None:
        """It was right: commits with what it is for."""
        await store.succeed(db, self.guess)
        self.is_settled = True
        GUESSES.labels("right").inc()

    async def fail(self, db: Runner) -> Blocks:
        """It was wrong. What that blocks."""
        blocks = await store.fail(db, self.guess, self.budget)
        self.is_settled = True
        GUESSES.labels("wrong").inc()
        return blocks


@dataclass(slots=True)
class _Line:
    """Those of one source in this process: two at once, the others behind them."""

    places: asyncio.Semaphore
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Guesses:
    """Right ones wait for those before them and all go on; wrong ones use the budget up, and the rest are refused.

    A caller stands in line first, and takes what is scarce only when it is their turn.
    """

    db: Database
    budget: Budget
    _lines: dict[tuple[bytes, bytes], _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def attempt(self, guess: Guess) -> AsyncIterator[Attempt]:
        """Reserved, and committed, before the block begins. Raises TooManyAttempts."""
        await self._reserve(guess)
        attempt = Attempt(guess, self.budget)
        try:
            yield attempt
        finally:
            if not attempt.is_settled:
                with suppress(Unavailable):  # then it counts as failed after a while
                    await asyncio.shield(store.give_back(self.db, guess, whole=True))

    @asynccontextmanager
    async def line(self, guess: Guess) -> AsyncIterator[None]:
        """The block begins when it is their turn among those of one source. Raises TooManyAttempts if too many wait."""
        key = (guess.account, guess.source)
        line = self._lines.setdefault(key, _Line(asyncio.Semaphore(min(AT_ONCE, self.budget.per_source))))
        if line.waiting >= MAX_WAITING:
            raise TooManyAttempts(retry_after=1)
        line.waiting += 1
        try:
            async with line.places:
                yield
        finally:
            line.waiting -= 1
            if line.waiting == 0:
                self._lines.pop(key, None)

    async def _reserve(self, guess: Guess) -> None:
        ends = monotonic() + LONGEST_WAIT
        while True:
            found = await store.reserve(self.db, guess, self.budget)
            if found.own and found.whole:
                return
            if found.own:
                await store.give_back(self.db, guess, whole=False)
            if found.blocked_for is not None:
                GUESSES.labels("refused").inc()
                raise TooManyAttempts(retry_after=max(1, ceil(found.blocked_for.total_seconds())))
            if monotonic() >= ends:
                raise TooManyAttempts(retry_after=1)
            await asyncio.sleep(_PAUSE)
