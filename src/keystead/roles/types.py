"""The built-in roles and what they permit."""

from collections.abc import Iterable

from keystead.kernel.caller import Permission

ADMIN = "admin"
USER = "user"

BUILT_IN: dict[str, frozenset[str]] = {
    ADMIN: frozenset(Permission),
    USER: frozenset(),
}


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Everything that any of `roles` permits; an unknown role permits nothing."""
    return frozenset().union(*(BUILT_IN.get(role, frozenset()) for role in roles))
