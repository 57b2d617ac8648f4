"""The front end in cookie mode, in a real browser."""

import pytest

from tests.support.people import PASSWORD

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


async def test_a_person_signs_up_stays_signed_in_and_signs_out(place):
    async with place.visitor("spa-cookie") as visitor:
        await visitor.sees_in("Sign in")
        await visitor.sign_up()
        assert await visitor.page.locator("#email").inner_text() == visitor.email
        await visitor.page.reload()
        await visitor.sees_in("Welcome")  # through the cookie
        await visitor.click("Get a new token")
        await visitor.is_told("A new access token is here.")
        assert (await visitor.session())["generation"] == 3
        await visitor.click("Sign out")
        await visitor.sees_in("Sign in")
        await visitor.page.reload()
        await visitor.sees_in("Sign in")
        assert await visitor.context.cookies() == []


async def test_no_script_of_the_page_gets_at_the_refresh_token(place):
    async with place.visitor("spa-cookie") as visitor:
        await visitor.sign_up()
        (cookie,) = await visitor.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["secure"]) == ("__Host-keystead-web", True, True)
        kept = await visitor.page.evaluate("[document.cookie, sessionStorage.length, localStorage.length]")
        assert kept == ["", 0, 0]


async def test_a_new_tab_is_signed_in_and_neither_signs_the_other_out(place):
    async with place.visitor("spa-cookie") as visitor:
        await visitor.sign_up()
        other = await visitor.context.new_page()
        await other.goto(visitor.url)
        await visitor.sees_in("Welcome", other)
        for page in (visitor.page, other, visitor.page):
            await visitor.click("Get a new token", page)
            await visitor.is_told("A new access token is here.", page)
        assert (await visitor.session())["ended_because"] is None


async def test_what_goes_wrong_is_said(place):
    async with place.visitor("spa-cookie") as visitor:
        await visitor.enter("Sign in")
        await visitor.is_told("The e-mail address or the password is wrong.")
        await visitor.enter("Create account", "short")
        await visitor.is_told("at least 15")
        await visitor.context.set_offline(True)
        await visitor.enter("Create account", PASSWORD)
        await visitor.is_told("The network does not answer")
