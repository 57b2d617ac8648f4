"""Cookie mode: what is set, what it opens, and which pages and tokens it takes beside it."""

import asyncio
import random
import re

import pytest

from keystead.api.rest.cookies import CookieRules
from keystead.applications.book import Applications
from keystead.settings import configured_applications, defaults_of
from tests.conftest import settings_for
from tests.contract.answers import check_problem
from tests.contract.service import asgi_scope, serving
from tests.support.people import PASSWORD, Person, make_user, new_email, refresh
from tests.support.tables import contents

pytestmark = pytest.mark.anyio

AUTH = "/api/v1/auth"
OWN, WEB, SHOP, MOBILE = (
    "https://id.example",
    "https://app.example",
    "https://shop.example",
    "https://m.example",
)
PAGE = {"origin": WEB}  # of the application `web`
STRANGERS = [
    "null",
    "",
    "https://evil.example",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://evil-app.example",
    "https://sub.app.example",
    "https://sibling.id.example",
    "http://id.example",
    "https://APP.example",
    "https://app.example/",
    f"{WEB}, {OWN}",
    SHOP,  # of another application with cookies
    MOBILE,  # of one without
]


@pytest.fixture(scope="module")
async def service(cluster):
    applications = {
        "APPLICATIONS__WEB__MODE": "cookie",
        "APPLICATIONS__WEB__ALLOWED_ORIGINS": WEB,
        "APPLICATIONS__SHOP__MODE": "cookie",
        "APPLICATIONS__SHOP__ALLOWED_ORIGINS": SHOP,
        "APPLICATIONS__MOBILE__ALLOWED_ORIGINS": MOBILE,
    }
    async with serving(cluster, SERVER__PUBLIC_URL=OWN, **applications) as made:
        yield made


def cookie_named(client_id, token):
    return f"__Host-keystead-{client_id}={token}"


def cookie_of(answer, client_id="web"):
    """The refresh token in the cookie that an answer sets, whose attributes are exactly these."""
    [cookie] = [
        cookie
        for cookie in answer.headers.get_list("set-cookie")
        if not cookie.startswith("__Host-keystead_device=")
    ]
    match = re.fullmatch(
        f"__Host-keystead-{client_id}=(.*?); Max-Age=(\\d+); Path=/; Secure; HttpOnly; SameSite=Strict",
        cookie,
    )
    assert match, cookie
    token, lifetime = match[1], int(match[2])
    assert 14 * 86400 - 60 <= lifetime <= 14 * 86400 if token else lifetime == 0
    return token


