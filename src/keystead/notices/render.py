"""`Renderer`: from a kind, a locale and facts to the words of a mail."""

import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from keystead.kernel.errors import CannotStart
from keystead.notices.facts import lifetime, one_line, told_by
from keystead.notices.letter import Letter, Miswritten, Paragraph, read_letter, read_paragraphs
from keystead.notices.types import NEEDED_FACTS, MailKind, RenderedMail

SHIPPED = Path(__file__).parent / "templates"
FALLBACK_LOCALE = "en"
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_MAX_LOCALE_LENGTH = 35  # RFC 5646 §4.4.1
_PIECES = ("duration.txt", "footer.txt")
_LAYOUT = "layout.html"
_KNOWN_FILES = frozenset(
    [*_PIECES, *(f"{kind}{suffix}" for kind in MailKind for suffix in (".txt", ".html"))]
)
_SAMPLE = {
    "name": "Ada Example",
    "link": "https://app.example.com/do?token=sample",
    "expires_in": "1800",
    "inviter": "Ada Example",
    "device": "Firefox on Linux",
    "key_name": "laptop",
    "address": "203.0.113.7",
    "at": "2026-01-31T12:00:00+00:00",
}


class Renderer:
    """Writes mails. Raises CannotStart where a template of `overrides` cannot be used.

    `overrides` is a folder like `templates` beside this file, of which it may hold any part: its files win.
    """

    def __init__(
        self, product: str, overrides: Path | None = None, default_locale: str = FALLBACK_LOCALE
    ) -> None:
        self._product = one_line(product)
        self._folders = [*([overrides] if overrides is not None else []), SHIPPED]
        self._files = frozenset(name for folder in self._folders for name in _templates_in(folder))
        self._locales = {
            name.partition("/")[0].lower(): name.partition("/")[0] for name in self._files if "/" in name
        }
        self._default = default_locale
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(self._folders),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # what was checked stays what is used
            cache_size=-1,
        )
        if next(self._chain(default_locale), None) is None:
            raise CannotStart(
                f"there are no mails in the locale {default_locale!r}; set mail.locale to another"
            )
        if overrides is not None:
            self._check_all()

    def render(self, kind: MailKind, *, locale: str | None, facts: Mapping[str, str]) -> RenderedMail:
        """In the nearest locale that has this mail. Raises ValueError where a needed fact is missing or malformed."""
        return self._render(self._nearest(kind, locale), kind, facts)

    def _render(self, locale: str, kind: MailKind, facts: Mapping[str, str]) -> RenderedMail:
        told: dict[str, str | None] = {"product": self._product, **told_by(kind, facts)}
        if told["expires_in"] is not None:
            told["expires_in"] = self._duration(locale, told["expires_in"])
        letter = read_letter(self._text(f"{locale}/{kind}.txt", told), told["link"])
        footer = read_paragraphs(self._text(self._piece(locale, "footer.txt"), told), None)
        html = self._html(locale, kind, told, letter, footer)
        return RenderedMail(letter.subject, letter.as_text(footer), html)

    def _html(
        self,
        locale: str,
        kind: MailKind,
        told: Mapping[str, str | None],
        letter: Letter,
        footer: tuple[Paragraph, ...],
    ) -> str:
        own = f"{locale}/{kind}.html"
        return self._environment.get_template(own if own in self._files else _LAYOUT).render(
            told, lang=locale, subject=letter.subject, button=letter.button, body=letter.body, footer=footer
        )

    def _text(self, file: str, told: Mapping[str, object]) -> str:
        return self._environment.get_template(file).render(told)

    def _duration(self, locale: str, seconds: str) -> str:
        count, unit = lifetime(seconds)
        return self._text(self._piece(locale, "duration.txt"), {"count": count, "unit": unit}).strip()

    def _nearest(self, kind: MailKind, locale: str | None) -> str:
        wanted = (*self._chain(locale), *self._chain(self._default), FALLBACK_LOCALE)
        return next(name for name in wanted if f"{name}/{kind}.txt" in self._files)

    def _chain(self, locale: str | None) -> Iterator[str]:
        """The locales that we have, from the one asked for to its language: de-AT, de."""
        rest = (locale or "").replace("_", "-").lower()
        while rest and len(rest) <= _MAX_LOCALE_LENGTH:
            if known := self._locales.get(rest):
                yield known
            rest = rest.rpartition("-")[0]

    def _piece(self, locale: str, file: str) -> str:
        for name in self._chain(locale):
            if f"{name}/{file}" in self._files:
                return f"{name}/{file}"
        raise Miswritten(f"{locale}/{file} is missing; a locale needs {' and '.join(_PIECES)}")

    def _check_all(self) -> None:
        """Write every mail once with all facts and once with the needed ones alone."""
        for locale in sorted(self._locales.values()):
            for kind in MailKind:
                if f"{locale}/{kind}.txt" in self._files:
                    self._check(locale, kind, _SAMPLE)
                    self._check(locale, kind, {name: _SAMPLE[name] for name in NEEDED_FACTS.get(kind, ())})
                elif f"{locale}/{kind}.html" in self._files:
                    raise CannotStart(f"mail template {locale}/{kind}.html: there is no {kind}.txt beside it")

    def _check(self, locale: str, kind: MailKind, facts: Mapping[str, str]) -> None:
        file = f"{locale}/{kind}.txt"
        try:
            mail = self._render(locale, kind, facts)
        except Exception as error:  # a template may raise anything
            raise CannotStart(self._complaint(file, error)) from error
        if "link" in NEEDED_FACTS.get(kind, ()):
            for form, written in ((".txt", mail.text), (".html", mail.html)):
                if facts["link"] not in written:
                    raise CannotStart(
                        f"mail template {self._path(file)}: its {form} form lacks {{{{ link }}}}"
                    )

    def _complaint(self, file: str, error: Exception) -> str:
        place = self._place(error) or self._path(file)
        return f"mail template {place}: {_what(error)}"

    def _place(self, error: Exception) -> str | None:
        """The file and the line of a template in which `error` arose."""
        if isinstance(error, TemplateSyntaxError):
            return f"{error.filename or error.name}, line {error.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if any(Path(frame.filename).is_relative_to(folder) for folder in self._folders):
                return f"{frame.filename}, line {frame.lineno}"
        return None

    def _path(self, file: str) -> str:
        return next((str(folder / file) for folder in self._folders if (folder / file).is_file()), file)


