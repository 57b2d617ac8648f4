"""How a letter is written: `Subject:`, `Button:`, an empty line, then paragraphs."""

import textwrap
from dataclasses import dataclass

_WIDTH = 72


class Miswritten(Exception):
    """A letter that cannot be sent as it stands; the text says why."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text, or (where every line began with `- `) a list, or the link of the mail, which stands alone."""

    text: str
    entries: tuple[str, ...] = ()
    is_link: bool = False

    def as_text(self) -> str:
        if self.is_link:
            return self.text
        if self.entries:
            return "\n".join(_wrapped(entry, first="- ", rest="  ") for entry in self.entries)
        return _wrapped(self.text)


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    button: str | None
    body: tuple[Paragraph, ...]

    def as_text(self, footer: tuple[Paragraph, ...]) -> str:
        """Plain text; the footer stands under the line `-- ` that mail programs know as the start of a signature."""
        body = "\n\n".join(paragraph.as_text() for paragraph in self.body)
        signature = "\n".join(paragraph.as_text() for paragraph in footer)
        return f"{body}\n\n-- \n{signature}\n"


def read_letter(written: str, link: str | None) -> Letter:
    """Raises Miswritten."""
    head, _, rest = written.lstrip().partition("\n\n")
    fields = dict(_field(line) for line in head.splitlines())
    body = read_paragraphs(rest, link)
    if not fields.get("Subject"):
        raise Miswritten("it does not begin with a line `Subject: ...`")
    if unknown := fields.keys() - {"Subject", "Button"}:
        raise Miswritten(
            f"before the first empty line only `Subject:` and `Button:` may stand, not `{min(unknown)}:`"
        )
    if not body:
        raise Miswritten("nothing follows its subject; between them stands an empty line")
    if any(paragraph.is_link for paragraph in body) and not fields.get("Button"):
        raise Miswritten(
            "it holds the link, but no line `Button: ...` under its subject says what the button does"
        )
    return Letter(fields["Subject"], fields.get("Button"), body)


def read_paragraphs(written: str, link: str | None) -> tuple[Paragraph, ...]:
    """Raises Miswritten where the link stands inside of other text, so that it could not become the button."""
    blocks = [[line.strip() for line in block.splitlines()] for block in _blocks(written)]
    return tuple(_paragraph(lines, link) for lines in blocks)


def _blocks(written: str) -> list[str]:
    lines = (line if line.strip() else "" for line in written.splitlines())
    return [block.strip("\n") for block in "\n".join(lines).split("\n\n") if block.strip()]


def _paragraph(lines: list[str], link: str | None) -> Paragraph:
    text = " ".join(lines)
    if link is not None and link in text:
        if text != link:
            raise Miswritten("{{ link }} must stand on a line of its own, between empty lines")
        return Paragraph(text, is_link=True)
    if all(line.startswith("- ") for line in lines):
        return Paragraph(text, tuple(line.removeprefix("- ") for line in lines))
    return Paragraph(text)


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
