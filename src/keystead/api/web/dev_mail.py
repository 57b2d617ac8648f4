"""The mails of a development server: what would have gone out, with the links in it. Nowhere else are they shown."""

import re
from typing import Any
from urllib.parse import urlsplit

from keystead.api.rest.problems import RouteNotFound
from keystead.api.rest.routes import Call, Reply, Route
from keystead.api.web.pages import PAGE, page
from keystead.kernel.caller import Access
from keystead.kernel.errors import Unavailable
from keystead.limits.types import RouteClass

# Mails bring their own styles. No script, no pictures, no frame around it.
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_LINK = re.compile(r"^https?://\S+$", re.MULTILINE)


async def list_mails(call: Call) -> Reply:
    _require_development(call)
    mails = [
        {"stored": stored, "written": written, "link": _link_in(written.words.text) if written else None}
        for stored, written in await call.core.mail.read()
    ]
    return page("mails.html", {"mails": mails, "keeps": _keeps(call)})


async def show_mail(call: Call) -> Reply:
    _require_development(call)
    return page("mail.html", await _load(call))


async def show_html(call: Call) -> Reply:
    _require_development(call)
    written = (await _load(call))["written"]
    if written is None:
        raise RouteNotFound
    return Reply(
        body=written.words.html,
        media_type="text/html; charset=utf-8",
        headers={"content-security-policy": _MAIL_POLICY},
    )


async def _load(call: Call) -> dict[str, Any]:
    """What a template shows of the mail in the path. Raises RouteNotFound."""
    for stored, written in await call.core.mail.read():
        if str(stored.id) == call.request.path_params["mail_id"]:
            return {"stored": stored, "written": written, "keeps": _keeps(call)}
    raise RouteNotFound


def _keeps(call: Call) -> bool:
    """Whether no mail leaves this machine."""
    return call.settings.mail.host is None


def _require_development(call: Call) -> None:
    """Raises RouteNotFound: whoever reads these mails can take over accounts. So the name in the address bar must be
    ours, too: a foreign name that was made to lead here (DNS rebinding) would let its page read them."""
    host = urlsplit(f"//{call.request.headers['host']}").hostname or ""
    own = urlsplit(call.settings.public_url).hostname
    is_ours = host in (own, "localhost", "127.0.0.1", "::1") or host.endswith(".localhost")
    if call.settings.profile != "development" or not is_ours:
        raise RouteNotFound


def _link_in(text: str) -> str | None:
    """It has a line to itself."""
    match = _LINK.search(text)
    return match[0] if match else None


ROUTES = (
    Route(
        method="GET",
        path="/dev/mail",
        handler=list_mails,
        summary="The latest mails, in development only",
        answers=(PAGE,),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
        refuses=(RouteNotFound, Unavailable),
    ),
    Route(
        method="GET",
        path="/dev/mail/{mail_id}",
        handler=show_mail,
        summary="One mail as text, in development only",
        answers=(PAGE,),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
        refuses=(RouteNotFound, Unavailable),
    ),
    Route(
        method="GET",
        path="/dev/mail/{mail_id}/html",
        handler=show_html,
        summary="One mail as HTML, in development only",
        answers=(PAGE,),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
        refuses=(RouteNotFound, Unavailable),
    ),
)
