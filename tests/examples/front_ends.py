"""The front ends of the examples as they are, in a browser, beside a running server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.async_api import async_playwright

from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.support.browser import MISSING, Profiles, find_chromium
from tests.support.databases import Cluster, Urls
from tests.support.examples import running
from tests.support.people import PASSWORD, new_email
from tests.support.server import serving

KEYSTEAD = "http://127.0.0.1:3000"  # as it stands in the files; the browser is led to the test's server


@dataclass(frozen=True)
class FrontEnds:
    """All of them at `site`, browsers to open them in, and the server that they speak to."""

    site: str
    server: str
    urls: Urls
    keyring: Any
    profiles: Profiles

    @asynccontextmanager
    async def visitor(self, name: str, **options: Any) -> AsyncIterator["Visitor"]:
        """Somebody at that example with a browser of their own; no script of the page may have failed."""
        url = f"{self.site}/{name}/"
        failed: list[str] = []

        def note(error: Any) -> None:
            failed.append(str(error.error))

        async with self.profiles.lend(**options) as context:
            context.on("weberror", note)
            page = await context.new_page()
            await page.goto(url)
            yield Visitor(self, url, context, page, new_email())
            assert failed == []
            context.remove_listener("weberror", note)

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        connection = await asyncpg.connect(self.urls.owner)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()


@dataclass(frozen=True)
class Visitor:
    at: FrontEnds
    url: str
    context: Any
    page: Any
    email: str

    async def enter(self, button: str, password: str = PASSWORD) -> None:
        await self.page.get_by_label("E-mail address").fill(self.email)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name=button).click()

    async def sign_up(self) -> None:
        await self.enter("Create account")
        await self.sees_in("Welcome")

    async def click(self, button: str, page: Any = None) -> None:
        await (page or self.page).get_by_role("button", name=button).click()

    async def sees_in(self, heading: str, page: Any = None) -> None:
        """Waits until that is the one heading."""
        await (page or self.page).get_by_role("heading", name=heading).wait_for()

    async def is_told(self, text: str, page: Any = None) -> None:
        await (page or self.page).get_by_role("status").filter(has_text=text).wait_for()

    async def session(self) -> Any:
        """The row of their one session."""
        (found,) = await self.at.sql(
            """SELECT s.id, s.generation, s.ended_because,
                      (SELECT count(*) FROM audit_events e
                        WHERE e.session_id = s.id AND e.event = 'session.refreshed') AS refreshes
                 FROM sessions s WHERE s.user_id = $1::text::uuid""",
            await self.page.locator("#id").inner_text(),
        )
        return found


@asynccontextmanager
async def front_ends(cluster: Cluster, folder: Path) -> AsyncIterator[FrontEnds]:
    program = find_chromium()
    if program is None:
        pytest.skip(MISSING)
    with running("spa-token", KEYSTEAD, folder) as site:  # which has the other one beside it
        settings = {
            "SERVER__PUBLIC_URL": KEYSTEAD,
            "APPLICATIONS__WEB__MODE": "cookie",
            "APPLICATIONS__WEB__ALLOWED_ORIGINS": site,
            "APPLICATIONS__SPA__ALLOWED_ORIGINS": site,
        }
        async with (
            cluster.clone() as urls,
            serving(urls, workers=1, **settings) as server,
            open_core(settings_for(urls)) as opened,
            async_playwright() as playwright,
        ):
            led = f"--host-resolver-rules=MAP {KEYSTEAD[7:]} 127.0.0.1:{server.ports[0]}"
            browser = await playwright.chromium.launch(executable_path=program, args=[led])
            yield FrontEnds(site, server.base_url, urls, opened.keyring, Profiles(browser))
            await browser.close()
