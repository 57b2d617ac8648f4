"""Cookie mode, where it must hold: in a real browser, against pages that may and pages that may not."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from keystead.core import Core
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.support.browser import Profiles, site
from tests.support.people import PASSWORD, make_user, new_email
from tests.support.server import serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

COOKIE = "__Host-keystead-web"
# Browsers count `keystead.localhost` as the site: names below it are the same site, and other origins.
OWN, SIBLING, FOREIGN = "app.keystead.localhost", "evil.keystead.localhost", "evil.localhost"
STRANGERS = pytest.mark.parametrize("stranger", [SIBLING, FOREIGN])
# `call` is what a front end does; `send` is what any page can do without asking.
HTML = """<!doctype html><html lang="en"><title>A page</title><h1>A page</h1><script>
async function call(url, method = "GET", body = undefined, headers = {}) {
    try {
        const answer = await fetch(url, {
            method, credentials: "include", body: body && JSON.stringify(body),
            headers: {...(body && {"Content-Type": "application/json"}), ...headers},
        });
        const text = await answer.text();
        return {status: answer.status, ...(text && {body: JSON.parse(text)})};
    } catch (error) {
        return {error: error.name};
    }
}
async function send(url, method = "POST", body = undefined) {
    const answer = await fetch(url, {
        method, credentials: "include", mode: "no-cors", body, headers: {"Content-Type": "text/plain"},
    });
    return answer.type;
}
</script>"""


@dataclass(frozen=True)
class Place:
    """A service at `url`, and a site that answers to any name at `port`."""

    core: Core
    url: str
    port: int
    profiles: Profiles

    @asynccontextmanager
    async def person(self):
        """Somebody with a browser of their own, signed in on the application's page."""
        await make_user(self.core, email := new_email())
        async with self.profiles.lend() as context:
            visitor = Visitor(self, context, await self.open(context, OWN))
            answer = await visitor.call("/login", "POST", visitor.credential(email))
            assert answer["status"] == 200, answer
            assert "refresh_token" not in answer["body"]
            yield visitor

    async def open(self, context, host):
        page = await context.new_page()
        await page.goto(f"http://{host}:{self.port}/")
        return page


@dataclass(frozen=True)
class Visitor:
    place: Place
    context: Any
    page: Any

    def credential(self, email):
        return {"email": email, "password": PASSWORD, "client_id": "web"}

    async def call(self, path, method="GET", body=None, headers=None, *, page=None):
        """What a page (the application's) gets from the service; an error where the browser keeps it away."""
        arguments = [f"{self.place.url}/api/v1/auth{path}", method, body or None, headers or {}]
        return await (page or self.page).evaluate(
            "([u, m, b, h]) => call(u, m, b ?? undefined, h)", arguments
        )

    async def refresh(self):
        """As a front end does it."""
        csrf = (await self.call("/csrf"))["body"]["csrf_token"]
        return await self.call("/refresh", "POST", headers={"X-CSRF-Token": csrf})

    async def cookie(self):
        """The refresh cookie as the browser keeps it."""
        found = [one for one in await self.context.cookies() if one["name"] == COOKIE]
        assert len(found) <= 1
        return found[0] if found else None


@pytest.fixture(scope="module")
async def place(cluster, profiles):
    with site(HTML) as port:
        configured = {
            "APPLICATIONS__WEB__MODE": "cookie",
            "APPLICATIONS__WEB__ALLOWED_ORIGINS": f"http://{OWN}:{port}",
            "SERVER__PUBLIC_URL": "http://id.keystead.localhost:{port}",
        }
        async with (
            cluster.clone() as urls,
            serving(urls, workers=1, **configured) as server,
            open_core(settings_for(urls)) as running,
        ):
            url = f"http://id.keystead.localhost:{server.ports[0]}"
            yield Place(running.core, url, port, profiles)


async def test_the_browser_keeps_the_cookie_where_no_script_and_no_other_host_gets_at_it(place):
    async with place.person() as person:
        kept = await person.cookie()
        expires = kept.pop("expires")
        assert kept.pop("value").startswith("rt_")
        assert kept == {
            "name": COOKIE,
            "domain": "id.keystead.localhost",  # without a dot: this host alone
            "path": "/",
            "httpOnly": True,
            "secure": True,
            "sameSite": "Strict",
        }
        assert expires > 0
        assert await person.page.evaluate("document.cookie") == ""
        assert await person.page.evaluate("Object.keys(localStorage).length") == 0
        own = await person.context.new_page()
        await own.goto(f"{place.url}/docs")
        assert await own.evaluate("document.cookie") == ""


async def test_the_application_refreshes_with_the_csrf_token_and_not_without(place):
    async with place.person() as person:
        first = await person.cookie()
        for headers in ({}, {"X-CSRF-Token": "x"}):
            answer = await person.call("/refresh", "POST", headers=headers)
            assert (answer["status"], answer["body"]["code"]) == (403, "csrf_refused")
        assert await person.cookie() == first
        answer = await person.refresh()
        assert answer["status"] == 200
        assert "refresh_token" not in answer["body"]
        second = await person.cookie()
        assert second["value"] != first["value"]
        assert (await person.refresh())["status"] == 200
        bearer = {"Authorization": f"Bearer {answer['body']['access_token']}"}
        me = await person.page.evaluate(
            "([u, h]) => call(u, 'GET', undefined, h)", [f"{place.url}/api/v1/users/me", bearer]
        )
        assert me["status"] == 200


