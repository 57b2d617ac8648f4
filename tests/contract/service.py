"""A whole service in this process over a database of its own, which the tests of a module share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
from starlette.types import ASGIApp

from keystead.api.rest.server import rest_app
from keystead.core import Core
from keystead.kernel.clock import Clock
from keystead.serving.drain import Drain
from keystead.settings import Settings
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.contract.conformance import check_conformance
from tests.support.databases import Cluster, Urls
from tests.support.people import PASSWORD, Person, make_user, new_email

BASE = "http://localhost:3000"
PRODUCTION = {
    "ENV": "production",
    "SERVER__PUBLIC_URL": "https://id.example",
    "AUTH__ARGON2__MEMORY_KIB": "19456",
    "AUTH__ARGON2__ITERATIONS": "2",
}


@dataclass(frozen=True)
class Service:
    """The REST transport and what stands behind it."""

    urls: Urls
    settings: Settings
    core: Core
    app: ASGIApp
    client: httpx2.AsyncClient

    async def sql(self, statement: str, *args: object) -> list[Any]:
        """Run as the owner of the database."""
        connection = await asyncpg.connect(self.urls.owner)
        try:
            return await connection.fetch(statement, *args)
        finally:
            await connection.close()

    async def make_admin(self) -> Person:
        """An administrator, signed in."""
        email = new_email()
        user_id = await make_user(self.core, email, is_admin=True)
        pair = (await login(self.client, email)).json()
        return Person(str(user_id), email, pair["access_token"], pair["refresh_token"], pair["session_id"])

    async def disable(self, person: Person) -> None:
        await self.sql("UPDATE users SET status = 'disabled' WHERE id = $1::text::uuid", person.id)


@asynccontextmanager
async def serving(cluster: Cluster, **configured: str) -> AsyncIterator[Service]:
    """Over a fresh database; `configured` as in the fixture of that name."""
    async with cluster.clone() as urls, serving_over(urls, **configured) as service:
        yield service


@asynccontextmanager
async def serving_over(
    urls: Urls, clock: Clock | None = None, /, **configured: str
) -> AsyncIterator[Service]:
    settings = settings_for(urls, **configured)
    async with open_core(settings, clock=clock) as running:
        app = rest_app(running.core, settings, Drain(0))
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=True)
        hooks = {"response": [check_conformance]}
        async with httpx2.AsyncClient(transport=transport, base_url=BASE, event_hooks=hooks) as client:
            yield Service(urls, settings, running.core, app, client)


async def login(client, email, password=PASSWORD):
    return await client.post("/api/v1/auth/login", json={"email": email, "password": password})


async def send(service, content, *, path="/api/v1/auth/login", method="POST", **headers):
    """A request whose body says that it is JSON."""
    announced = {"content-type": "application/json"} | headers
    return await service.client.request(method, path, content=content, headers=announced)


def asgi_scope(method, path, headers):
    """What a server hands to the application: headers no client would send, or that it would mend."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
