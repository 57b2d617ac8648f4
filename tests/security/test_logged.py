"""Refusals are in the log, with who was refused what and whence."""

import pytest
from structlog.testing import capture_logs

from tests.support import machines

pytestmark = pytest.mark.anyio


def refusals(logs):
    return [
        (entry["method"], entry["route"], entry["status"], entry["address"], entry.get("caller"))
        for entry in logs
        if entry["event"] == "request"
    ]


async def test_asvs_v5_16_2_1_and_16_3_2_a_refusal_says_who_was_refused_what_and_whence(service, person):
    with capture_logs() as logs:
        await service.client.get("/api/v1/users", headers=person.bearer)
        await service.client.delete(f"/api/v1/refresh_tokens/{person.session_id}x", headers=person.bearer)
        await service.client.get("/api/v1/users", headers={"authorization": "Bearer nonsense"})
        await service.client.get("/api/v1/users")
    refused = "/api/v1/users", "127.0.0.1"
    assert refusals(logs) == [
        ("GET", refused[0], 403, refused[1], person.id),
        ("DELETE", "/api/v1/refresh_tokens/{session_id}", 404, refused[1], person.id),
        ("GET", refused[0], 401, refused[1], None),
        ("GET", refused[0], 401, refused[1], None),
    ]
    assert person.access_token not in repr(logs)


async def test_asvs_v5_16_2_1_and_16_3_2_a_machine_that_is_refused_is_named(service):
    machine = await machines.make_service_account(service.core)
    bearer = await machines.machine_bearer(service.client, machine)
    with capture_logs() as logs:
        await service.client.get("/api/v1/users", headers=bearer)
    assert refusals(logs) == [("GET", "/api/v1/users", 403, "127.0.0.1", machine.client_id)]
