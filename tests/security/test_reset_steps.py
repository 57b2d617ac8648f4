"""The steps of a reset in any order: a password changes by a live link of that person, and by nothing else."""

import random

import pytest

from tests.contract.service import login, serving
from tests.support import tickets
from tests.support.people import PASSWORD, register

pytestmark = pytest.mark.anyio

RESET = "/api/v1/auth/password/reset"
STEPS = 14


class Steps:
    """One person, what their links are worth, and which password holds."""

    def __init__(self, service, person, rng):
        self.service, self.person, self.rng = service, person, rng
        self.password = PASSWORD
        self.live, self.dead = [], []

    async def post(self, **body):
        return await self.service.client.post(RESET, json=body)

    async def ask(self):
        answer = await self.service.client.post(
            "/api/v1/auth/password/forgot", json={"email": self.person.email}
        )
        assert answer.status_code == 202

    async def get_a_link(self):
        self.live.append(await tickets.reset_ticket(self.service.core, self.person.id))

    async def look(self):
        for token in (*self.live, *self.dead):
            await self.service.client.get(f"/reset/{token}")

    async def use(self):
        if not self.live:
            return
        token = self.rng.choice(self.live)
        self.password = f"a password of {self.rng.getrandbits(64)}"
        assert (await self.post(token=token, password=self.password)).status_code == 204
        self.dead += self.live
        self.live = []

    async def use_again(self):
        if self.dead:
            await self.refused(token=self.rng.choice(self.dead))

    async def use_another_kind(self):
        await self.refused(token=await tickets.verify_ticket(self.service.core, self.person.id))

    async def use_anothers(self):
        other = await register(self.service.client)
        token = await tickets.reset_ticket(self.service.core, other.id)
        await self.post(token=token, password=f"a password of {self.rng.getrandbits(64)}")

    async def use_none(self):
        for token in ("", "tk_", self.person.access_token, self.person.refresh_token, None):
            await self.refused(token=token)
        await self.refused()
        await self.refused(email=self.person.email)
        await self.refused(user_id=self.person.id, step="set_password")

    async def refused(self, **body):
        wanted = f"a password of {self.rng.getrandbits(64)}"
        assert 400 <= (await self.post(password=wanted, **body)).status_code < 500
        assert (await login(self.service.client, self.person.email, wanted)).status_code == 401


@pytest.fixture(scope="module")
async def service(cluster):
    """Where a wrong password is always looked at."""
    async with serving(cluster, AUTH__MAX_LOGIN_ATTEMPTS="100", AUTH__MAX_ACCOUNT_ATTEMPTS="1000") as made:
        yield made


@pytest.mark.parametrize("seed", range(5))
async def test_cve_class_39_no_order_of_steps_sets_a_password_without_a_live_link(service, seed):
    rng = random.Random(seed)
    steps = Steps(service, await register(service.client), rng)
    every = [
        steps.ask,
        steps.get_a_link,
        steps.look,
        steps.use,
        steps.use_again,
        steps.use_another_kind,
        steps.use_anothers,
        steps.use_none,
    ]
    for step in rng.choices(every, k=STEPS):
        await step()
        answer = await login(service.client, steps.person.email, steps.password)
        assert answer.status_code == 200, step.__name__