def _what(error: Exception) -> str:
    match error:
        case TemplateNotFound():
            return f"it includes {error.name}, which does not exist"
        case UnicodeDecodeError():
            return "it is not written in UTF-8"
        case TemplateError() | Miswritten():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"


def _templates_in(folder: Path) -> Iterator[str]:
    """The names of its templates, as `locale/file`. Raises CannotStart for what would never be used."""
    if not folder.is_dir():
        raise CannotStart(f"the folder of mail templates does not exist: {folder}")
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _templates_of(entry)
        elif _is_template(entry) and entry.name != _LAYOUT:
            raise CannotStart(
                f"mail template {entry}: only {_LAYOUT} stands here; mails stand in folders like en/"
            )


def _templates_of(locale: Path) -> Iterator[str]:
    if _LOCALE.fullmatch(locale.name) is None:
        raise CannotStart(f"{locale}: a folder of mail templates is named for a locale, like de or pt-BR")
    for file in sorted(locale.iterdir()):
        if not _is_template(file):
            continue
        if file.name not in _KNOWN_FILES:
            raise CannotStart(
                f"mail template {file}: there is no such mail; known are {', '.join(sorted(MailKind))}"
            )
        yield f"{locale.name}/{file.name}"


def _is_template(path: Path) -> bool:
    return path.suffix in {".txt", ".html"} and not path.name.startswith(".")
