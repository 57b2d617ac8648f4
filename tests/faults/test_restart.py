"""What was replaced stays replaced, whatever becomes of the process: a restart brings no token back."""

import httpx2
import pytest

from tests.support.people import refresh, register
from tests.support.server import serving

pytestmark = pytest.mark.anyio

RESTARTS = 3


@pytest.mark.timeout(120)
async def test_cve_class_21_after_a_restart_a_replaced_token_is_theft_as_before(urls):
    async with (
        serving(urls, AUTH__REFRESH_REUSE_WINDOW_SECS="0") as server,
        httpx2.AsyncClient(timeout=30) as client,
    ):
        [worker] = server.workers
        client.base_url = server.base_url
        for _ in range(RESTARTS):
            person = await register(client)
            current = (await refresh(client, person.refresh_token)).json()["refresh_token"]
            worker.kill9()
            await worker.start()
            answer = await refresh(client, person.refresh_token)
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
            assert (await refresh(client, current)).status_code == 401  # the thief's and the owner's alike


@pytest.mark.timeout(120)
async def test_cve_class_21_a_session_goes_on_over_restarts(urls):
    async with serving(urls) as server, httpx2.AsyncClient(timeout=30) as client:
        [worker] = server.workers
        client.base_url = server.base_url
        person = await register(client)
        token = person.refresh_token
        for _ in range(RESTARTS):
            worker.kill9()
            await worker.start()
            answer = await refresh(client, token)
            assert answer.json()["session_id"] == person.session_id
            token = answer.json()["refresh_token"]
