"""From a template and values to a page."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from keystead.api.rest.routes import Answer, Call, Reply, Route
from keystead.kernel.caller import Access
from keystead.limits.types import RouteClass

STYLESHEET = "/style/pages.css"
PAGE = Answer(HTTPStatus.OK, str, "A page.", "text/html")
_HERE = Path(__file__).parent
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_ENVIRONMENT.globals["stylesheet"] = STYLESHEET
_CSS = (_HERE / "pages.css").read_text("utf-8")


def page(
    template: str,
    values: Mapping[str, object],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Whatever is in `values` is text, and stands in the page as text."""
    html = _ENVIRONMENT.get_template(template).render(values)
    return Reply(status, html, media_type="text/html; charset=utf-8", headers=dict(headers or {}))


async def stylesheet(_call: Call) -> Reply:
    return Reply(body=_CSS, media_type="text/css; charset=utf-8", cache_control="public, max-age=300")


ROUTES = (
    Route(
        method="GET",
        path=STYLESHEET,
        handler=stylesheet,
        summary="The stylesheet of the pages that mailed links lead to",
        answers=(Answer(HTTPStatus.OK, str, "A stylesheet.", "text/css"),),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
    ),
)