async def post(service, path, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.post(f"{AUTH}{path}", json=body, headers=named)


async def sign_in(service, email=None, client_id="web", origin=WEB):
    """Somebody with a session of this application; their refresh token is the one in the cookie."""
    if email is None:
        email = new_email()
        await make_user(service.core, email)
    body = {"email": email, "password": PASSWORD, "client_id": client_id}
    answer = await post(service, "/login", body, origin=origin)
    assert answer.status_code == 200, answer.text
    assert "refresh_token" not in answer.json()
    pair = answer.json()
    return Person("", email, pair["access_token"], cookie_of(answer, client_id), pair["session_id"])


async def csrf_of(service, person, client_id="web"):
    cookie = cookie_named(client_id, person.refresh_token)
    answer = await service.client.get(
        f"{AUTH}/csrf", headers={"cookie": cookie, "sec-fetch-site": "same-origin"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["csrf_token"]


async def sent_by(service, person, client_id="web"):
    """What a page of the application sends along."""
    cookie = cookie_named(client_id, person.refresh_token)
    return {"cookie": cookie, "x-csrf-token": await csrf_of(service, person, client_id)}


async def is_alive(service, person):
    answer = await service.client.get("/api/v1/users/me", headers=person.bearer)
    return answer.status_code == 200


# --- what is set


async def test_asvs_v5_3_3_1_the_refresh_token_is_in_its_cookie_and_not_in_the_answer(service):
    email = new_email()
    body = {"email": email, "password": PASSWORD, "client_id": "web"}
    registered = await post(service, "/register", body, **PAGE)
    person = await sign_in(service, email)
    sent = await sent_by(service, person)
    refreshed = await service.client.post(f"{AUTH}/refresh", headers=PAGE | sent)
    proven = await service.client.post(
        f"{AUTH}/reauthenticate", json={"password": PASSWORD}, headers=PAGE | person.bearer
    )
    for answer in (registered, refreshed, proven):
        assert answer.is_success, answer.text
        token = cookie_of(answer)
        assert token.startswith("rt_")
        assert "refresh_token" not in answer.json()
        assert token not in answer.text


@pytest.mark.parametrize("same_site", ["lax", "strict"])
async def test_how_far_the_cookie_goes_along_is_a_setting(same_site, db, urls):
    settings = settings_for(urls, APPLICATIONS__WEB__MODE="cookie")
    applications = Applications(db, defaults_of(settings), configured_applications(settings))
    application = applications.of("web")
    rules = CookieRules(applications, own_origin=OWN, same_site=same_site)
    cookie = rules.set(application, "rt_x", max_age=5)
    assert cookie.endswith(f"; SameSite={same_site.capitalize()}")
    assert "domain" not in cookie.lower()


async def test_an_application_in_token_mode_never_sets_a_cookie_and_its_cookie_is_no_credential(service):
    email = new_email()
    await make_user(service.core, email)
    for client_id in ("mobile", "default"):
        answer = await post(
            service, "/login", {"email": email, "password": PASSWORD, "client_id": client_id}, **PAGE
        )
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        token = answer.json()["refresh_token"]
        before = await contents(service.urls)
        for path in ("/refresh", "/logout"):
            refused = await post(service, path, cookie=cookie_named(client_id, token), origin=MOBILE)
            assert refused.status_code == 401
        assert await contents(service.urls) == before
        assert "set-cookie" not in (await refresh(service.client, token)).headers


async def test_whoever_holds_the_token_itself_is_answered_with_the_next_one_and_gets_no_cookie(service):
    person = await sign_in(service)
    for ask in (
        {"headers": {"authorization": f"Bearer {person.refresh_token}", "origin": "https://evil.example"}},
        {"json": {"refresh_token": person.refresh_token}},
    ):
        answer = await service.client.post(f"{AUTH}/refresh", **ask)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert answer.json()["refresh_token"].startswith("rt_")


async def test_the_cookie_opens_nothing_but_refresh_logout_and_the_csrf_token(service):
    person = await sign_in(service)
    sent = await sent_by(service, person)
    for method, path in (
        ("GET", "/api/v1/users/me"),
        ("DELETE", "/api/v1/users/me"),
        ("GET", "/health"),
        ("POST", f"{AUTH}/logout-all"),
        ("PUT", f"/api/v1/refresh_tokens/{person.session_id}"),
        ("GET", f"/api/v1/refresh_tokens/{person.session_id}"),
    ):
        answer = await service.client.request(method, path, headers=PAGE | sent)
        check_problem(answer, 401, "unauthorized")
    assert await is_alive(service, person)


# --- the CSRF token


async def test_asvs_v5_3_5_1_without_the_sessions_own_csrf_token_nothing_is_rotated_and_nothing_ends(service):
    person, other = await sign_in(service), await sign_in(service)
    own, foreign = await csrf_of(service, person), await csrf_of(service, other)
    chance = random.Random(1)
    at = chance.randrange(3, len(own))
    wrong = [
        None,
        "",
        " ",
        "null",
        foreign,
        own[:-1],
        own[:-4],
        own + "A",
        own[3:],
        f"cs_{'A' * (len(own) - 3)}",
        own[:at] + ("A" if own[at] != "A" else "B") + own[at + 1 :],
        own.swapcase(),
        f"{own}, {own}",
        person.refresh_token,
        person.access_token,
        person.session_id,
        "x" * 8000,
    ]
    before = await contents(service.urls)
    for token in wrong:
        headers = PAGE | {"cookie": cookie_named("web", person.refresh_token)}
        headers |= {} if token is None else {"x-csrf-token": token}
        for path in ("refresh", "logout"):
            answer = await service.client.post(f"{AUTH}/{path}", headers=headers)
            check_problem(answer, 403, "csrf_refused")
            assert "set-cookie" not in answer.headers
    assert await contents(service.urls) == before


async def test_a_csrf_token_is_of_one_session_and_outlives_its_rotations(service):
    person = await sign_in(service)
    again = await sign_in(service, person.email)
    sent = await sent_by(service, person)
    for _ in range(3):
        answer = await service.client.post(f"{AUTH}/refresh", headers=PAGE | sent)
        assert answer.status_code == 200
        sent["cookie"] = cookie_named("web", cookie_of(answer))
    sent["cookie"] = cookie_named("web", again.refresh_token)
    answer = await service.client.post(f"{AUTH}/refresh", headers=PAGE | sent)
    check_problem(answer, 403, "csrf_refused")
    assert len({await csrf_of(service, again) for _ in range(3)}) == 3


async def test_a_cookie_that_is_none_of_ours_is_401_whatever_comes_with_it(service):
    person = await sign_in(service)
    csrf = await csrf_of(service, person)
    forged = person.refresh_token[:-1] + ("A" if person.refresh_token[-1] != "A" else "B")
    for token in ("", "x", forged, person.access_token, csrf):
        headers = PAGE | {"cookie": cookie_named("web", token), "x-csrf-token": csrf}
        for path in ("refresh", "logout"):
            answer = await service.client.post(f"{AUTH}/{path}", headers=headers)
            check_problem(answer, 401, "invalid_refresh_token")
        check_problem(await service.client.get(f"{AUTH}/csrf", headers=headers), 401, "invalid_refresh_token")
    assert await is_alive(service, person)


# --- the page


@pytest.mark.parametrize("origin", STRANGERS)
async def test_asvs_v5_3_5_3_no_page_of_another_origin_uses_the_cookie_not_even_with_its_csrf_token(
    service, origin
):
    person = await sign_in(service)
    sent = await sent_by(service, person) | {"origin": origin}
    before = await contents(service.urls)
    for path in ("refresh", "logout"):
        answer = await service.client.post(f"{AUTH}/{path}", headers=sent)
        check_problem(answer, 403, "origin_refused")
        assert "set-cookie" not in answer.headers
    check_problem(await service.client.get(f"{AUTH}/csrf", headers=sent), 403, "origin_refused")
    assert await contents(service.urls) == before


@pytest.mark.parametrize("origin", STRANGERS)
async def test_cve_class_65_no_page_of_another_origin_signs_its_visitor_in(service, origin):
    """To an account of the page's choice, that is."""
    attacker = await sign_in(service)
    before = await contents(service.urls)
    body = {"password": PASSWORD, "client_id": "web"}
    for path, email in (("/login", attacker.email), ("/register", new_email())):
        answer = await post(service, path, {"email": email, **body}, origin=origin)
        check_problem(answer, 403, "origin_refused")
        assert "set-cookie" not in answer.headers
    assert await contents(service.urls) == before
    for path, headers, ask in (
        ("/reauthenticate", attacker.bearer, {"password": PASSWORD}),
        ("/refresh", {}, {"refresh_token": attacker.refresh_token}),
    ):
        answer = await service.client.post(f"{AUTH}{path}", json=ask, headers={**headers, "origin": origin})
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ({"origin": OWN}, True),
        ({"origin": WEB}, True),
        ({"origin": WEB, "sec-fetch-site": "cross-site"}, True),  # the application's page is on another site
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),  # typed by the user
        ({}, True),  # no browser
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "Same-Origin"}, False),
        ({"sec-fetch-site": "same-origin, none"}, False),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, False),
        ({"origin": "null", "sec-fetch-site": "none"}, False),
    ],
    ids=str,
)
async def test_by_origin_where_there_is_one_and_else_by_what_the_browser_says_of_the_page(
    service, headers, admitted
):
    person = await sign_in(service)
    sent = await sent_by(service, person)
    answers = [
        await service.client.get(f"{AUTH}/csrf", headers={**headers, "cookie": sent["cookie"]}),
        await service.client.post(f"{AUTH}/refresh", headers=headers | sent),
        await service.client.post(
            f"{AUTH}/login",
            json={"email": person.email, "password": PASSWORD, "client_id": "web"},
            headers=headers,
        ),
        await service.client.post(f"{AUTH}/logout", headers=headers | sent),
    ]
    assert [answer.status_code for answer in answers] == ([200, 200, 200, 204] if admitted else [403] * 4)
    assert await is_alive(service, person) is not admitted


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/refresh", "/login", "/csrf"])
async def test_only_pages_of_applications_with_cookies_may_read_what_cookies_get(service, path, method):
    allowing = {}
    for origin in (WEB, SHOP, MOBILE, "https://evil.example", "null"):
        headers = {"origin": origin}
        if method == "OPTIONS":
            headers |= {
                "access-control-request-method": "POST",
                "access-control-request-headers": "x-csrf-token",
            }
        answer = await service.client.request(method, f"{AUTH}{path}", headers=headers)
        allowing[origin] = (
            answer.headers.get("access-control-allow-origin"),
            answer.headers.get("access-control-allow-credentials"),
        )
        assert "Origin" in answer.headers["vary"]
    assert allowing == {
        WEB: (WEB, "true"),
        SHOP: (SHOP, "true"),
        MOBILE: (MOBILE, None),
        "https://evil.example": (None, None),
        "null": (None, None),
    }


