"""Every route there is. What is not in this list is not reachable."""

from keystead.api.rest import auth, directory, health, metadata, recovery, roles, sessions, users
from keystead.api.rest.routes import Route

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *auth.ROUTES,
    *recovery.ROUTES,
    *users.ROUTES,
    *directory.ROUTES,
    *sessions.ROUTES,
    *roles.ROUTES,
    *metadata.ROUTES,
)
