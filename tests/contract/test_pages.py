"""The pages that mailed links lead to, and the mails of a development server."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from keystead.api.web.pages import STYLESHEET
from tests.contract.answers import check_headers, check_problem
from tests.contract.service import PRODUCTION, Service, login, serving
from tests.support.journeys import JOURNEYS, NEW_PASSWORD, Journey, invitation
from tests.support.mailbox import Mailbox, link_in, mailbox
from tests.support.pages import Page, find_barriers, find_foreign_things, read_page
from tests.support.people import PASSWORD, make_user, new_email

pytestmark = pytest.mark.anyio

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
FORM = {"content-type": "application/x-www-form-urlencoded"}
DEVELOPMENT = {
    "ENV": "development",
    "AUTH__ARGON2__MEMORY_KIB": "19456",
    "AUTH__ARGON2__ITERATIONS": "2",
}
MARKUP = """</p><script>alert(1)</script><b class="x" id='h'>&amp;"""
GONE = "This link is not valid any more"


def mailing(box, **more):
    """Settings of a service that mails to `box`, and waits for proven addresses."""
    mail = {"MAIL__HOST": box.host, "MAIL__PORT": str(box.port), "MAIL__SECURITY": "none"}
    return {"AUTH__REQUIRE_VERIFIED_EMAIL": "true", **mail, **more}


@dataclass(frozen=True)
class Post:
    """A service, and where its mails arrive."""

    service: Service
    box: Mailbox

    async def path_to(self, address: str) -> str:
        """Of the link in the latest mail to `address`."""
        while await self.service.core.mail.deliver():
            pass
        return urlsplit(link_in(self.box.sent_to(address)[-1])).path

    async def start(self, name: str) -> tuple[str, Journey]:
        journey = await JOURNEYS[name](self.service.core, self.service.client)
        path = await self.path_to(journey.mailbox)
        assert path.startswith(f"/{name}/tk_")
        return path, journey

    async def visit(self, path: str, *, status: int = 200, language: str = "en") -> Page:
        answer = await self.service.client.get(path, headers={"accept-language": language})
        return checked(answer, status)

    async def press(self, path: str, *, status: int = 200, language: str = "en", **typed: str) -> Page:
        answer = await self.service.client.post(
            path, data=typed, headers=FORM | {"accept-language": language}
        )
        return checked(answer, status)


def checked(answer, status: int) -> Page:
    """Every page is one that everybody can use, under the policy of pages, and stays with its visitor alone."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept-Language, Origin"
    check_headers(answer, policy=PAGE_POLICY)
    page = read_page(answer.text)
    assert find_barriers(page) == []
    assert find_foreign_things(page) == []
    assert answer.headers["content-language"] == page.one("html").attributes["lang"]
    assert page.one("link", rel="stylesheet").attributes["href"] == STYLESHEET
    return page


@pytest.fixture(scope="module")
async def box():
    async with mailbox() as made:
        yield made


@pytest.fixture(scope="module")
async def post(cluster, box):
    async with serving(cluster, **mailing(box)) as service:
        yield Post(service, box)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("name", JOURNEYS)
async def test_looking_uses_nothing_up_and_the_button_works_once(post, name, language):
    path, journey = await post.start(name)
    client = post.service.client
    assert (await login(client, journey.email, journey.password)).status_code in (401, 403)
    for _ in range(2):
        head = await client.head(path)
        assert (head.status_code, head.headers["content-type"]) == (200, "text/html; charset=utf-8")
        page = await post.visit(path, language=language)
        assert page.is_form
        assert set(page.inputs) == set(journey.typed)
    assert (await login(client, journey.email, journey.password)).status_code in (401, 403)

    done = await post.press(path, language=language, **journey.typed)
    assert not done.is_form
    assert (await login(client, journey.email, journey.password)).status_code == 200

    again = await post.press(path, status=401, language=language, **journey.typed)
    assert again.heading == (await post.visit(path, status=401, language=language)).heading
    assert again.heading in (GONE, "Dieser Link gilt nicht mehr")
    assert not again.is_form


@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_link_is_good_for_its_own_page_only(post, name):
    path, journey = await post.start(name)
    token = path.rpartition("/")[2]
    for other in JOURNEYS.keys() - {name}:
        typed = {"password": NEW_PASSWORD} if other in ("reset", "invitation") else {}
        assert (await post.visit(f"/{other}/{token}", status=401)).heading == GONE
        assert (await post.press(f"/{other}/{token}", status=401, **typed)).heading == GONE
    await post.press(path, **journey.typed)