# --- one credential


async def test_two_credentials_in_one_call_are_400_in_every_combination(service):
    person, other = await sign_in(service), await sign_in(service)
    shop = await sign_in(service, client_id="shop", origin=SHOP)
    sent = await sent_by(service, person)
    body = {"refresh_token": other.refresh_token}
    bearers = [other.bearer, person.bearer, {"authorization": f"Bearer {other.refresh_token}"}]
    both = {"cookie": f"{sent['cookie']}; {cookie_named('shop', shop.refresh_token)}"}
    before = await contents(service.urls)
    for path in ("refresh", "logout"):
        for headers, content in (
            *((PAGE | sent | bearer, None) for bearer in bearers),
            (PAGE | sent, body),
            *((bearer, body) for bearer in bearers),
            *((PAGE | sent | bearer, body) for bearer in bearers),
            ({"origin": OWN} | sent | both, None),
        ):
            answer = await service.client.post(f"{AUTH}/{path}", json=content, headers=headers)
            check_problem(answer, 400, "several_credentials")
    answer = await service.client.get(f"{AUTH}/csrf", headers={"origin": OWN} | both)
    check_problem(answer, 400, "several_credentials")
    assert await contents(service.urls) == before


async def test_two_applications_in_one_browser_are_told_apart_by_the_page_and_by_name(service):
    person = await sign_in(service)
    shop = await sign_in(service, person.email, client_id="shop", origin=SHOP)
    jar = (
        f"theme=dark; {cookie_named('web', person.refresh_token)}; {cookie_named('shop', shop.refresh_token)}"
    )
    for origin, named, client_id, of in (
        (WEB, None, "web", person),
        (SHOP, None, "shop", shop),
        (WEB, "web", "web", person),
        (OWN, "web", "web", person),
        (OWN, "shop", "shop", shop),
    ):
        headers = {"origin": origin, "cookie": jar, "x-csrf-token": await csrf_of(service, of, client_id)}
        headers |= {} if named is None else {"x-client-id": named}
        answer = await service.client.post(f"{AUTH}/refresh", headers=headers)
        assert (answer.status_code, answer.json()["session_id"]) == (200, of.session_id)
        assert cookie_of(answer, client_id) != of.refresh_token
    for origin, named, status in (
        (WEB, "shop", 403),
        (SHOP, "web", 403),
        (OWN, "mobile", 401),
        (OWN, "nobody", 401),
    ):
        answer = await service.client.post(
            f"{AUTH}/refresh", headers={"origin": origin, "cookie": jar, "x-client-id": named}
        )
        assert answer.status_code == status


