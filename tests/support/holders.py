"""People with roles of their own, and what the trail says of what they do."""

import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from keystead.roles import store as roles
from tests.support.people import Person, register


async def make_role(service: Any, *permissions: str) -> str:
    """A role that permits this and nothing else; its name."""
    name = f"role-{secrets.token_hex(4)}"
    await service.sql("INSERT INTO roles (name, permissions) VALUES ($1, $2::text[])", name, permissions)
    await service.sql("UPDATE authorization_state SET version = version + 1")
    return name


async def give_role(service: Any, user_id: str, name: str) -> None:
    """Whatever anybody may."""
    await roles.grant(service.core.roles.list.db, UUID(user_id), name)


async def holder_of(service: Any, *permissions: str) -> Person:
    """Somebody signed in who may do this and nothing else."""
    person = await register(service.client)
    await give_role(service, person.id, await make_role(service, *permissions))
    return person


@dataclass(frozen=True)
class Trail:
    """What was recorded since a moment."""

    service: Any
    after: int

    @classmethod
    async def from_now(cls, service: Any) -> "Trail":
        ((last,),) = await service.sql("SELECT coalesce(max(id), 0) FROM audit_events")
        return cls(service, last)

    async def events(self) -> list[tuple[str, str | None, str | None]]:
        """Name, actor and subject of each, the oldest first."""
        rows = await self.service.sql(
            "SELECT event, actor_id::text, subject_id::text FROM audit_events WHERE id > $1 ORDER BY id",
            self.after,
        )
        return [tuple(row) for row in rows]

    async def names(self) -> list[str]:
        return [name for name, _, _ in await self.events()]
