"""The front end in token mode, in a real browser: one refresh for however many calls and tabs."""

import asyncio
import json
import time
from base64 import b64encode, urlsafe_b64decode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from keystead.kernel.clock import Clock
from tests.examples.front_ends import KEYSTEAD, Visitor
from tests.jwt.forging import compact, header, signer
from tests.support.browser import LEAST_CONTRAST, shoot
from tests.support.people import PASSWORD

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

REFRESH = "**/api/v1/auth/refresh"
ME = "**/api/v1/users/me"


@dataclass
class Tabs:
    """A signed-in person, whose access tokens of before `expire` the server has seen run out."""

    visitor: Visitor
    refreshes: list[Any] = field(default_factory=list)  # requests for one, of whatever tab
    _given: set[str] = field(default_factory=set)
    _expired: set[str] = field(default_factory=set)

    def note(self, request) -> None:
        if request.url.endswith("/auth/refresh"):
            self.refreshes.append(request)

    def expire(self) -> None:
        self._expired |= self._given

    async def open(self):
        """Another tab of the same person."""
        page = await self.visitor.context.new_page()
        await page.goto(self.visitor.url)
        await self.visitor.sees_in("Welcome", page)
        return page

    async def send(self, route) -> None:
        """As it is, or with what an expired token says: time cannot be moved in a browser and a server at once."""
        headers = await route.request.all_headers()
        token = headers.get("authorization", "").removeprefix("Bearer ")
        self._given.add(token)
        if token in self._expired:
            headers["authorization"] = f"Bearer {self._long_ago(token)}"
        await route.continue_(headers=headers)

    def _long_ago(self, token: str) -> str:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        now = int(time.time())
        key = self.visitor.at.keyring.current(Clock().now())
        return compact(header(key), {**claims, "iat": now - 400, "exp": now - 100}, signer(key))


@asynccontextmanager
async def signed_in(place):
    async with place.visitor("spa-token") as visitor:
        tabs = Tabs(visitor)
        context = visitor.context
        context.on("request", tabs.note)
        await context.route(ME, tabs.send)
        await visitor.sign_up()
        yield tabs
        context.remove_listener("request", tabs.note)


async def test_a_person_signs_up_stays_signed_in_over_a_reload_and_signs_out(place):
    async with place.visitor("spa-token") as visitor:
        await visitor.sees_in("Sign in")
        await visitor.sign_up()
        assert await visitor.page.locator("#email").inner_text() == visitor.email
        await visitor.page.reload()
        await visitor.sees_in("Welcome")
        assert (await visitor.session())["generation"] == 2
        await visitor.click("Ask 20 times")
        await visitor.is_told("20 answers.")
        session = await visitor.session()
        await visitor.click("Sign out")
        await visitor.sees_in("Sign in")
        (row,) = await place.sql("SELECT ended_because FROM sessions WHERE id = $1", session["id"])
        assert row["ended_because"] == "logout"
        await visitor.page.reload()
        await visitor.sees_in("Sign in")


async def test_only_the_refresh_token_is_kept_and_only_for_this_tab(place):
    async with place.visitor("spa-token") as visitor:
        await visitor.sign_up()
        kept = json.loads(await visitor.page.evaluate("sessionStorage.keystead"))
        assert kept["refresh_token"].startswith("rt_")
        assert kept["access_token"] is None
        assert await visitor.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        await visitor.page.close()
        alone = await visitor.context.new_page()
        await alone.goto(visitor.url)
        await visitor.sees_in("Sign in", alone)


async def test_twenty_calls_with_an_expired_token_refresh_once(place):
    async with signed_in(place) as tabs:
        tabs.expire()
        await tabs.visitor.click("Ask 20 times")
        await tabs.visitor.is_told("20 answers.")
        assert len(tabs.refreshes) == 1
        session = await tabs.visitor.session()
        assert (session["generation"], session["refreshes"]) == (2, 1)


async def test_two_tabs_refresh_once_together_and_nobody_is_signed_out(place):
    async with signed_in(place) as tabs:
        visitor = tabs.visitor
        pages = [visitor.page, await tabs.open()]
        assert (await visitor.session())["generation"] == 1  # a tab that opens takes what the others have
        for times in range(1, 3):
            tabs.expire()
            await asyncio.gather(*(page.evaluate("document.getElementById('ask').click()") for page in pages))
            await asyncio.gather(*(visitor.is_told("20 answers.", page) for page in pages))
            assert len(tabs.refreshes) == times
        session = await visitor.session()
        assert (session["generation"], session["refreshes"], session["ended_because"]) == (3, 2, None)


async def test_an_answer_that_was_lost_is_asked_for_again_and_is_the_same(place):
    async with signed_in(place) as tabs:
        answers = []

        async def lose_the_first(route):
            # From this process, which knows nothing of the browser's way to the server.
            answer = await route.fetch(url=route.request.url.replace(KEYSTEAD, place.server))
            answers.append(await answer.json())
            await (route.abort() if len(answers) == 1 else route.fulfill(response=answer))

        await tabs.visitor.context.route(REFRESH, lose_the_first)
        tabs.expire()
        await tabs.visitor.click("Ask 20 times")
        await tabs.visitor.is_told("20 answers.")
        first, second = answers
        assert first["refresh_token"] == second["refresh_token"]
        session = await tabs.visitor.session()
        assert (session["generation"], session["ended_because"]) == (2, None)


