"""Who holds which role."""

from uuid import UUID

from keystead.kernel.db import Runner

GRANT_ROLE = "INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING"


async def grant(db: Runner, user_id: UUID, role: str) -> None:
    """Does nothing where the user holds the role."""
    await db.execute(GRANT_ROLE, user_id, role)