@pytest.mark.parametrize("token", ["x", "tk_", "tk_" + "A" * 60, "A" * 5000])
@pytest.mark.parametrize("name", JOURNEYS)
async def test_what_is_no_link_of_ours_gets_the_same_page(post, name, token):
    page = await post.visit(f"/{name}/{token}", status=401)
    assert page.heading == GONE
    assert token not in page.text or token == "x"


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "The password is too short: use at least 15 characters."),
        ("tiny-1", "The password is too short: use at least 15 characters."),
        ("é" * 600, "The password is too long: use at most 1024 bytes."),
        ("keystead keystead", "count for nothing: use at least 15 characters beside them."),
        ("passwordpassword", "or was found where passwords were stolen. Choose another."),
    ],
    ids=["none", "short", "long", "guessable", "known"],
)
@pytest.mark.parametrize("name", ["reset", "invitation"])
async def test_a_password_that_breaks_the_rules_is_explained_and_the_link_stays_good(
    post, name, password, reason
):
    path, journey = await post.start(name)
    page = await post.press(path, status=422, **journey.typed | {"password": password})
    assert page.title.startswith("Error: ")
    field = page.inputs["password"]
    assert field.attributes["aria-invalid"] == "true"
    beside = page.one("p", id="password-problem")
    assert beside.text.endswith(reason)
    assert field.attributes["aria-describedby"].split() == ["password-hint", "password-problem"]
    assert reason in page.one("div", role="alert").text
    assert [link.text for link in page.all("a", href="#password")] == [beside.text.removeprefix("Error: ")]
    assert "value" not in field.attributes
    assert not password or password not in page.text
    if "full_name" in journey.typed:
        assert page.inputs["full_name"].attributes["value"] == "Ada Lovelace"
    await post.press(path, **journey.typed)


async def test_every_bad_field_is_named_at_once_and_a_name_stays_text(post):
    path, journey = await post.start("invitation")
    name = f"{MARKUP}\u0007"
    page = await post.press(path, status=422, full_name=name, password="short", language="de")
    assert page.inputs["full_name"].attributes["value"] == name
    assert page.inputs["full_name"].attributes["aria-describedby"] == "full_name-problem"
    assert [link.attributes["href"] for link in page.all("a")] == ["#full_name", "#password"]
    assert page.one("p", id="full_name-problem").text.startswith("Fehler: Der Name ist zu lang")
    await post.press(path, **journey.typed)


async def test_an_invitation_needs_no_name_and_keeps_the_one_it_was_written_with(post):
    core, client = post.service.core, post.service.client
    for given, typed, kept in (
        ("Grace Hopper", "", "Grace Hopper"),
        ("Grace Hopper", "  ", "Grace Hopper"),
        (None, " Ada Lovelace ", "Ada Lovelace"),
    ):
        journey = await invitation(core, client, full_name=given)
        path = await post.path_to(journey.mailbox)
        await post.press(path, password=NEW_PASSWORD, full_name=typed)
        pair = (await login(client, journey.email, NEW_PASSWORD)).json()
        bearer = {"authorization": f"Bearer {pair['access_token']}"}
        assert (await client.get("/api/v1/users/me", headers=bearer)).json()["full_name"] == kept


async def test_the_password_field_tells_browsers_and_people_what_is_wanted(post):
    path, _ = await post.start("reset")
    page = await post.visit(path)
    assert page.inputs["password"].attributes == {
        "id": "password",
        "name": "password",
        "type": "password",
        "autocomplete": "new-password",
        "required": "",
        "minlength": "15",
        "aria-describedby": "password-hint",
    }
    assert page.one("p", id="password-hint").text.startswith("At least 15 characters.")
    assert page.one("form").attributes == {"method": "post"}
    path, _ = await post.start("invitation")
    assert (await post.visit(path)).inputs["full_name"].attributes["autocomplete"] == "name"


async def test_an_address_that_got_an_account_meanwhile_is_told(post):
    path, journey = await post.start("change-email")
    client = post.service.client
    await client.post("/api/v1/auth/register", json={"email": journey.email, "password": PASSWORD})
    await post.press(await post.path_to(journey.email))
    page = await post.press(path, status=409)
    assert page.heading == "This email address has an account already"


async def test_a_service_that_is_busy_says_so_and_the_link_stays_good(post):
    path, journey = await post.start("reset")
    hasher = post.service.core.flows.reset_password.hasher
    hasher._waiting += 1_000_000
    try:
        answer = await post.service.client.post(path, data=journey.typed)
        page = checked(answer, 503)
    finally:
        hasher._waiting -= 1_000_000
    assert answer.headers["retry-after"] == "1"
    assert page.heading == "One moment, please"
    assert page.one("a").attributes["href"] == ""
    await post.press(path, **journey.typed)


