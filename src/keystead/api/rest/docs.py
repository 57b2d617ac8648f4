"""Pages for people, generated from the declared routes; they need no script and no network."""

from collections.abc import Iterable
from html import escape
from http import HTTPStatus

from keystead import __version__
from keystead.api.rest.problems import STATUS
from keystead.api.rest.routes import Route
from keystead.kernel.errors import Refusal

STYLESHEET = """
:root { color-scheme: light dark; --ink: light-dark(#1c2430, #e6e9ef); --soft: light-dark(#5b6676, #9aa5b5);
  --line: light-dark(#dfe4ea, #303a48); --ground: light-dark(#fff, #151b23); --mark: light-dark(#0b6e4f, #5fd3a8); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
p.lead { color: var(--soft); margin: 0 0 1.5rem; }
a { color: var(--mark); } code { font: .9em ui-monospace, monospace; }
article { border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; padding: .9rem 1.1rem; }
article h3 { font-size: 1rem; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
article p { margin: .25rem 0; color: var(--soft); }
.method { color: var(--mark); font-weight: 700; margin-right: .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); }
"""


def index(routes: Iterable[Route]) -> str:
    """Every route, and every code."""
    articles = "".join(_article(route) for route in routes)
    rows = "".join(
        f'<tr><td><a href="/docs/errors/{escape(kind.code)}"><code>{escape(kind.code)}</code></a></td>'
        f"<td>{status.value}</td><td>{escape(kind.message)}</td></tr>"
        for kind, status in sorted(STATUS.items(), key=lambda entry: (entry[1], entry[0].code))
    )
    return _page(
        "Keystead API",
        f'<h1>Keystead API</h1><p class="lead">Version {escape(__version__)} · '
        f'<a href="/openapi.json">openapi.json</a></p><h2>Routes</h2>{articles}'
        "<h2>Problems</h2><table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>",
    )


def error_page(code: str) -> str | None:
    """The page of one code; None where there is no such code."""
    for kind, status in STATUS.items():
        if kind.code == code:
            return _page(code, _explain(kind, status))
    return None


def _explain(kind: type[Refusal], status: HTTPStatus) -> str:
    # Where a class says nothing of its own, `__doc__` is None: the message then stands alone.
    more = " ".join((kind.__doc__ or "").split())
    return (
        f"<h1><code>{escape(kind.code)}</code></h1>"
        f'<p class="lead">{status.value} {escape(status.phrase)}</p><p>{escape(kind.message)}</p>'
        f'<p>{escape(more)}</p><p><a href="/docs">All routes and codes</a></p>'
    )


def _article(route: Route) -> str:
    refusals = ", ".join(
        f'<a href="/docs/errors/{escape(kind.code)}"><code>{escape(kind.code)}</code></a>'
        for kind in route.refusals()
    )
    answers = " ".join(f"{answer.status.value}: {escape(answer.description)}" for answer in route.answers)
    body = f"<p>Body: <code>{_fields(route)}</code></p>" if route.body else ""
    return (
        f'<article><h3><span class="method">{route.method}</span><code>{escape(route.path)}</code></h3>'
        f"<p>{escape(route.summary)}. Needs: <code>{escape(str(route.requires))}</code>.</p>{body}"
        f"<p>Answers: {answers}</p><p>Refuses: {refusals}</p></article>"
    )


def _fields(route: Route) -> str:
    return escape("{" + ", ".join(route.body.__struct_encode_fields__ if route.body else ()) + "}")


def _page(title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · Keystead</title><link rel="stylesheet" href="/docs/style.css"></head>'
        f"<body><main>{content}</main></body></html>"
    )
