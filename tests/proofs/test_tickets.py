"""One ticket used many times at once, over two worker processes: one use succeeds, and the account is its winner's.

KEYSTEAD_PROOF_WIDTH says how many at once (50).
"""

import asyncio
import os
from collections import Counter

import pytest

from keystead.tickets.types import Purpose
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.proofs.wire import Wire
from tests.support.people import PASSWORD, make_user, new_email
from tests.support.server import serving
from tests.support.tickets import (
    change_email_ticket,
    invitation_ticket,
    reset_ticket,
    ticket,
    unlock_ticket,
)

pytestmark = pytest.mark.anyio

WIDTH = int(os.environ.get("KEYSTEAD_PROOF_WIDTH", "50"))
READ_USER = """
    SELECT status, password_version, email_verified_at IS NOT NULL AS is_verified, version,
           (SELECT count(*) FROM sessions s WHERE s.user_id = u.id AND s.ended_at IS NULL) AS sessions,
           (SELECT count(*) FROM tickets t WHERE t.user_id = u.id AND t.used_at IS NOT NULL) AS used
      FROM users u WHERE u.id = (SELECT user_id FROM tickets WHERE id = $1)
"""
READ_EVENTS = """
    SELECT event FROM audit_events
     WHERE subject_id = (SELECT user_id FROM tickets WHERE id = $1)
       AND event IN ('user.verified', 'user.unlocked', 'password.reset', 'email.changed')
"""


class Site:
    """Two workers, and a core beside them over the same database, which makes tickets."""

    def __init__(self, core, server, wires):
        self.core, self.server, self.wires = core, server, wires
        self.db = core.flows.unlock.db

    async def race(self, purpose, token, path, bodies):
        """What was answered, and the number of the winner."""
        answers = await asyncio.gather(
            *(
                wire.post(path, json={"token": token, **body})
                for wire, body in zip(self.wires, bodies, strict=True)
            )
        )
        seen = Counter((answer.status_code, _code(answer)) for answer in answers)
        assert seen.pop((204, None)) == 1, seen
        assert set(seen) <= {(401, "invalid_link"), (503, "overloaded")}, seen
        winner = next(number for number, answer in enumerate(answers) if answer.status_code == 204)
        row = await self.db.fetch_row(READ_USER, self.core.flows.unlock.desk.tokens.read(token, purpose))
        assert row["used"] == 1
        return row, winner

    async def events(self, purpose, token):
        ticket_id = self.core.flows.unlock.desk.tokens.read(token, purpose)
        return Counter(row["event"] for row in await self.db.fetch(READ_EVENTS, ticket_id))

    async def sign_in(self, email, password):
        """The status; a full queue of hashes is waited out."""
        while True:
            answer = await self.wires[0].post(
                "/api/v1/auth/login", json={"email": email, "password": password}
            )
            if answer.status_code != 503:
                return answer.status_code
            await asyncio.sleep(0.02)


def _code(answer):
    return answer.json()["code"] if answer.content else None


@pytest.fixture(scope="module")
async def site(cluster):
    async with (
        cluster.clone() as urls,
        serving(urls, workers=2) as server,
        open_core(settings_for(urls)) as running,
    ):
        wires = [Wire(server.ports[number % 2]) for number in range(WIDTH)]
        yield Site(running.core, server, wires)
        for wire in wires:
            wire.close()


async def test_cve_class_40_one_reset_link_sets_one_password(site):
    email = new_email()
    token = await reset_ticket(site.core, await make_user(site.core, email))
    passwords = [f"{number} tall silent lighthouses" for number in range(WIDTH)]
    row, winner = await site.race(
        Purpose.RESET_PASSWORD,
        token,
        "/api/v1/auth/password/reset",
        [{"password": password} for password in passwords],
    )
    assert (row["status"], row["password_version"], row["sessions"]) == ("active", 2, 0)
    assert await site.sign_in(email, passwords[winner]) == 200
    for loser in {0, WIDTH // 2, WIDTH - 1} - {winner}:
        assert await site.sign_in(email, passwords[loser]) == 401
    assert await site.sign_in(email, PASSWORD) == 401
    assert await site.events(Purpose.RESET_PASSWORD, token) == {"password.reset": 1}


async def test_cve_class_40_one_invitation_makes_one_account(site):
    email = new_email()
    token = await invitation_ticket(site.core, email)
    passwords = [f"{number} tall silent lighthouses" for number in range(WIDTH)]
    row, winner = await site.race(
        Purpose.INVITATION,
        token,
        "/api/v1/auth/invitation/accept",
        [
            {"password": password, "full_name": f"Number {number}"}
            for number, password in enumerate(passwords)
        ],
    )
    assert (row["status"], row["password_version"], row["is_verified"]) == ("active", 2, True)
    assert await site.sign_in(email, passwords[winner]) == 200
    answer = await site.wires[0].post(
        "/api/v1/auth/login", json={"email": email, "password": passwords[winner]}
    )
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    me = (await site.wires[0].get("/api/v1/users/me", headers=bearer)).json()
    assert me["full_name"] == f"Number {winner}"
    assert await site.events(Purpose.INVITATION, token) == {"user.verified": 1}


async def test_cve_class_40_one_verification_proves_once(site):
    user_id = await make_user(site.core, new_email())
    await site.db.execute(
        "UPDATE users SET status = 'pending', email_verified_at = NULL WHERE id = $1", user_id
    )
    token = await ticket(site.core, user_id, Purpose.VERIFY_EMAIL)
    row, _ = await site.race(Purpose.VERIFY_EMAIL, token, "/api/v1/auth/email/verify", [{}] * WIDTH)
    assert (row["status"], row["is_verified"], row["version"]) == ("active", True, 2)
    assert await site.events(Purpose.VERIFY_EMAIL, token) == {"user.verified": 1}


async def test_cve_class_40_one_unlock_link_opens_once(site):
    token = await unlock_ticket(site.core, await make_user(site.core, new_email()))
    row, _ = await site.race(Purpose.UNLOCK, token, "/api/v1/auth/unlock", [{}] * WIDTH)
    assert (row["status"], row["version"]) == ("active", 2)
    assert await site.events(Purpose.UNLOCK, token) == {"user.unlocked": 1}


async def test_cve_class_40_one_link_to_a_new_address_moves_the_account_once(site):
    old, new = new_email(), new_email()
    token = await change_email_ticket(site.core, await make_user(site.core, old), new)
    row, _ = await site.race(Purpose.CHANGE_EMAIL, token, "/api/v1/auth/email/change", [{}] * WIDTH)
    assert (row["status"], row["version"], row["is_verified"]) == ("active", 2, True)
    assert [await site.sign_in(email, PASSWORD) for email in (old, new)] == [401, 200]
    assert await site.events(Purpose.CHANGE_EMAIL, token) == {"email.changed": 1}