async def test_the_page_names_the_application_that_the_link_belongs_to(cluster, box):
    names = {
        "MAIL__PRODUCT": MARKUP,
        "APPLICATIONS__SHOP__NAME": "The {Shop} & Sons",
    }
    async with serving(cluster, **mailing(box, **names)) as service:
        post = Post(service, box)
        for client_id, name in (("shop", "The {Shop} & Sons"), ("default", MARKUP)):
            journey = await invitation(service.core, service.client, client_id=client_id)
            path = await post.path_to(journey.mailbox)
            page = await post.visit(path)
            assert page.title == f"Accept your invitation · {name}"
            assert f"You are invited to {name}." in page.text
            await post.press(path, status=422, password="x", full_name="x")
            assert name in (await post.press(path, status=200, **journey.typed)).text
            assert MARKUP in (await post.visit(path, status=401)).text


async def test_who_is_done_goes_on_in_the_application_and_nowhere_else(cluster, box):
    names = {
        "APPLICATIONS__SHOP__REDIRECT_URLS": "https://shop.example/welcome?a=1&b=2, https://shop.example/2"
    }
    async with serving(cluster, **mailing(box, **names)) as service:
        post = Post(service, box)
        for client_id, links in (("shop", ["https://shop.example/welcome?a=1&b=2"]), ("default", [])):
            journey = await invitation(service.core, service.client, client_id=client_id)
            path = await post.path_to(journey.mailbox)
            assert (await post.visit(path)).all("a", rel="noreferrer") == []
            done = await post.press(path, status=200, **journey.typed)
            assert [link.attributes["href"] for link in done.all("a", rel="noreferrer")] == links


async def test_cve_class_64_no_request_says_where_its_page_leads(post):
    path, journey = await post.start("invitation")
    where = "?next=https://evil.example&redirect_uri=https://evil.example&return_to=//evil.example"
    headers = {"referer": "https://evil.example/", "origin": "https://evil.example", **FORM}
    answer = await post.service.client.post(path + where, data=journey.typed, headers=headers)
    assert answer.status_code == 200, answer.text
    assert "evil" not in answer.text
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "",
        f"{FORM['content-type']}; charset=latin-1",
    ],
)
@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_body_that_is_no_form_is_not_taken(post, name, content_type):
    answer = await post.service.client.post(
        f"/{name}/tk_x", content=b'{"password": "x"}', headers={"content-type": content_type}
    )
    check_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_field_that_the_page_does_not_have_is_refused(post, name):
    path, journey = await post.start(name)
    for more in ({"roles": "admin"}, {"token": "tk_x"}, {"status": "active"}):
        answer = await post.service.client.post(path, data=journey.typed | more, headers=FORM)
        check_problem(answer, 422, "invalid_input")
    await post.press(path, **journey.typed)


async def test_a_link_stands_in_no_log_and_in_no_query(post):
    path, journey = await post.start("reset")
    token = path.rpartition("/")[2]
    with capture_logs() as logs:
        await post.visit(path)
        await post.press(path, status=422, password="short")
        await post.press(path, **journey.typed)
    assert {log["route"] for log in logs if log["event"] == "request"} == {"/reset/{token}"}
    assert token not in repr(logs)
    answer = await post.service.client.get(f"/reset/x?token={token}")
    check_problem(answer, 400, "credential_in_url")


