"""Reading pages as a person meets them: what stands there, what can be filled in, and whom it would leave out."""

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

_VOID = {"meta", "link", "input", "br", "img", "hr"}
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


@dataclass(eq=False)
class Element:
    """`text` is all of the text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page:
    elements: list[Element] = field(default_factory=list)

    def all(self, *tags: str, **attributes: str) -> list[Element]:
        return [
            element
            for element in self.elements
            if (not tags or element.tag in tags)
            and all(element.attributes.get(name) == value for name, value in attributes.items())
        ]

    def one(self, *tags: str, **attributes: str) -> Element:
        found = self.all(*tags, **attributes)
        assert len(found) == 1, f"{len(found)} of {tags} {attributes}"
        return found[0]

    @property
    def title(self) -> str:
        return self.one("title").text

    @property
    def heading(self) -> str:
        return self.one("h1").text

    @property
    def text(self) -> str:
        return " ".join(self.one("body").text.split())

    @property
    def is_form(self) -> bool:
        return bool(self.all("form"))

    @property
    def inputs(self) -> dict[str, Element]:
        return {element.attributes["name"]: element for element in self.all("input")}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[Element] = []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.page.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element.text += data

    def close(self):
        super().close()
        assert not self._open, f"<{self._open[-1].tag}> stays open"


def read_page(html: str) -> Page:
    """An AssertionError tells what is not well formed."""
    assert html.lstrip().lower().startswith("<!doctype html>")
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page


def find_barriers(page: Page) -> list[str]:
    """What keeps somebody out who does not see the page, uses no mouse, or enlarges it."""
    found = []
    ids = Counter(element.attributes["id"] for element in page.elements if "id" in element.attributes)
    found += [f"the id {name} stands there twice" for name, times in ids.items() if times > 1]
    found += [
        f"{len(page.all(tag))} of <{tag}>" for tag in ("title", "h1", "main") if len(page.all(tag)) != 1
    ]
    if not page.one("html").attributes.get("lang"):
        found.append("no language")
    found += [
        f"an empty <{one.tag}>"
        for one in page.all("title", "button", "a", "label", *_HEADINGS)
        if not one.text.strip()
    ]
    found += _unlabelled(page, ids)
    found += [f"{target} leads nowhere" for target in _targets(page) if target not in ids]
    levels = [int(element.tag[1]) for element in page.all(*_HEADINGS)]
    found += [f"h{after} follows h{before}" for before, after in pairwise(levels) if after > before + 1]
    viewport = page.one("meta", name="viewport").attributes["content"]
    if "maximum-scale" in viewport or "user-scalable" in viewport:
        found.append("it cannot be enlarged")
    found += [
        f"<{one.tag}> comes out of turn"
        for one in page.elements
        if one.attributes.get("tabindex", "0") not in ("0", "-1")
    ]
    return found


def find_foreign_things(page: Page) -> list[str]:
    """What the policy of pages would block."""
    found = [f"<{element.tag}>" for element in page.all("script", "style", "iframe", "img", "object")]
    for element in page.elements:
        found += [
            f"{name} of <{element.tag}>"
            for name in element.attributes
            if name == "style" or name.startswith("on")
        ]
    return found


def _unlabelled(page: Page, ids: Counter[str]) -> list[str]:
    labelled = {label.attributes.get("for") for label in page.all("label")}
    return [
        f"the field {element.attributes.get('name')} has no label"
        for element in page.all("input", "select", "textarea")
        if element.attributes.get("type") != "hidden" and element.attributes.get("id") not in labelled
    ]


def _targets(page: Page) -> list[str]:
    """The ids that elements point at."""
    targets = []
    for element in page.elements:
        targets += element.attributes.get("aria-describedby", "").split()
        targets += element.attributes.get("for", "").split()
        if element.attributes.get("href", "").startswith("#"):
            targets.append(element.attributes["href"][1:])
    return targets
