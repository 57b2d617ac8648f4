"""What the machine could do if there were nothing but the cryptography: every core in a loop."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from time import perf_counter, process_time

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from bench.contest import Sample
from keystead.settings import Settings

CORES = os.cpu_count() or 1
_SIGNING_INPUT = bytes(500)  # about what an access token has


class Floor:
    """One primitive, repeated by a process for each core."""

    def __init__(self, prepare: Callable[[], Callable[[], object]]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(CORES, mp_context=spawn, initializer=_prepare, initargs=(prepare,))

    def measure(self, seconds: float) -> Sample:
        loops = [self._pool.submit(_loop, seconds) for _ in range(CORES)]
        rates, costs = zip(*(loop.result() for loop in loops), strict=True)
        return Sample(per_second=sum(rates), cpu_us={"workers": sum(costs) / CORES})

    def close(self) -> None:
        self._pool.shutdown()


def signing(bits: int) -> Callable[[], Callable[[], object]]:
    """RS256."""
    return partial(_signing, bits)


def hashing() -> Callable[[], object]:
    """Argon2id with the default parameters."""
    cost = Settings().auth.argon2
    return partial(
        hash_secret_raw,
        b"correct horse battery staple",
        os.urandom(16),
        time_cost=cost.iterations,
        memory_cost=cost.memory_kib,
        parallelism=cost.parallelism,
        hash_len=32,
        type=Type.ID,
    )


def _signing(bits: int) -> Callable[[], object]:
    key = generate_private_key(65537, bits)
    return partial(key.sign, _SIGNING_INPUT, PKCS1v15(), SHA256())


_work: Callable[[], object]


def _prepare(prepare: Callable[[], Callable[[], object]]) -> None:
    global _work  # noqa: PLW0603 - a pool's process has no other place for what it was started with
    _work = prepare()


def _loop(seconds: float) -> tuple[float, float]:
    """How often in a second, and microseconds of processor time for each."""
    started, cpu, count = perf_counter(), process_time(), 0
    while (elapsed := perf_counter() - started) < seconds:
        _work()
        count += 1
    return count / elapsed, (process_time() - cpu) / count * 1e6
