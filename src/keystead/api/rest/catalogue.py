"""Every route there is. What is not in this list is not reachable."""

from keystead.api.rest import auth, directory, health, metadata, recovery, roles, sessions, users
from keystead.api.rest.routes import Route
from keystead.api.web import dev_mail, links, pages

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *auth.ROUTES,
    *recovery.ROUTES,
    *users.ROUTES,
    *directory.ROUTES,
    *sessions.ROUTES,
    *roles.ROUTES,
    *metadata.ROUTES,
    *links.ROUTES,
    *pages.ROUTES,
    *dev_mail.ROUTES,
)
