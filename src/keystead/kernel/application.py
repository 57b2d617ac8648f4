"""Applications: the products that people sign in to, as configured."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from keystead.kernel.errors import FieldError, InvalidInput


class LinkTo(StrEnum):
    """Where a mailed link may lead; the text is the setting's name without `_url` and the landing page's path."""

    VERIFY = "verify"
    RESET = "reset"
    CHANGE_EMAIL = "change_email"
    INVITATION = "invitation"
    UNLOCK = "unlock"


@dataclass(frozen=True, slots=True)
class Application:
    """`links` are templates with `{token}`; a link that an application does not configure leads to our own page.

    In cookie mode the refresh token stays in a cookie that no script can read.
    """

    client_id: str
    name: str
    origins: frozenset[str]
    uses_cookies: bool
    links: Mapping[LinkTo, str]

    def link(self, to: LinkTo, token: str) -> str:
        return self.links[to].replace("{token}", token)


class Applications:
    """All of them; the default one serves whoever names none."""

    def __init__(self, default: str, applications: Mapping[str, Application]) -> None:
        self._by_id = dict(applications)
        self.default = self._by_id[default]

    def choose(self, client_id: str | None) -> Application:
        """The one that a request names. Raises InvalidInput."""
        if client_id is None:
            return self.default
        if client_id not in self._by_id:
            raise InvalidInput(
                FieldError("/client_id", "application_unknown", "There is no such application.")
            )
        return self._by_id[client_id]

    def of(self, client_id: str) -> Application:
        """The one that a stored row belongs to; the default one where it is no longer configured."""
        return self._by_id.get(client_id, self.default)

    @property
    def all(self) -> tuple[Application, ...]:
        return tuple(self._by_id.values())

    @property
    def with_cookies(self) -> tuple[Application, ...]:
        return tuple(each for each in self._by_id.values() if each.uses_cookies)
