"""Every route there is. What is not in this list is not reachable."""

from keystead.api.rest import auth, health, metadata, users
from keystead.api.rest.routes import Route

ROUTES: tuple[Route, ...] = (*health.ROUTES, *auth.ROUTES, *users.ROUTES, *metadata.ROUTES)