async def test_signing_out_takes_the_cookie_away_and_ends_the_session(place):
    async with place.person() as person:
        kept = await person.cookie()
        answer = await person.call("/logout", "POST")
        assert (answer["status"], answer["body"]["code"]) == (403, "csrf_refused")
        csrf = (await person.call("/csrf"))["body"]["csrf_token"]
        assert await person.call("/logout", "POST", headers={"X-CSRF-Token": csrf}) == {"status": 204}
        assert await person.cookie() is None
        assert (await person.call("/csrf"))["body"]["code"] == "invalid_refresh_token"
        await person.context.add_cookies([kept])  # whoever had copied it
        answer = await person.call("/refresh", "POST", headers={"X-CSRF-Token": csrf})
        assert (answer["status"], answer["body"]["code"]) == (401, "invalid_refresh_token")


@STRANGERS
async def test_a_strangers_page_reads_nothing_and_changes_nothing(place, stranger):
    async with place.person() as person:
        kept = await person.cookie()
        csrf = (await person.call("/csrf"))["body"]["csrf_token"]  # even if it had the token
        page = await place.open(person.context, stranger)
        for path, method in (("/csrf", "GET"), ("/refresh", "POST"), ("/logout", "POST")):
            for headers in ({}, {"X-CSRF-Token": csrf}, {"X-Client-Id": "web"}):
                answer = await person.call(path, method, headers=headers, page=page)
                assert answer == {"error": "TypeError"}, (path, headers)
            sent = await page.evaluate("([u, m]) => send(u, m)", [f"{place.url}/api/v1/auth{path}", method])
            assert sent == "opaque"
        assert await person.cookie() == kept
        assert (await person.call("/refresh", "POST", headers={"X-CSRF-Token": csrf}))["status"] == 200


@STRANGERS
async def test_a_strangers_form_is_sent_and_refused(place, stranger):
    async with place.person() as person:
        kept = await person.cookie()
        page = await place.open(person.context, stranger)
        for path in ("/logout", "/refresh"):
            await page.goto(f"http://{stranger}:{place.port}/")
            async with page.expect_navigation() as navigation:
                await page.evaluate(
                    """(url) => {
                        const form = document.createElement("form");
                        Object.assign(form, {method: "post", action: url, enctype: "text/plain"});
                        document.body.append(form);
                        form.submit();
                    }""",
                    f"{place.url}/api/v1/auth{path}",
                )
            answer = await navigation.value
            refused = (answer.status, (await answer.json())["code"])
            # To another site the browser does not even send the cookie.
            assert (refused == (403, "origin_refused")) if stranger == SIBLING else refused[0] == 401
        assert await person.cookie() == kept
        assert (await person.refresh())["status"] == 200


@STRANGERS
async def test_a_strangers_link_to_the_token_shows_no_token(place, stranger):
    """A navigation carries the cookie to where it belongs, but says whose page it came from."""
    async with place.person() as person:
        page = await place.open(person.context, stranger)
        async with page.expect_navigation() as navigation:
            await page.evaluate("(url) => { location.href = url; }", f"{place.url}/api/v1/auth/csrf")
        answer = await navigation.value
        assert answer.status in (401, 403)
        assert "csrf_token" not in await answer.text()


@STRANGERS
async def test_a_strangers_page_signs_nobody_in(place, stranger):
    """To an account of its own, whose owner would then read along."""
    await make_user(place.core, email := new_email())
    async with place.profiles.lend() as context:
        visitor = Visitor(place, context, await place.open(context, stranger))
        credential = visitor.credential(email)
        assert await visitor.call("/login", "POST", credential) == {"error": "TypeError"}
        for kind in ("text/plain", "application/json"):
            sent = await visitor.page.evaluate(
                """([url, body, kind]) => fetch(url, {
                    method: "POST", credentials: "include", mode: "no-cors", body: JSON.stringify(body),
                    headers: {"Content-Type": kind},
                }).then((answer) => answer.type)""",
                [f"{place.url}/api/v1/auth/login", credential, kind],
            )
            assert sent == "opaque"
        assert await context.cookies() == []


async def test_a_sibling_cannot_plant_a_cookie_of_its_own(place):
    async with place.person() as person:
        kept = await person.cookie()
        page = await place.open(person.context, SIBLING)
        for attributes in ("domain=keystead.localhost", "domain=id.keystead.localhost", "path=/api"):
            await page.evaluate(f"document.cookie = '{COOKIE}=rt_planted; secure; path=/; {attributes}'")
        assert await page.evaluate("document.cookie") == ""
        assert await person.cookie() == kept
        assert (await person.refresh())["status"] == 200
