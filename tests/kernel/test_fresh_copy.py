"""Copies of rows: what is held, whichever reading ends first."""

import asyncio
from datetime import timedelta

import pytest

from keystead.kernel.errors import Unavailable
from keystead.kernel.fresh_copy import FreshCopy

pytestmark = pytest.mark.anyio


class Table:
    """Rows that others change, and a copy of them. The first reading takes until it is `let_go`."""

    def __init__(self):
        self.rows = self.held = 0
        self.readings = 0
        self.is_down = False
        self.let_go = asyncio.Event()
        self.copy = FreshCopy("rows", self.read, every=timedelta(0))

    async def read(self):
        self.readings += 1
        seen = self.rows
        if self.is_down:
            raise Unavailable
        if self.readings == 1:
            await self.let_go.wait()
        self.held = seen


async def test_a_reading_that_saw_less_never_has_the_last_word():
    table = Table()
    slow = asyncio.create_task(table.copy.look_again())
    while table.readings == 0:
        await asyncio.sleep(0)
    table.rows = 1
    now = asyncio.create_task(table.copy.read_now())
    for _ in range(10):  # as long as it likes, it does not overtake
        await asyncio.sleep(0)
    table.let_go.set()
    await asyncio.gather(slow, now)
    assert (table.held, table.readings) == (1, 2)


async def test_whoever_needs_it_now_is_told_that_it_cannot_be_read():
    table = Table()
    table.is_down = True
    with pytest.raises(Unavailable):
        await table.copy.read_now()
    assert await table.copy.look_again()  # tried, logged, and what was held is held on
    table.is_down = False
    table.rows = 1
    await table.copy.read_now()
    assert table.held == 1
