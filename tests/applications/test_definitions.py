"""Definitions of applications that cannot be: each is refused by its field, over the API and at the start."""

import json
import re
from pathlib import Path

import pytest

from keystead.settings import load
from tests.contract.answers import check_problem
from tests.contract.service import serving
from tests.support.applications import APPLICATIONS, SHOP, sign_in_admin

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made


@pytest.fixture(scope="module")
async def admin(service):
    return await sign_in_admin(service.client, service.core)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"client_id": "Shop"}, "/client_id"),
        ({"client_id": "\u017fhop"}, "/client_id"),
        ({"client_id": "a b"}, "/client_id"),
        ({"audience": "two words"}, "/audience"),
        ({"audience": ""}, "/audience"),
        ({"allowed_origins": ["*"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["null"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example", "https://b.example/"]}, "/allowed_origins/1"),
        ({"allowed_origins": ["https://user@a.example"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["javascript:alert(1)"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example:443"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["http://a.example:80"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example:08443"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://b\u00fccher.example"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example"] * 51}, "/allowed_origins"),
        ({"redirect_urls": ["http://a.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://a.example/#x"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://evil.example\\@good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://user:pw@good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["data:text/html,x"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["//good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https:///good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/\u202ecod.exe"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/\u0000"]}, "/redirect_urls/0"),
        ({"redirect_urls": ['https://good.example/"><script>']}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/ https://evil.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://\u0433ood.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/" + "a" * 2100]}, "/redirect_urls"),
        ({"links": {"reset_url": "data:text/html,{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://evil.example\\@good.example/{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://user:{token}@good.example/"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/#{token}#{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/{token}\r\nBcc: x@evil.example"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/reset"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/{token}/{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "javascript:{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://{token}.evil.example/"}}, "/links/reset_url"),
        ({"links": {"other_url": "https://a.example/{token}"}}, "/links"),
        ({"access_token_ttl_secs": 1}, "/access_token_ttl_secs"),
        ({"session_idle_days": 31}, "/session_idle_days"),
        ({"session_idle_days": -1}, "/session_idle_days"),
        ({"claims": {"metadata": {"sub": "id"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"a b": "id"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"plan": "a..b"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"plan": "a\u0000"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {f"claim-{n}": "a" for n in range(21)}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"plan": "a"}, "from_hook": ["plan"]}}, "/claims/from_hook"),
        ({"claims": {"from_hook": ["roles"]}}, "/claims/from_hook"),
        ({"claims": {"roles": {"user": ""}}}, "/claims/roles"),
        ({"mode": "both"}, "/mode"),
        ({"name": "Shop\nBcc: x"}, "/name"),
        ({"name": ""}, "/name"),
        ({"claims": {"roles": {"user": "\u0000"}}}, "/claims/roles"),
        ({"client_id": "a" * 65}, "/client_id"),
        ({"client_id": "../admin"}, "/client_id"),
        ({"secret": "x"}, "/secret"),
    ],
    ids=lambda value: json.dumps(value)[:80],
)
async def test_a_bad_definition_is_refused_by_field(service, admin, changes, pointer):
    answer = await service.client.post(APPLICATIONS, json=SHOP | changes, headers=admin)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_what_the_page_shows_can_be_configured(tmp_path):
    (tmp_path / "config").mkdir()
    page = (Path(__file__).parents[2] / "docs" / "applications.md").read_text("utf-8")
    shown = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for block in shown:
        (tmp_path / "config" / "default.yaml").write_text(block)
        assert load(tmp_path, {}).settings.applications
    assert len(shown) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"{",
        b'{"client_id": "shop", "client_id": "blog"}',
        b'{"client_id": "shop", "links": ' + b'{"a":' * 5000,
        b'{"client_id": "shop", "name": "' + b"x" * 20_000 + b'"}',
        b'{"client_id": "shop", "name": "\\ud800"}',
        b'{"client_id": "shop", "session_idle_days": 1e999}',
        b'{"client_id": "shop", "session_idle_days": NaN}',
        b'{"client_id": "shop", "access_token_ttl_secs": ' + b"9" * 4000 + b"}",
    ],
    ids=lambda body: repr(body[:60]),
)
async def test_a_body_that_is_none_is_refused_and_makes_nothing(service, admin, body):
    headers = admin | {"content-type": "application/json"}
    answer = await service.client.post(APPLICATIONS, content=body, headers=headers)
    assert answer.status_code in (400, 413, 422)
    check_problem(answer, answer.status_code, answer.json()["code"])
    assert await service.sql("SELECT FROM applications") == []


@pytest.mark.parametrize(
    "client_id",
    ["nobody", "Shop", "a" * 1000, "shop.", "-", "_", "..", "shop.json"],
    ids=lambda name: name[:20],
)
async def test_a_name_that_none_bears_is_not_found(service, admin, client_id):
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = await service.client.request(method, f"{APPLICATIONS}/{client_id}", json=body, headers=admin)
        assert answer.status_code == 404
