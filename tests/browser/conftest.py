"""A browser for the tests of a module. Without one they are skipped, and say how to get one."""

import pytest
from playwright.async_api import async_playwright

from tests.support.browser import MISSING, Profiles, find_chromium


@pytest.fixture(scope="module")
async def browser():
    program = find_chromium()
    if program is None:
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=program)
        yield made
        await made.close()


@pytest.fixture(scope="module")
def profiles(browser):
    return Profiles(browser)
