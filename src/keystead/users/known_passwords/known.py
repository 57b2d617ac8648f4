"""Whether others know a password, and the estimate of its strength: all that is slow about judging one, in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TypeVar

from keystead.kernel.errors import Overloaded
from keystead.kernel.telemetry import KNOWN_PASSWORDS
from keystead.users.known_passwords.breach_service import BreachService
from keystead.users.known_passwords.common import is_common
from keystead.users.known_passwords.digests import digests_of, sha1
from keystead.users.known_passwords.kept_file import KeptFile
from keystead.users.known_passwords.strength import Strength, estimate

T = TypeVar("T")

MAX_WAITING = 32
MAX_ESTIMATES = 4  # at once, of a twentieth of a second each at the most: nobody waits longer behind them


class KnownBy(StrEnum):
    COMMON = "common"
    FILE = "file"
    SERVICE = "service"


class KnownPasswords:
    """The commonest always, and the operator's file and service where there are any.

    One thread judges, because zxcvbn keeps what it is told in a place for all; what would wait for too long is refused.
    """

    def __init__(self, file: KeptFile | None = None, service: BreachService | None = None) -> None:
        self._file = file
        self._service = service
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0
        self._estimates = 0

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._service is not None:
            await self._service.close()

    async def look_again(self) -> None:
        """Take up another file that has taken the place of the configured one."""
        if self._file is not None:
            await asyncio.to_thread(self._file.look)

    async def find(self, password: str) -> KnownBy | None:
        """`password` is in normal form. Raises PasswordsUnchecked, Overloaded; no caller may be in a transaction."""
        found = await self._run(lambda: self._find_here(password))
        if found is None and self._service is not None and await self._service.has(sha1(password.encode())):
            found = KnownBy.SERVICE
        if found is not None:
            KNOWN_PASSWORDS.labels(found.value).inc()
        return found

    async def estimate(self, password: str) -> Strength:
        """Raises Overloaded, sooner than `find` does: where it only explains a refusal, it is left out."""
        if self._estimates >= MAX_ESTIMATES:
            raise Overloaded(retry_after=1)
        self._estimates += 1
        try:
            return await self._run(lambda: estimate(password))
        finally:
            self._estimates -= 1

    def _find_here(self, password: str) -> KnownBy | None:
        if is_common(password):
            return KnownBy.COMMON
        if self._file is not None and any(map(self._file.has, digests_of(password))):
            return KnownBy.FILE
        return None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded(retry_after=1)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._done)
        return await future

    def _done(self, _future: "asyncio.Future[T]") -> None:
        self._waiting -= 1
