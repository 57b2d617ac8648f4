"""Cookie mode: the refresh token in a cookie that no script can read, and what keeps foreign pages from using it."""

from collections.abc import Mapping
from dataclasses import dataclass

from keystead.api.rest.problems import CsrfRefused, OriginRefused, SeveralCredentials
from keystead.applications.book import Applications
from keystead.auth.csrf import CsrfTokens
from keystead.kernel.application import Application
from keystead.limits.sources import DEVICE_DAYS

# The prefix binds a cookie to this host, TLS and the whole path (RFC 6265bis §4.1.3.2): no subdomain can plant one.
PREFIX = "__Host-keystead-"
CSRF_HEADER = "x-csrf-token"
CLIENT_HEADER = "x-client-id"
DEVICE_HEADER = "x-device-token"
_DEVICE_COOKIE = "__Host-keystead_device"  # no application's: their names follow a hyphen
_DEVICE_SECONDS = DEVICE_DAYS * 86_400


@dataclass(frozen=True, slots=True)
class RefreshCookie:
    """The refresh token that a browser sent, and the application that it belongs to."""

    application: Application
    token: str


@dataclass(frozen=True, slots=True)
class CookieRules:
    """Which cookies count, from which pages. `own_origin` is that of our public URL."""

    applications: Applications
    own_origin: str
    same_site: str

    def find(self, headers: Mapping[str, str]) -> RefreshCookie | None:
        """The refresh cookie of the page that asks; of several applications, the one that `X-Client-Id` names.

        Raises OriginRefused for a page that is none of the application's, SeveralCredentials where it stays unclear.
        """
        sent = _parse(headers.get("cookie", ""))
        wanted = headers.get(CLIENT_HEADER)
        found = [
            RefreshCookie(application, sent[PREFIX + application.client_id])
            for application in self.applications.with_cookies
            if PREFIX + application.client_id in sent and wanted in (None, application.client_id)
        ]
        admitted = [cookie for cookie in found if self._admits(cookie.application, headers)]
        if found and not admitted:
            raise OriginRefused
        if len(admitted) > 1:
            raise SeveralCredentials
        return admitted[0] if admitted else None

    def require_origin(self, application: Application, headers: Mapping[str, str]) -> None:
        """Before a cookie is set. Raises OriginRefused."""
        if not self._admits(application, headers):
            raise OriginRefused

    def set(self, application: Application, token: str, *, max_age: int) -> str:
        """The value of Set-Cookie."""
        return self._cookie(application, token, max_age)

    def clear(self, application: Application) -> str:
        return self._cookie(application, "", 0)

    def device_token(self, headers: Mapping[str, str]) -> str | None:
        """What shows that the device has signed in before: from its header, or else from its cookie."""
        return headers.get(DEVICE_HEADER) or _parse(headers.get("cookie", "")).get(_DEVICE_COOKIE)

    def set_device(self, token: str) -> str:
        """The value of Set-Cookie."""
        return self._spell(_DEVICE_COOKIE, token, _DEVICE_SECONDS)

    def _cookie(self, application: Application, token: str, max_age: int) -> str:
        return self._spell(PREFIX + application.client_id, token, max_age)

    def _spell(self, name: str, value: str, max_age: int) -> str:
        same_site = self.same_site.capitalize()
        return f"{name}={value}; Max-Age={max_age}; Path=/; Secure; HttpOnly; SameSite={same_site}"

    def _admits(self, application: Application, headers: Mapping[str, str]) -> bool:
        """By `Origin` where there is one, as browsers send with every unsafe call; else by `Sec-Fetch-Site`. A program
        that is no browser sends neither, and holds no cookie by accident."""
        origin = headers.get("origin")
        if origin is not None:
            return origin == self.own_origin or origin in application.origins
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def require_csrf(csrf: CsrfTokens, cookie: RefreshCookie, headers: Mapping[str, str]) -> None:
    """Raises CsrfRefused. A refresh token that is none of ours is for the verb to refuse."""
    session_id = csrf.session_of(cookie.token)
    if session_id is not None and not csrf.fits(headers.get(CSRF_HEADER, ""), session_id):
        raise CsrfRefused


def _parse(header: str) -> dict[str, str]:
    """RFC 6265 §4.2.1, of which browsers send no more; what stands there twice counts as not sent."""
    values: dict[str, str] = {}
    doubled = set()
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name in values:
            doubled.add(name)
        values[name] = value
    return {name: value for name, value in values.items() if name not in doubled}