async def test_a_cookie_that_stands_there_twice_counts_for_nothing(service):
    person, attacker = await sign_in(service), await sign_in(service)
    own, planted = (cookie_named("web", each.refresh_token) for each in (person, attacker))
    for jar in (f"{own}; {planted}", f"{planted}; {own}", f"{own}; {own}"):
        answer = await service.client.post(f"{AUTH}/refresh", headers=PAGE | {"cookie": jar})
        check_problem(answer, 401, "invalid_refresh_token")
    assert await is_alive(service, person)


async def test_a_logout_ends_the_session_and_clears_its_cookie_and_no_other(service):
    person = await sign_in(service)
    shop = await sign_in(service, person.email, client_id="shop", origin=SHOP)
    sent = await sent_by(service, person)
    sent["cookie"] += f"; {cookie_named('shop', shop.refresh_token)}"
    answer = await service.client.post(f"{AUTH}/logout", headers=PAGE | sent)
    assert answer.status_code == 204
    assert cookie_of(answer) == ""
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert not await is_alive(service, person)
    assert await is_alive(service, shop)
    dead = await service.client.post(f"{AUTH}/refresh", headers=PAGE | sent)
    check_problem(dead, 401, "invalid_refresh_token")
    again = await service.client.post(f"{AUTH}/logout", headers=PAGE | sent)  # as in RFC 7009 §2.2
    assert (again.status_code, cookie_of(again)) == (204, "")


