"""Roles and what they permit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from keystead.kernel.caller import Permission
from keystead.kernel.errors import Refusal

ADMIN = "admin"
USER = "user"

# What the built-in roles permit stands here and not in their rows, so that it grows with the version that runs.
BUILT_IN: dict[str, frozenset[str]] = {
    ADMIN: frozenset(Permission),
    USER: frozenset(),
}


class RoleNotFound(Refusal):
    code = "role_not_found"
    message = "There is no such role."


class RoleTaken(Refusal):
    code = "role_taken"
    message = "A role of this name exists."


class RoleBuiltIn(Refusal):
    code = "role_built_in"
    message = "The built-in roles cannot be changed or deleted. Make a role of your own."


class LastAdministrator(Refusal):
    """An installation that nobody may administer could be mended on its machine only."""

    code = "last_administrator"
    message = "This is the last active administrator. Make another one first."


@dataclass(frozen=True, slots=True)
class Role:
    """A role; what it permits is complete for built-in ones, too."""

    name: str
    description: str
    permissions: tuple[str, ...]
    is_built_in: bool
    created_at: datetime
    updated_at: datetime


def permissions_of(roles: Iterable[str], defined: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Everything that any of `roles` permits; an unknown role permits nothing."""
    return frozenset().union(*(BUILT_IN.get(role) or defined.get(role, frozenset()) for role in roles))
