"""What roles permit, as of the version that the caller's session was read with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from keystead.kernel.db import Database, Runner
from keystead.roles import store
from keystead.roles.store import Definitions
from keystead.roles.types import permissions_of


@dataclass(slots=True)
class RoleBook:
    """Remembers the definitions of one version, and reads them again for a caller who saw a newer one.

    So a changed role holds from the next request on, on every worker, and a request costs no look-up of roles.
    """

    db: Database
    _known: Definitions = field(default_factory=lambda: Definitions(0, {}))
    _permissions: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)

    async def permissions_of(self, roles: tuple[str, ...], version: int) -> frozenset[str]:
        """Of a version that is no older than `version`."""
        if self._known.version != version:
            self._known = await store.read_definitions(self.db)
            self._permissions = {}
        found = self._permissions.get(roles)
        if found is None:
            found = self._permissions[roles] = permissions_of(roles, self._known.permissions)
        return found

    def within(self, roles: tuple[str, ...], permissions: frozenset[str]) -> tuple[str, ...]:
        """Those that permit nothing beside `permissions`, of the version that was asked for last. A credential that may
        do less than its holder stands for these alone: whoever judges by roles must not take it for more."""
        return tuple(
            role for role in roles if permissions_of((role,), self._known.permissions) <= permissions
        )

    async def of_roles(self, db: Runner, roles: Sequence[str]) -> frozenset[str]:
        """Everything that any of `roles` permits, as the caller's transaction sees it."""
        return permissions_of(roles, (await store.read_definitions(db)).permissions)

    async def of_user(self, db: Runner, user_id: UUID) -> frozenset[str]:
        """Everything that a user may do, as the caller's transaction sees it."""
        roles = await store.list_of_user(db, user_id)
        return permissions_of(roles, (await store.read_definitions(db)).permissions)
