"""Every route there is. What is not in this list is not reachable."""

from keystead.api.rest import (
    api_keys,
    applications,
    auth,
    directory,
    health,
    metadata,
    networks,
    recovery,
    roles,
    service_accounts,
    sessions,
    token,
    users,
)
from keystead.api.rest.routes import Route
from keystead.api.web import dev_mail, links, pages

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *auth.ROUTES,
    *recovery.ROUTES,
    *users.ROUTES,
    *directory.ROUTES,
    *sessions.ROUTES,
    *networks.ROUTES,
    *roles.ROUTES,
    *applications.ROUTES,
    *service_accounts.ROUTES,
    *api_keys.ROUTES,
    *token.ROUTES,
    *metadata.ROUTES,
    *links.ROUTES,
    *pages.ROUTES,
    *dev_mail.ROUTES,
)
