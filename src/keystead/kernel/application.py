"""An application: one of the products that people sign in to, and what it says about their sessions and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class LinkTo(StrEnum):
    """Where a mailed link may lead; the text is the setting's name without `_url` and the landing page's path."""

    VERIFY = "verify"
    RESET = "reset"
    CHANGE_EMAIL = "change_email"
    INVITATION = "invitation"
    UNLOCK = "unlock"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long an access token and a session live, and how long the refresh token before the current one is answered
    alike."""

    access_token: timedelta
    idle: timedelta
    absolute: timedelta
    reuse_window: timedelta


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """What access tokens say beside what each one does.

    `roles` names the roles that they show, and how; without any, every role is shown under its own name. `metadata` is
    from claim to the path in `app_metadata`. `from_hook` are the claims that the before-token hook may add.
    """

    roles: Mapping[str, str]
    metadata: Mapping[str, tuple[str, ...]]
    from_hook: frozenset[str]

    def show(self, roles: tuple[str, ...]) -> tuple[str, ...]:
        """Roles as tokens show them."""
        if not self.roles:
            return roles
        return tuple(sorted({self.roles[role] for role in roles if role in self.roles}))


@dataclass(frozen=True, slots=True)
class Application:
    """`links` are templates with `{token}`; a link that an application does not name leads to our own page.

    In cookie mode the refresh token stays in a cookie that no script can read. `audience` is `aud` of its tokens.
    """

    client_id: str
    name: str
    audience: str
    origins: frozenset[str]
    redirect_urls: tuple[str, ...]
    uses_cookies: bool
    links: Mapping[LinkTo, str]
    lifetimes: Lifetimes
    claims: ClaimMapping

    def link(self, to: LinkTo, token: str) -> str:
        return self.links[to].replace("{token}", token)
