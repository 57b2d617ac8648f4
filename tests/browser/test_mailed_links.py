"""Every mailed link, as people follow it: in a real browser, from a real mail, and without a script."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from keystead.core import Core
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.contract.service import login
from tests.support.browser import LEAST_CONTRAST, Profiles, shoot, site
from tests.support.journeys import JOURNEYS, NEW_PASSWORD, Journey
from tests.support.mailbox import Mailbox, link_in, mailbox
from tests.support.people import make_user, new_email
from tests.support.server import serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

PRODUCT = "Greenhouse"
DESKTOP = {"width": 1100, "height": 800}
PHONE = {"width": 320, "height": 640}


@dataclass(frozen=True)
class Place:
    """A running server that mails, its core beside it, and browsers."""

    core: Core
    client: httpx2.AsyncClient
    box: Mailbox | None
    profiles: Profiles

    async def start(self, name: str) -> tuple[str, Journey]:
        """The link, as it arrived."""
        journey = await JOURNEYS[name](self.core, self.client)
        assert self.box is not None
        mails = await self.box.wait_for(1, to=journey.mailbox)
        return link_in(mails[-1]), journey

    @asynccontextmanager
    async def open(self, link: str, **options):
        """A page of a browser without scripts; the policy of our pages blocks nothing that they hold."""
        said: list[str] = []

        def note(message: Any) -> None:
            said.append(message.text)

        how = {"java_script_enabled": False, "viewport": DESKTOP, **options}
        async with self.profiles.lend(**how) as context:
            (page,) = context.pages
            page.on("console", note)
            await page.goto(link)
            yield page
            page.remove_listener("console", note)
        assert not [text for text in said if "Content Security Policy" in text]

    async def signs_in(self, journey: Journey) -> bool:
        return (await login(self.client, journey.email, journey.password)).status_code == 200


@pytest.fixture(scope="module")
def welcome():
    """Where people go on: a page of the application's own."""
    with site("<h1>Welcome</h1>") as port:
        yield f"http://localhost:{port}/welcome?from=keystead"


@pytest.fixture(scope="module")
async def place(cluster, profiles, welcome):
    async with mailbox() as box, cluster.clone() as urls:
        configured = {
            "AUTH__REQUIRE_VERIFIED_EMAIL": "true",
            "MAIL__HOST": box.host,
            "MAIL__PORT": str(box.port),
            "MAIL__SECURITY": "none",
            "MAIL__PRODUCT": PRODUCT,
            "SERVER__PUBLIC_URL": "http://id.keystead.localhost:{port}",
            "APPLICATIONS__DEFAULT__REDIRECT_URLS": welcome,
        }
        async with (
            serving(urls, workers=1, **configured) as server,
            open_core(settings_for(urls)) as running,
            httpx2.AsyncClient(base_url=server.base_url) as client,
        ):
            yield Place(running.core, client, box, profiles)


async def leave(page, act):
    """Returns when `act` has led to another page."""
    async with page.expect_navigation():
        await act


@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_link_is_followed_with_a_click(place, name):
    link, journey = await place.start(name)
    assert not await place.signs_in(journey)
    async with place.open(link) as page:
        await shoot(page, f"{name}-form")
        for field, typed in journey.typed.items():
            await page.fill(f"#{field}", typed)
        before = await page.inner_text("h1")
        await leave(page, page.click("button"))
        assert await page.inner_text("h1") != before
        assert PRODUCT in await page.inner_text("main")
        await shoot(page, f"{name}-done")
        assert await place.signs_in(journey)

        await page.goto(link)
        assert await page.inner_text("h1") == "This link is not valid any more"
        await shoot(page, f"{name}-gone")


async def test_whoever_is_done_goes_on_and_where_they_go_learns_no_link(place, welcome):
    link, _ = await place.start("verify")
    async with place.open(link) as page:
        assert await page.locator("main a").count() == 0
        await leave(page, page.click("button"))
        assert await page.inner_text("main a") == f"Continue to {PRODUCT}"
        async with page.expect_request(welcome) as asked:
            await leave(page, page.click("main a"))
        assert (page.url, await page.inner_text("h1")) == (welcome, "Welcome")
        assert "referer" not in await (await asked.value).all_headers()