@pytest.mark.parametrize(
    ("default", "asked", "language"),
    [
        ("en", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en", "fr, en;q=0.2, de;q=0.3", "de"),
        ("en", "fr", "en"),
        ("de-AT", "fr", "de"),
        ("de-AT", "", "de"),
        ("de", "en-GB", "en"),
    ],
)
async def test_the_page_is_in_the_language_that_the_browser_asks_for(cluster, default, asked, language):
    async with serving(cluster, MAIL__LOCALE=default if default != "de-AT" else "de") as service:
        answer = await service.client.get("/unlock/tk_x", headers={"accept-language": asked})
        assert checked(answer, 401).one("html").attributes["lang"] == language


async def test_the_stylesheet_may_be_kept_for_a_while(post):
    answer = await post.service.client.get(STYLESHEET)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert "prefers-color-scheme: dark" in answer.text


# The mails of a development server.


async def mails_of(service):
    answer = await service.client.get("/dev/mail")
    assert answer.status_code == 200, answer.text
    check_headers(answer, policy=PAGE_POLICY)
    page = read_page(answer.text)
    assert find_barriers(page) == []
    assert find_foreign_things(page) == []
    assert page.one("meta", **{"http-equiv": "refresh"}).attributes["content"] == "5"
    return page


async def test_a_development_server_shows_its_mails_as_text_and_as_html(cluster):
    async with serving(cluster, **DEVELOPMENT, MAIL__PRODUCT=MARKUP) as service:
        assert "No mail yet." in (await mails_of(service)).text
        await make_user(service.core, email := new_email())
        await service.client.post("/api/v1/auth/password/forgot", json={"email": email})
        await service.core.mail.deliver()
        page = await mails_of(service)
        assert page.one("span", **{"class": "state good"}).text == "kept here"
        for fact in (email, "reset_password", "No mail server is configured"):
            assert fact in page.text
        [to_mail, to_page] = page.all("a")
        assert to_mail.text == page.one("h2").text == f"Reset your password for {MARKUP}"

        answer = await service.client.get(to_mail.attributes["href"])
        check_headers(answer, policy=PAGE_POLICY)
        mail = read_page(answer.text)
        assert find_barriers(mail) + find_foreign_things(mail) == []
        assert mail.heading == to_mail.text
        assert mail.all("a", href=to_page.text)
        assert mail.all("a", href=f"{to_mail.attributes['href']}/html")

        answer = await service.client.get(f"{to_mail.attributes['href']}/html")
        check_headers(answer, policy=MAIL_POLICY)
        assert f'href="{to_page.text}"' in answer.text
        assert "<script" not in answer.text


async def test_a_mail_whose_link_was_used_has_nothing_to_say_any_more(cluster):
    async with serving(cluster, **DEVELOPMENT) as service:
        journey = await invitation(service.core, service.client)
        [to_mail, to_page] = (await mails_of(service)).all("a")
        answer = await service.client.post(urlsplit(to_page.text).path, data=journey.typed)
        assert answer.status_code == 200
        assert "Nothing to say any more" in (await mails_of(service)).text
        answer = await service.client.get(to_mail.attributes["href"])
        assert read_page(answer.text).heading == "Nothing to say any more"
        assert (await service.client.get(f"{to_mail.attributes['href']}/html")).status_code == 404


async def test_it_says_what_became_of_each_mail(cluster, box):
    async with serving(cluster, **DEVELOPMENT, **mailing(box)) as service:
        emails = [new_email() for _ in range(3)]
        box.answer_with("550 5.1.1 no such person", to=emails[0])
        try:
            for email in emails[:2]:
                await service.client.post(
                    "/api/v1/auth/register", json={"email": email, "password": PASSWORD}
                )
            await service.core.mail.deliver()
        finally:
            box.answer_with(None)
        journey = await invitation(service.core, service.client)
        assert [one.text for one in (await mails_of(service)).all("span")] == [
            "waiting",
            "sent",
            "set aside: refused: 550 5.1.1",
        ]
        assert journey.email in (await mails_of(service)).text


@pytest.mark.parametrize("profile", ["test", "production"])
async def test_elsewhere_nobody_reads_mails(cluster, profile):
    more = PRODUCTION if profile == "production" else {}
    async with serving(cluster, **more) as service:
        await invitation(service.core, service.client)
        [(stored, _)] = await service.core.mail.read()
        for path in ("/dev/mail", f"/dev/mail/{stored.id}", f"/dev/mail/{stored.id}/html"):
            check_problem(await service.client.get(path), 404, "not_found")


async def test_a_foreign_name_that_leads_here_reads_no_mail(cluster):
    """DNS rebinding: a page of that name would be of the same origin."""
    async with serving(cluster, **DEVELOPMENT) as service:
        for host, status in (
            ("evil.example", 404),
            ("localhost.evil.example", 404),
            ("localhost:3000", 200),
            ("127.0.0.1:3000", 200),
            ("[::1]:3000", 200),
            ("id.localhost", 200),
        ):
            answer = await service.client.get("/dev/mail", headers={"host": host})
            assert answer.status_code == status


@pytest.mark.parametrize("mail_id", ["x", "018f0000-0000-7000-8000-000000000000"])
async def test_a_mail_that_does_not_exist_is_not_found(cluster, mail_id):
    async with serving(cluster, **DEVELOPMENT) as service:
        for path in (f"/dev/mail/{mail_id}", f"/dev/mail/{mail_id}/html"):
            check_problem(await service.client.get(path), 404, "not_found")
