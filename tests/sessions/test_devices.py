"""Devices: whether an owner is told of a new one, and what strangers' words about themselves can do."""

import asyncio

import pytest

from keystead.sessions.devices import describe
from tests.contract.service import serving
from tests.support.people import PASSWORD, Person, make_user, new_email, register

pytestmark = pytest.mark.anyio

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
FIREFOX_LATER = FIREFOX.replace("140.0", "141.0")
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster, SERVER__TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8") as made:
        yield made


async def sign_in(service, email, user_agent=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if user_agent is not None:
        named["user-agent"] = user_agent
    body = {"email": email, "password": PASSWORD}
    answer = await service.client.post("/api/v1/auth/login", json=body, headers=named)
    assert answer.status_code == 200, answer.text
    pair = answer.json()
    return Person("", email, pair["access_token"], pair["refresh_token"], pair["session_id"])


async def notices(service, email):
    """The texts of what was mailed about new devices."""
    written = [mail for row, mail in await service.core.mail.read(limit=200) if row.kind == "new_device"]
    return [mail.words for mail in written if mail.to == email]


async def device_of(service, person):
    answer = await service.client.get(f"/api/v1/refresh_tokens/{person.session_id}", headers=person.bearer)
    return answer.json()["device"]


async def somebody(service):
    email = new_email()
    await make_user(service.core, email)
    return email


async def test_asvs_v5_6_3_5_a_new_kind_of_device_is_told_of_once_and_the_first_one_ever_not(service):
    email = await somebody(service)
    for user_agent, count in (
        (FIREFOX, 0),  # the first one ever
        (FIREFOX, 0),
        (FIREFOX_LATER, 0),  # the same, a version later
        (CHROME, 1),
        (CHROME, 1),
        (SAFARI, 2),
        (FIREFOX, 2),
    ):
        await sign_in(service, email, user_agent)
        assert len(await notices(service, email)) == count, user_agent
    assert ["Chrome on Linux" in words.text for words in reversed(await notices(service, email))] == [
        True,
        False,
    ]


async def test_a_device_stays_known_after_its_session_has_ended(service):
    email = await somebody(service)
    person = await sign_in(service, email, FIREFOX)
    assert (await service.client.post("/api/v1/auth/logout-all", headers=person.bearer)).status_code == 204
    await sign_in(service, email, FIREFOX)
    assert await notices(service, email) == []
    await sign_in(service, email, CHROME)
    assert len(await notices(service, email)) == 1


async def test_of_many_sign_ins_with_a_new_device_at_once_one_is_told_of(service):
    email = await somebody(service)
    await sign_in(service, email, FIREFOX)
    await asyncio.gather(*(sign_in(service, email, CHROME) for _ in range(8)))
    assert len(await notices(service, email)) == 1


async def test_registering_is_the_first_sign_in_and_a_new_proof_with_the_same_device_is_no_news(service):
    person = await register(service.client)
    answer = await service.client.post(
        "/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=person.bearer
    )
    assert answer.status_code == 200
    assert await notices(service, person.email) == []


async def test_the_same_device_of_two_people_looks_different_where_it_is_stored(service):
    for _ in range(2):
        await sign_in(service, await somebody(service), "a-program-of-canaries/1")
    rows = await service.sql(
        "SELECT device_index, device_sealed FROM sessions ORDER BY created_at DESC LIMIT 2"
    )
    assert rows[0]["device_index"] != rows[1]["device_index"]
    assert all(b"canaries" not in row["device_sealed"] for row in rows)


async def test_what_somebody_else_starts_in_a_users_name_is_no_device_of_theirs(service):
    root, email = await service.make_admin(), new_email()
    user_id = await make_user(service.core, email)
    issued = await service.client.post(
        "/api/v1/refresh_tokens",
        json={"user_id": str(user_id)},
        headers=root.bearer | {"user-agent": CHROME, "x-forwarded-for": "203.0.113.77"},
    )
    assert issued.status_code == 201
    person = await sign_in(service, email, FIREFOX)
    listed = await service.client.get("/api/v1/users/me/sessions", headers=person.bearer)
    devices = {item["id"]: item["device"] for item in listed.json()["items"]}
    assert devices[issued.json()["id"]] is None
    assert "203.0.113.77" not in listed.text
    assert await notices(service, email) == []  # the first one of their own
    await sign_in(service, email, CHROME)  # new to the user, though the administrator has one
    assert len(await notices(service, email)) == 1


async def test_sessions_of_before_devices_were_noted_make_no_device_new(service):
    """Of version 0.1.0: else everybody would be warned at the first sign-in after the upgrade."""
    person = await register(service.client)
    await service.sql(
        "UPDATE sessions SET device_index = NULL, device_sealed = NULL WHERE user_id = $1::text::uuid",
        person.id,
    )
    await sign_in(service, person.email, CHROME)
    assert await notices(service, person.email) == []
    await sign_in(service, person.email, FIREFOX)
    assert len(await notices(service, person.email)) == 1


HOSTILE = {
    "nothing": "",
    "spaces": "   ",
    "a mebibyte": "A" * (1 << 20),
    "a mebibyte of slashes": "/" * (1 << 20),
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "markup that names a browser": "<b>Firefox/1</b> <a href='https://evil.example'>Windows</a>",
    "an attribute": '" onmouseover="alert(1)',
    "a template": "{{ 7 * 7 }}{% raw %}",
    "a link": "https://evil.example/reset?token=x",
    "line ends": "curl\r\nX-Evil: 1",
    "a terminal's colours": "\x1b[31mred\x1b[0m",
    "nul": "nul\x00nul",
    "controls": bytes(range(1, 32)).decode(),
    "latin": bytes(range(160, 256)).decode("latin-1"),
    "a statement": "'; DROP TABLE sessions; --",
    "json": '{"name": "x", "address": "y"}',
    "a subject": "x\r\nBcc: victim@example.com",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_asvs_v5_16_4_1_and_cve_class_89_whatever_a_program_calls_itself_is_harmless(service, name):
    email = await somebody(service)
    await sign_in(service, email, FIREFOX)
    person = await sign_in(service, email, HOSTILE[name].encode("latin-1"))
    shown = (await device_of(service, person))["name"]
    assert 0 < len(shown) <= 60
    assert shown.isprintable()
    [words] = await notices(service, email)
    assert "<script" not in words.html
    assert '" onmouseover' not in words.html
    assert "evil.example" not in words.text.lower() + words.html.lower()
    assert "\n" not in words.subject
    assert shown in words.text


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (CHROME, "Chrome on Linux"),
        (SAFARI, "Safari on iPhone"),
        (
            CHROME.replace("X11; Linux x86_64", "Windows NT 10.0; Win64; x64") + " Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (CHROME.replace("X11; Linux x86_64", "Linux; Android 15; Pixel 9"), "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("okhttp/5.0.0", "an Android app"),
        ("MyApp/1 CFNetwork/1568 Darwin/24.0.0", "an Apple app on Apple"),
        ("python-httpx/0.28", "python-httpx"),
        ("", "an unknown device"),
        ("/", "an unknown device"),
    ],
)
def test_a_device_has_a_name_that_its_owner_recognises(user_agent, name):
    assert describe(user_agent) == name


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, "127.0.0.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what the client claims of itself is not believed
        ("198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"),  # through a second proxy of ours
        ("203.0.113.7, nonsense", "127.0.0.1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("203.0.113.7:1234", "203.0.113.7"),
        ("<script>", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
async def test_cve_class_53_the_address_is_the_one_that_trusted_proxies_vouch_for(
    service, forwarded, address
):
    headers = {} if forwarded is None else {"x_forwarded_for": forwarded}
    person = await sign_in(service, await somebody(service), FIREFOX, **headers)
    assert (await device_of(service, person))["address"] == address


async def test_without_trusted_proxies_nobody_is_believed(cluster):
    async with serving(cluster) as service:
        email = new_email()
        await make_user(service.core, email)
        person = await sign_in(service, email, FIREFOX, x_forwarded_for="203.0.113.7")
        assert (await device_of(service, person))["address"] == "127.0.0.1"