@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_link_is_followed_with_the_keyboard_alone(place, name):
    link, journey = await place.start(name)
    async with place.open(link) as page:
        for field, typed in journey.typed.items():
            await page.keyboard.press("Tab")
            assert await page.get_attribute(":focus", "id") == field
            await page.keyboard.type(typed)
        await page.keyboard.press("Tab")
        assert await page.get_attribute(":focus", "type") == "submit"
        await leave(page, page.keyboard.press("Enter"))
        assert not await page.query_selector("form")
    assert await place.signs_in(journey)


async def test_after_a_mistake_the_keyboard_is_led_to_the_field(place):
    link, journey = await place.start("invitation")
    async with place.open(link) as page:
        await page.fill("#full_name", "Ada")
        await page.fill("#password", "greenhouse keystead")  # long enough for the browser
        await leave(page, page.keyboard.press("Enter"))
        assert await page.get_attribute(":focus", "role") == "alert"
        assert (await page.title()).startswith("Error: ")
        await shoot(page, "invitation-mistake")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        assert await page.get_attribute(":focus", "id") == "password"
        await page.keyboard.type(NEW_PASSWORD)
        await leave(page, page.keyboard.press("Enter"))
        assert not await page.query_selector("form")
    assert await place.signs_in(journey)


async def test_a_browser_holds_a_short_password_back_by_itself(place):
    link, _ = await place.start("reset")
    async with place.open(link) as page:
        await page.locator("#password").press_sequentially("short")
        await page.keyboard.press("Enter")
        assert await page.get_attribute(":focus", "id") == "password"
        assert not await page.query_selector("[role=alert]")


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("de", "dark")])
async def test_every_page_can_be_read_on_the_narrowest_screen_in_light_and_in_dark(place, language, scheme):
    started = await asyncio.gather(*map(place.start, JOURNEYS))
    for name, (link, journey) in zip(JOURNEYS, started, strict=True):
        shown = f"{name}-{language}-{scheme}-narrow"
        async with place.open(link, viewport=PHONE, color_scheme=scheme, locale=language) as page:
            await check_readable(page, f"{shown}-form")
            if "password" in journey.typed:
                await page.fill("#password", f"keystead {PRODUCT} example")
                await leave(page, page.click("button"))
                await check_readable(page, f"{shown}-mistake")
            for field, typed in journey.typed.items():
                await page.fill(f"#{field}", typed)
            await leave(page, page.click("button"))
            await check_readable(page, f"{shown}-done")
            await page.goto(link)
            await check_readable(page, f"{shown}-gone")


async def check_readable(page, name):
    await shoot(page, name)
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], name
    assert await page.evaluate(LEAST_CONTRAST) >= 4.5, name
    for target in await page.query_selector_all("button, input"):
        assert (await target.bounding_box())["height"] >= 40, name  # for fingers


async def test_mails_of_a_development_server_lead_on(cluster, profiles):
    development = {
        "ENV": "development",
        "AUTH__ARGON2__MEMORY_KIB": "19456",
        "AUTH__ARGON2__ITERATIONS": "2",
        "AUTH__REQUIRE_VERIFIED_EMAIL": "true",
        "MAIL__PRODUCT": PRODUCT,
        "SERVER__PUBLIC_URL": "http://127.0.0.1:{port}",
    }
    async with (
        cluster.clone() as urls,
        serving(urls, workers=1, **development) as server,
        open_core(settings_for(urls)) as running,
        httpx2.AsyncClient(base_url=server.base_url) as client,
    ):
        place = Place(running.core, client, None, profiles)
        await make_user(running.core, email := new_email())
        await client.post("/api/v1/auth/password/forgot", json={"email": email})
        for name in ("verify", "unlock"):
            await JOURNEYS[name](running.core, client)
        for options in ({"viewport": PHONE, "color_scheme": "dark"}, {}):
            async with place.open(f"{server.base_url}/dev/mail", **options) as page:
                # It renews itself until the mails are there.
                await page.wait_for_selector(f"text=Reset your password for {PRODUCT}", timeout=30_000)
                await shoot(page, f"dev-mail-{options.get('color_scheme', 'light')}")
                assert (
                    await page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
                )
                assert await page.evaluate(LEAST_CONTRAST) >= 4.5
                await leave(page, page.click(f"text=Reset your password for {PRODUCT}"))
                await shoot(page, f"dev-mail-one-{options.get('color_scheme', 'light')}")
                await leave(page, page.click("text=As HTML"))
                await shoot(page, f"dev-mail-html-{options.get('color_scheme', 'light')}")
                await leave(page, page.click("text=Choose a new password"))
                assert await page.inner_text("h1") == "Choose a new password"