async def test_of_tabs_that_refresh_at_once_all_get_the_same_cookie(service):
    person = await sign_in(service)
    sent = await sent_by(service, person)
    answers = await asyncio.gather(
        *(service.client.post(f"{AUTH}/refresh", headers=PAGE | sent) for _ in range(6))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({cookie_of(answer) for answer in answers}) == 1


# --- headers that no browser sends


NAME = b"__Host-keystead-web"
MALFORMED = [
    b"", b";", b";;;;", b"=", b"=;=", b"a", b"a=b=c", NAME, NAME + b"=", NAME + b"==", NAME + b"=;" + NAME + b"=",
    NAME + b'="rt_x"', NAME + b"=\x00", b"\x00" + NAME + b"=x", NAME + b"=\xff\xfe", b"\xff" * 100, NAME + b" = x",
    NAME.lower() + b"=x", NAME + b"=" + b"A" * 60_000, b"a=b;" * 10_000, b"; " * 20_000, NAME + b"=rt_" + b"%41" * 30,
    b"$Version=1; " + NAME + b"=x; $Path=/", NAME + b"=x\r\nx-csrf-token: y", NAME + b"=x, " + NAME + b"=y",
    b"\t" + NAME + b"=\t", NAME + "=\u20ac".encode(), b"a\x0b=1;" + NAME + b"=\x0b", b"__Host-keystead-=x",
    b"__Host-keystead-web;__Host-keystead-shop", b"__Host-keystead-../../etc=x", b"[]=1; {}=2",
]  # fmt: skip


@pytest.mark.parametrize("header", MALFORMED, ids=lambda header: repr(header[:30]))
async def test_a_cookie_header_that_no_browser_sends_is_refused_and_breaks_nothing(service, header):
    for method, path in (("POST", "/refresh"), ("POST", "/logout"), ("GET", "/csrf")):
        for more in ([], [(b"cookie", header)], [(b"x-client-id", b"web")], [(b"x-client-id", b"\xff\x00")]):
            headers = [(b"host", b"id.example"), (b"cookie", header), *more]
            sent = []

            async def send(message):
                sent.append(message)  # noqa: B023 - used in this round

            async def receive():
                return {"type": "http.request", "body": b"", "more_body": False}

            scope = asgi_scope(method, f"{AUTH}{path}", headers) | {"client": ("127.0.0.1", 1)}
            await service.app(scope, receive, send)
            assert sent[0]["status"] in (400, 401, 403)
