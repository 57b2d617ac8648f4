"""A service with a mailbox: what a person does, and what is in the mail for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from tests.contract.service import Service, login, serving
from tests.support.databases import Cluster
from tests.support.mailbox import Mailbox, link_in, mailbox, text_of
from tests.support.people import PASSWORD, Person, make_user, new_email

NEW = "four tall silent lighthouses"
OTHER = "another password that is long"
WRONG = "not the password of anybody"


@dataclass(frozen=True)
class Post:
    """Addresses must be proven here. Nothing is delivered but by `deliver`."""

    service: Service
    mailbox: Mailbox

    @property
    def core(self) -> Any:
        return self.service.core

    @property
    def client(self) -> Any:
        return self.service.client

    async def sql(self, statement: str, *args: object) -> list[Any]:
        """Run over the service's own connections."""
        return await self.core.flows.unlock.db.fetch(statement, *args)

    async def deliver(self) -> None:
        """Round after round, until nothing waits that could be sent now."""
        while await self.core.mail.deliver():
            pass

    async def mails_to(self, address: str) -> list[EmailMessage]:
        """All that ever came, the newest last."""
        await self.deliver()
        return self.mailbox.sent_to(address)

    async def token_to(self, address: str) -> str:
        """That of the newest mail."""
        return token_in((await self.mails_to(address))[-1])

    async def person(self, *, full_name: str | None = "John Doe", email: str | None = None) -> Person:
        """An active account with one session."""
        email = email or new_email()
        user_id = await make_user(self.core, email, full_name=full_name)
        return await self.sign_in(email, user_id=str(user_id))

    async def sign_in(self, email: str, password: str = PASSWORD, *, user_id: str = "") -> Person:
        answer = await login(self.client, email, password)
        assert answer.status_code == 200, answer.text
        pair = answer.json()
        return Person(user_id, email, pair["access_token"], pair["refresh_token"], pair["session_id"])

    async def ask(self, path: str, body: dict[str, Any], *, method: str = "POST", **more: Any) -> Any:
        return await self.client.request(method, f"/api/v1{path}", json=body, **more)

    async def attempt(self, email: str, password: str = PASSWORD, **fields: Any) -> None:
        answer = await self.ask("/auth/register", {"email": email, "password": password, **fields})
        assert answer.status_code == 202, answer.text

    async def forgot(self, email: str, **more: Any) -> None:
        assert (await self.ask("/auth/password/forgot", {"email": email, **more})).status_code == 202

    async def resend(self, email: str) -> None:
        assert (await self.ask("/auth/email/resend", {"email": email})).status_code == 202

    async def opens(self, email: str, password: str) -> bool:
        return (await login(self.client, email, password)).status_code == 200

    async def is_signed_in(self, person: Person) -> bool:
        answer = await self.client.get("/api/v1/users/me", headers=person.bearer)
        assert answer.status_code in (200, 401)
        return answer.status_code == 200

    async def user(self, user_id: str | UUID) -> Any:
        [row] = await self.sql("SELECT * FROM users WHERE id = $1::text::uuid", str(user_id))
        return row

    async def set_status(self, user_id: str | UUID, status: str) -> None:
        await self.sql("UPDATE users SET status = $2 WHERE id = $1::text::uuid", str(user_id), status)

    async def kinds_of_mail(self, user_id: str | UUID) -> list[str]:
        rows = await self.sql(
            "SELECT kind FROM mails WHERE user_id = $1::text::uuid ORDER BY created_at", str(user_id)
        )
        return [row["kind"] for row in rows]


def token_in(message: EmailMessage) -> str:
    return link_in(message).rpartition("/")[2]


def has_link(message: EmailMessage) -> bool:
    return "http" in text_of(message)


def settings_to(box: Mailbox) -> dict[str, str]:
    return {"MAIL__HOST": box.host, "MAIL__PORT": str(box.port), "MAIL__SECURITY": "none"}


@asynccontextmanager
async def post_office(cluster: Cluster, **configured: str) -> AsyncIterator[Post]:
    async with (
        mailbox() as box,
        serving(
            cluster, **{"AUTH__REQUIRE_VERIFIED_EMAIL": "true", **settings_to(box), **configured}
        ) as service,
    ):
        yield Post(service, box)
