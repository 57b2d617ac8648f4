"""Invitations: an account that waits for its owner, with the roles that it will have and no password."""

import asyncio
from datetime import timedelta

import pytest

from keystead.kernel.caller import Operator
from keystead.users.types import EmailTaken
from tests.accounts.post import NEW, OTHER, settings_to, token_in
from tests.contract.service import login
from tests.support.mailbox import mailbox
from tests.support.people import PASSWORD, new_email
from tests.support.tickets import invitation_ticket

pytestmark = pytest.mark.anyio


async def accept(post, token, **more):
    return await post.ask("/auth/invitation/accept", {"token": token, "password": NEW, **more})


def refused(answer):
    return (answer.status_code, answer.json()["code"]) == (401, "invalid_link")


async def invite(post, **wanted):
    """The address, and the token that it was sent."""
    email = new_email()
    await post.core.accounts.invite(Operator(), email=email, **wanted)
    return email, await post.token_to(email)


async def me(post, email, password=NEW):
    person = await post.sign_in(email, password)
    return (await post.client.get("/api/v1/users/me", headers=person.bearer)).json()


async def test_who_accepts_has_the_account_with_its_roles_and_a_password_of_their_own(post):
    email, token = await invite(post, full_name="Ada", roles_wanted=("user", "admin"))
    assert (await login(post.client, email)).status_code == 401
    assert (await accept(post, token, full_name="Ada Lovelace")).status_code == 204
    account = await me(post, email)
    assert (account["full_name"], account["email_verified"]) == ("Ada Lovelace", True)
    assert sorted(account["roles"]) == ["admin", "user"]
    assert refused(await accept(post, token, full_name="Mallory"))


async def test_a_name_is_only_replaced_by_another(post):
    email, token = await invite(post, full_name="Ada")
    assert (await accept(post, token)).status_code == 204
    assert (await me(post, email))["full_name"] == "Ada"


@pytest.mark.parametrize("wrong", [{"password": "short"}, {"full_name": "\u0007"}])
async def test_what_is_refused_uses_nothing_up(post, wrong):
    _, token = await invite(post)
    assert (await accept(post, token, **wrong)).status_code == 422
    assert (await accept(post, token)).status_code == 204


async def test_of_two_invitations_to_one_address_accepted_at_once_one_wins(post):
    for _ in range(3):
        email = new_email()
        tokens = [
            await invitation_ticket(post.core, email, roles_wanted=roles) for roles in (("user",), ("admin",))
        ]
        answers = await asyncio.gather(*(accept(post, token) for token in tokens))
        assert sorted(answer.status_code for answer in answers) == [204, 401]
        winner = next(number for number, answer in enumerate(answers) if answer.status_code == 204)
        assert (await me(post, email))["roles"] == [["user"], ["admin"]][winner]
        rows = await post.sql(
            "SELECT id FROM users WHERE email_index = (SELECT email_index FROM users ORDER BY created_at DESC LIMIT 1)"
        )
        assert len(rows) == 1


async def test_an_address_that_has_an_account_is_not_invited(post):
    person = await post.person()
    with pytest.raises(EmailTaken):
        await post.core.accounts.invite(Operator(), email=person.email)


async def test_an_account_that_came_first_keeps_the_address(post):
    email, token = await invite(post, roles_wanted=("admin",))
    await post.person(email=email)
    assert refused(await accept(post, token))
    assert (await me(post, email, PASSWORD))["roles"] == ["user"]


async def test_an_invitation_that_was_withdrawn_is_void(post):
    admin = await post.service.make_admin()
    email, token = await invite(post)
    [row] = await post.sql("SELECT id FROM users WHERE status = 'pending' ORDER BY created_at DESC LIMIT 1")
    gone = await post.client.delete(f"/api/v1/users/{row['id']}", headers=admin.bearer)
    assert gone.status_code == 204
    assert refused(await accept(post, token))
    assert not await post.opens(email, NEW)


async def test_cve_class_66_an_attempt_to_register_takes_nothing_from_the_invited(post):
    email, token = await invite(post, roles_wanted=("admin",))
    await post.attempt(email, OTHER)
    await post.forgot(email)
    again = (await post.mails_to(email))[-1]
    assert token_in(again) == token
    assert (await accept(post, token)).status_code == 204
    assert (await me(post, email))["roles"] == ["admin"]
    assert not await post.opens(email, OTHER)


async def test_whoever_proves_the_mailbox_as_somebody_who_registers_has_no_roles_of_the_invitation(post):
    email, token = await invite(post, roles_wanted=("admin",))
    await post.attempt(email, PASSWORD)
    registered = await post.token_to(email)
    assert (await post.ask("/auth/email/verify", {"token": registered})).status_code == 204
    assert (await me(post, email, PASSWORD))["roles"] == ["user"]
    assert refused(await accept(post, token))


class TestExpiry:
    @pytest.fixture
    async def box(self):
        async with mailbox() as made:
            yield made

    @pytest.fixture
    def configured(self, box):
        return {**settings_to(box), "AUTH__LINKS__INVITATION_DAYS": "1"}

    async def test_cve_class_40_an_invitation_that_has_expired_is_not_made_good_by_asking_for_a_link(
        self, core, client, db, clock, box
    ):
        email = new_email()
        token = await invitation_ticket(core, email, roles_wanted=("admin",))
        await core.mail.deliver()
        await clock.advance(timedelta(days=1, seconds=1))
        body = {"token": token, "password": NEW}
        assert refused(await client.post("/api/v1/auth/invitation/accept", json=body))
        for path in ("password/forgot", "email/resend"):
            assert (await client.post(f"/api/v1/auth/{path}", json={"email": email})).status_code == 202
        await core.mail.deliver()
        assert len(box.sent_to(email)) == 1
        rows = await db.fetch("SELECT status FROM users")
        assert [row["status"] for row in rows] == ["pending"]
