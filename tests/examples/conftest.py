"""A Keystead server that the examples of a module share, and the tokens that people show to them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from keystead.jwt.types import SigningKey
from keystead.kernel.clock import Clock
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.examples.front_ends import front_ends
from tests.jwt.forging import compact, signer
from tests.support.databases import Urls
from tests.support.people import PASSWORD, make_user, new_email
from tests.support.server import serving


@dataclass(frozen=True)
class Keystead:
    """A running server, and the key that it signs with, for tokens that it would never sign."""

    url: str
    urls: Urls
    client: httpx2.AsyncClient
    key: SigningKey
    emails: Mapping[str, str]  # of `user` and `admin`

    async def sql(self, statement: str, *arguments: object):
        connection = await asyncpg.connect(self.urls.owner)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def sign_in(self, who: str = "user", client_id: str | None = None) -> dict[str, str]:
        body = {
            "email": self.emails[who],
            "password": PASSWORD,
            **({"client_id": client_id} if client_id else {}),
        }
        return await self._post("login", json=body)

    async def sign_in_long_ago(self) -> dict[str, str]:
        """As somebody who proved who they are an hour ago, and has refreshed since."""
        pair = await self.sign_in()
        await self.sql(
            "UPDATE sessions SET auth_time = auth_time - interval '1 hour' WHERE id = $1::text::uuid",
            pair["session_id"],
        )
        return await self._post("refresh", headers={"authorization": f"Bearer {pair['refresh_token']}"})

    async def reauthenticate(self, pair: Mapping[str, str]) -> dict[str, str]:
        headers = {"authorization": f"Bearer {pair['access_token']}"}
        return await self._post("reauthenticate", headers=headers, json={"password": PASSWORD})

    def header(self, **changes: object) -> dict[str, object]:
        whole = {"alg": self.key.algorithm.value, "kid": self.key.kid, "typ": "at+jwt", **changes}
        return {name: value for name, value in whole.items() if value is not ...}

    def claims(self, **changes: object) -> dict[str, object]:
        """What a good token says; `...` drops a claim."""
        now = int(time.time())
        whole = {
            "iss": self.url, "aud": self.url, "sub": str(uuid4()), "sid": str(uuid4()), "jti": str(uuid4()),
            "client_id": "default", "iat": now - 1, "exp": now + 300, "auth_time": now - 1,
            "amr": ["pwd"], "roles": ["user"], "scope": "", **changes,
        }  # fmt: skip
        return {name: value for name, value in whole.items() if value is not ...}

    def signed(self, head: Mapping[str, object] | None = None, **changes: object) -> str:
        """Signed by this server's key, whatever it says."""
        return compact(head or self.header(), self.claims(**changes), signer(self.key))

    async def _post(self, path: str, **request) -> dict[str, str]:
        answer = await self.client.post(f"/api/v1/auth/{path}", **request)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
async def keystead(cluster):
    configured = {
        "APPLICATIONS__OTHER__AUDIENCE": "https://other.example",
        "SERVER__PUBLIC_URL": "http://127.0.0.1:{port}",
    }
    async with (
        cluster.clone() as urls,
        serving(urls, workers=1, **configured) as server,
        open_core(settings_for(urls)) as running,
        httpx2.AsyncClient(base_url=server.base_url) as client,
    ):
        emails = {who: new_email() for who in ("user", "admin")}
        for who, email in emails.items():
            await make_user(running.core, email, is_admin=who == "admin")
        yield Keystead(server.base_url, urls, client, running.keyring.current(Clock().now()), emails)


@pytest.fixture(scope="session")
async def place(cluster, tmp_path_factory):
    """The front ends, in a browser."""
    async with front_ends(cluster, tmp_path_factory.mktemp("front_ends")) as made:
        yield made