async def test_without_a_network_a_person_stays_signed_in(place):
    async with signed_in(place) as tabs:
        tabs.expire()
        await tabs.visitor.context.route(REFRESH, lambda route: route.abort())
        await tabs.visitor.click("Ask 20 times")
        await tabs.visitor.is_told("The network does not answer")
        await tabs.visitor.context.unroute(REFRESH)
        await tabs.visitor.click("Ask 20 times")
        await tabs.visitor.is_told("20 answers.")


async def be_busy(route):
    await route.fulfill(status=503, headers={"access-control-allow-origin": "*"})


async def test_a_service_that_cannot_refresh_at_the_moment_signs_nobody_out(place):
    async with signed_in(place) as tabs:
        tabs.expire()
        await tabs.visitor.context.route(REFRESH, be_busy)
        await tabs.visitor.click("Ask 20 times")
        await tabs.visitor.is_told("the access token is missing, expired")
        await tabs.visitor.context.unroute(REFRESH)
        await tabs.visitor.click("Ask 20 times")
        await tabs.visitor.is_told("20 answers.")


async def test_a_session_that_has_ended_signs_every_tab_out(place):
    async with signed_in(place) as tabs:
        other = await tabs.open()
        session = await tabs.visitor.session()
        await place.sql(
            "UPDATE sessions SET ended_at = keystead_now(), ended_because = 'logout' WHERE id = $1",
            session["id"],
        )
        await tabs.visitor.click("Ask 20 times")
        for page in (tabs.visitor.page, other):
            await tabs.visitor.sees_in("Sign in", page)
        assert len(tabs.refreshes) == 1


async def test_signing_out_signs_every_tab_out(place):
    async with signed_in(place) as tabs:
        other = await tabs.open()
        await tabs.visitor.click("Sign out", other)
        await tabs.visitor.sees_in("Sign in")


async def test_another_session_in_another_tab_is_left_alone(place):
    """A tab that carries a session of its own neither takes nor gives."""
    async with signed_in(place) as tabs:
        visitor = tabs.visitor
        other = await tabs.open()
        kept = await visitor.page.evaluate("sessionStorage.keystead")
        stranger = {**json.loads(kept), "session_id": "another"}
        await other.evaluate("(kept) => { sessionStorage.keystead = kept; }", json.dumps(stranger))
        tabs.expire()
        await visitor.click("Ask 20 times")
        await visitor.is_told("20 answers.")
        assert json.loads(await other.evaluate("sessionStorage.keystead")) == stranger


async def test_tokens_go_to_the_apis_that_were_named_and_nowhere_else(place):
    async with place.visitor("spa-token") as visitor:
        await visitor.sign_up()
        sent = await visitor.page.evaluate(
            """async () => {
                const { Keystead } = await import("./client.js");
                const client = new Keystead({ url: "http://127.0.0.1:3000", apis: ["http://api.localhost:1"] });
                const refused = async (address) => {
                    try { await client.fetch(address); } catch (error) { return error.message; }
                };
                return [await refused("http://evil.localhost:1/"), await refused("http://127.0.0.1.evil.localhost:3000/")];
            }"""
        )
        assert sent == [
            "No API of ours: http://evil.localhost:1/",
            "No API of ours: http://127.0.0.1.evil.localhost:3000/",
        ]


@pytest.mark.parametrize(
    ("scheme", "email", "picture"),
    [("light", "ada@example.com", "first-sign-in"), ("dark", "grace@example.com", "first-sign-in-dark")],
)
async def test_a_first_sign_in_is_done_with_the_keyboard_and_can_be_read(place, scheme, email, picture):
    options = {"color_scheme": scheme, "viewport": {"width": 500, "height": 500}}
    async with place.visitor("spa-token", **options) as visitor:
        page = visitor.page
        await visitor.sees_in("Sign in")
        for typed in (email, PASSWORD):
            await page.keyboard.press("Tab")
            await page.keyboard.type(typed)
        before = await page.screenshot()
        assert await page.evaluate(LEAST_CONTRAST) >= 4.5
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        assert await page.get_attribute(":focus", "name") == "register"
        await page.keyboard.press("Enter")
        await visitor.sees_in("Welcome")
        assert await page.evaluate(LEAST_CONTRAST) >= 4.5
        await shoot_beside(visitor, before, await page.screenshot(), name=picture)


async def shoot_beside(visitor, *pictures, name):
    """Both in one: the README shows them (`make docs-images`)."""
    page = await visitor.context.new_page()
    await page.set_viewport_size({"width": 1000, "height": 500})
    images = (f"<img src='data:image/png;base64,{b64encode(each).decode()}'>" for each in pictures)
    await page.set_content(f"<body style='margin: 0; display: flex'>{''.join(images)}")
    await shoot(page, name)
