"""The words of mails: complete in every locale, and harmless whatever a fact says."""

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest

from keystead.kernel.errors import CannotStart
from keystead.notices.render import SHIPPED, Renderer
from keystead.notices.types import NEEDED_FACTS, MailKind

LOCALES = ("de", "en")
LINK = "https://app.example.com/x?token=abc-_123&next=%2Fhome"
FACTS = {
    "name": "Ada Lovelace",
    "link": LINK,
    "expires_in": "1800",
    "inviter": "Grace Hopper",
    "device": "Firefox on Linux",
    "key_name": "laptop",
    "address": "2001:db8::7",
    "at": "2026-01-31T13:30:00+01:00",
}
# What mail programs turn into links by themselves (Gmail, Apple Mail, Outlook and Thunderbird between them).
LINKED_BY_PROGRAMS = re.compile(r"(?i)\w+:/|[/\\]{2}\w|\bwww\.\w|\w\.\w|\w@\w|\b(mailto|tel|https?):\w")

ADDRESSED_BY_NAME = [
    kind for kind in MailKind if "{{ name }}" in (SHIPPED / f"en/{kind}.txt").read_text("utf-8")
]


class Page(HTMLParser):
    """The elements and the visible words of a mail in HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data):
        self.words += data

    def all(self, name):
        return [value for attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module")
def renderer():
    return Renderer("Example App")


def every(kinds=MailKind):
    return pytest.mark.parametrize(
        ("locale", "kind"), [(locale, kind) for locale in LOCALES for kind in kinds]
    )


def sentences_with(renderer, name):
    """One mail that greets by `name`, and one that tells an inviter."""
    greeted = renderer.render(MailKind.RESET_PASSWORD, locale="en", facts={**FACTS, "name": name})
    invited = renderer.render(MailKind.INVITATION, locale="en", facts={**FACTS, "inviter": name})
    return greeted, invited


def needed(kind):
    return {name: FACTS[name] for name in NEEDED_FACTS.get(kind, ())}


@pytest.mark.parametrize("locale", LOCALES)
def test_every_mail_is_shipped_in_every_locale(locale):
    assert {path.stem for path in (SHIPPED / locale).glob("*.txt")} == {*MailKind, "footer", "duration"}


@every()
def test_every_mail_is_written_in_full(renderer, locale, kind):
    mail = renderer.render(kind, locale=locale, facts=FACTS)
    for form in (mail.subject, mail.text, mail.html):
        assert "{" not in form
        assert "None" not in form
        assert "Example App" in form
    assert "\n" not in mail.subject
    assert mail.subject in Page(mail.html).words
    assert f'lang="{locale}"' in mail.html


@every()
def test_every_mail_can_do_with_the_needed_facts_alone(renderer, locale, kind):
    mail = renderer.render(kind, locale=locale, facts=needed(kind))
    assert "None" not in mail.text + mail.html
    assert "  " not in mail.text.replace("\n  ", "\n")


@every()
def test_both_forms_say_the_same(renderer, locale, kind):
    mail = renderer.render(kind, locale=locale, facts=FACTS)
    spoken = " ".join(Page(mail.html).words.split())
    for paragraph in mail.text.replace("\n-- \n", "\n\n").split("\n\n"):
        for line in (
            [" ".join(paragraph.split())] if "\n- " not in f"\n{paragraph}" else paragraph.splitlines()
        ):
            assert line.removeprefix("- ") in spoken


@every()
def test_every_mail_in_html_loads_nothing_and_runs_nothing(renderer, locale, kind):
    page = Page(renderer.render(kind, locale=locale, facts=FACTS).html)
    assert not {"script", "img", "style", "link", "iframe", "form", "object"} & set(page.tags)
    assert not page.all("src")
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert not any("url(" in (value or "") for value in page.all("style"))
    assert set(page.all("href")) <= {LINK}


@every([kind for kind in MailKind if "link" in NEEDED_FACTS.get(kind, ())])
def test_the_link_is_one_button_and_visible_text(renderer, locale, kind):
    mail = renderer.render(kind, locale=locale, facts=FACTS)
    page = Page(mail.html)
    assert page.all("href") == [LINK, LINK]
    assert page.words.count(LINK) == 1
    assert LINK in mail.text.splitlines()
    assert page.tags.count("table") == 1


@every([kind for kind in MailKind if "link" in NEEDED_FACTS.get(kind, ())])
def test_a_link_comes_with_how_long_it_holds(renderer, locale, kind):
    text = renderer.render(kind, locale=locale, facts=FACTS).text
    assert {"en": "30 minutes", "de": "30 Minuten"}[locale] in " ".join(text.split())


@every()
def test_no_line_of_text_is_broken_inside_a_link_or_longer_than_72(renderer, locale, kind):
    text = renderer.render(
        kind, locale=locale, facts={**FACTS, "link": "https://example.com/" + "a-" * 200}
    ).text
    assert all(len(line) <= 72 or line.startswith("https://") for line in text.splitlines())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ("30", "1 minute"),
        ("1800", "30 minutes"),
        ("3600", "1 hour"),
        ("5400", "90 minutes"),
        ("7200", "2 hours"),
        ("86400", "24 hours"),
        ("172800", "2 days"),
        ("604800", "7 days"),
        ("650000", "7 days"),
    ],
)
def test_a_lifetime_is_told_in_words_that_promise_no_more_than_it_is(renderer, seconds, words):
    mail = renderer.render(MailKind.VERIFY_EMAIL, locale="en", facts={"link": LINK, "expires_in": seconds})
    assert f"within {words}." in " ".join(mail.text.split())


def test_a_time_is_told_in_utc_and_an_address_as_it_is(renderer):
    mail = renderer.render(MailKind.NEW_DEVICE, locale="en", facts=FACTS)
    assert "- Time: 2026-01-31 12:30 UTC" in mail.text
    assert "- Network address: 2001:db8::7" in mail.text
    assert "<li>Device: Firefox on Linux</li>" in mail.html


@pytest.mark.parametrize("absent", ["link", "expires_in"])
def test_a_mail_without_a_needed_fact_is_not_written(renderer, absent):
    facts = {name: value for name, value in FACTS.items() if name != absent}
    with pytest.raises(ValueError, match=absent):
        renderer.render(MailKind.RESET_PASSWORD, locale="en", facts=facts)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "ftp://example.com/",
        "https://example.com/ x",
        'https://example.com/"onclick="x',
        "https://example.com/\r\nBcc:",
        "https://example.com/<b>",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_a_link_that_is_no_plain_url_is_refused_and_not_repeated(renderer, link):
    with pytest.raises(ValueError, match="no http") as refused:
        renderer.render(MailKind.RESET_PASSWORD, locale="en", facts={**FACTS, "link": link})
    assert link not in str(refused.value)


# Locales


@pytest.mark.parametrize(
    ("asked", "default", "lang"),
    [
        ("de", "en", "de"),
        ("de-AT", "en", "de"),
        ("DE_ch", "en", "de"),
        ("fr-CA", "de", "de"),
        ("fr", "en", "en"),
        (None, "de", "de"),
        ("", "de", "de"),
        ("../../etc", "en", "en"),
        ("-" * 1_000_000, "en", "en"),
        ("de-" * 1_000_000, "en", "en"),
    ],
)
def test_the_nearest_locale_is_taken(asked, default, lang):
    mail = Renderer("Example App", default_locale=default).render(MailKind.TEST, locale=asked, facts={})
    assert f'lang="{lang}"' in mail.html


def test_a_default_locale_that_does_not_exist_is_reported_at_the_start():
    with pytest.raises(CannotStart, match="'xx'"):
        Renderer("Example App", default_locale="xx")


# Hostile facts


@pytest.mark.parametrize("kind", ADDRESSED_BY_NAME)
def test_markup_in_a_name_is_shown_and_not_obeyed(renderer, kind):
    name = "<b>Ada</b><script>alert(1)</script>\"'&<a href='javascript:x'>"
    mail = renderer.render(kind, locale="en", facts={**FACTS, "name": name})
    clean = renderer.render(kind, locale="en", facts=FACTS)
    assert Page(mail.html).tags == Page(clean.html).tags
    assert "<b>Ada</b>" in Page(mail.html).words
    assert "<b>" not in mail.html


@pytest.mark.parametrize(
    "name",
    [
        "Ada\r\nBcc: victim@example.org",
        "Ada\n\nSubject: x",
        "Ada\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029x",
        "Ada\x00\x1b[31m",
    ],
)
def test_a_name_is_one_line(renderer, name):
    for mail in sentences_with(renderer, name):
        clean_lines = [len(each.text.splitlines()) for each in sentences_with(renderer, "Ada x")]
        assert len(mail.text.splitlines()) - max(clean_lines) <= 1  # wrapped at most
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", mail.text + mail.html)
        assert len(mail.subject.splitlines()) == 1
        assert not any(line.startswith(("Bcc:", "Subject:")) for line in mail.text.splitlines())


def test_template_syntax_in_a_name_is_only_text(renderer):
    for mail in sentences_with(renderer, "{{7*7}}{% for x in 'ab' %}{{ product }}{# #}"):
        assert "{{7*7}}" in mail.text
        assert "{{7*7}}" in Page(mail.html).words
        assert "49" not in mail.text.replace("{{7*7}}", "")


def test_marks_that_turn_the_direction_or_hide_are_taken_out(renderer):
    hidden = (
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u200b\u2060\ufeff\u00ad\U000e0041"
    )
    for mail in sentences_with(renderer, f"A{hidden}da"):
        assert "Ada" in mail.text
        assert not set(hidden) & set(mail.subject + mail.text + mail.html)


def test_a_name_of_a_mebibyte_is_cut(renderer):
    for mail in sentences_with(renderer, "ab " * 350_000):
        assert len(mail.text) < 2000
        assert len(mail.subject) <= 200
        assert "…" in mail.text


def test_a_name_of_nothing_printable_is_no_name(renderer):
    assert (
        "Hello,"
        in renderer.render(MailKind.RESET_PASSWORD, locale="en", facts={**FACTS, "name": "\u202e\n"}).text
    )


@pytest.mark.parametrize(
    "name",
    [
        "Win now http://evil.example/x",
        "https://evil.example",
        "http://2130706433/x",
        "HTTP://EVIL",
        "www.evil.example",
        "evil.example",
        "www\u200b.evil\u00ad.example",
        "www\uff0eevil\u2024example",
        "evil\u3002example",
        "evil\uff61com",
        "h\u200bttp://evil",
        "http:\\\\evil",
        "http\uff1a\uff0f\uff0fevil",
        "bob@evil",
        "bob\uff20evil.example",
        "mailto:bob",
        "tel:0123456",
        "//evil/x",
        "\\\\evil\\share",
    ],
)
def test_a_name_never_becomes_a_link(renderer, name):
    for mail in sentences_with(renderer, name):
        for words in (mail.subject, mail.text, Page(mail.html).words):
            assert not LINKED_BY_PROGRAMS.search(unicodedata.normalize("NFKC", words.replace(LINK, "")))
        assert set(Page(mail.html).all("href")) == {LINK}


@pytest.mark.parametrize(
    "name", ["J. R. R. Tolkien", "Zoë O'Brien-Smith", "李小龍", "נועה כהן", "AC/DC", "Dr. No"]
)
def test_an_ordinary_name_stays_as_it_is(renderer, name):
    for mail in sentences_with(renderer, name):
        assert name in mail.text
        assert name in Page(mail.html).words


@pytest.mark.parametrize(
    "kind",
    [
        MailKind.VERIFY_EMAIL,
        MailKind.COMPLETE_REGISTRATION,
        MailKind.ALREADY_REGISTERED,
        MailKind.CHANGE_EMAIL,
    ],
)
@pytest.mark.parametrize("locale", LOCALES)
def test_whoever_enters_a_strangers_address_has_no_word_in_the_mail(renderer, locale, kind):
    mail = renderer.render(
        kind, locale=locale, facts={**FACTS, "name": "Cheap pills", "inviter": "Cheap pills"}
    )
    assert "pills" not in mail.subject + mail.text + mail.html


# Templates of the operator


def write(folder: Path, **files: str) -> Path:
    for name, words in files.items():
        path = folder / (name.replace("__", "/") + ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words, "utf-8")
    return folder


RESET = "Subject: Neu\nButton: Los\n\nHallo {{ name or 'du' }}\n\n{{ link }}\n\nBis in {{ expires_in }}"


def test_an_override_replaces_one_mail_and_leaves_the_others(tmp_path):
    renderer = Renderer("Example App", write(tmp_path, de__reset_password=RESET))
    mail = renderer.render(MailKind.RESET_PASSWORD, locale="de", facts=FACTS)
    assert mail.subject == "Neu"
    assert "Hallo Ada Lovelace" in mail.text
    assert "Los</a>" in mail.html
    assert "Test-E-Mail" in renderer.render(MailKind.TEST, locale="de", facts={}).subject


def test_an_override_adds_a_locale_and_what_it_lacks_comes_from_the_default(tmp_path):
    folder = write(
        tmp_path,
        fr__test="Subject: Essai\n\nBonjour de {{ product }}",
        fr__footer="Automatique",
        fr__duration="{{ count }} {{ unit }}",
    )
    renderer = Renderer("Example App", folder, "de")
    assert renderer.render(MailKind.TEST, locale="fr-CA", facts={}).subject == "Essai"
    assert 'lang="de"' in renderer.render(MailKind.RESET_PASSWORD, locale="fr", facts=FACTS).html


def test_a_regional_override_takes_the_rest_from_its_language(tmp_path):
    renderer = Renderer("Example App", write(tmp_path, **{"de-AT__reset_password": RESET}))
    mail = renderer.render(MailKind.RESET_PASSWORD, locale="de-at", facts=FACTS)
    assert mail.subject == "Neu"
    assert "30 Minuten" in mail.text
    assert "Antworten" in mail.text
    assert renderer.render(MailKind.RESET_PASSWORD, locale="de", facts=FACTS).subject != "Neu"


def test_an_override_of_the_layout_dresses_every_mail_and_still_escapes(tmp_path):
    (tmp_path / "layout.html").write_text(
        "<i>{{ subject }}</i>{% for p in body %}<p>{{ p.text }}</p>{% endfor %}"
    )
    mail = Renderer("Example App", tmp_path).render(
        MailKind.RESET_PASSWORD, locale="en", facts={**FACTS, "name": "<b>"}
    )
    assert mail.html.startswith("<i>Reset")
    assert "<b>" not in mail.html


def test_an_override_may_give_one_mail_its_own_html(tmp_path):
    own = write(tmp_path, de__reset_password=RESET) / "de" / "reset_password.html"
    own.write_text("<em>{{ name }}</em> {{ link }}")
    mail = Renderer("Example App", tmp_path).render(
        MailKind.RESET_PASSWORD, locale="de", facts={**FACTS, "name": "<b>"}
    )
    assert mail.html.startswith("<em>&lt;b&gt;</em>")


def test_hidden_folders_and_other_files_are_left_alone(tmp_path):
    write(tmp_path, **{"..data__en__reset_password": "{{"})  # as Kubernetes mounts a ConfigMap
    (tmp_path / "README.md").write_text("ours")
    Renderer("Example App", tmp_path)


@pytest.mark.parametrize(
    ("words", "complaints"),
    [
        ("Subject: x\nButton: y\n\n{{ link }}\n{% if %}\n", ["line 5"]),
        ("Subject: x\nButton: y\n\n{{ link }}\n\n{{ nmae }}", ["line 6", "'nmae' is undefined"]),
        (
            "Subject: x\nButton: y\n\n{{ link }}\n\n{{ name.upper() }}",
            ["line 6"],
        ),  # None where there is no name
        ("Subject: x\nButton: y\n\n{{ link }}\n\n{{ 1 / 0 }}", ["line 6", "ZeroDivisionError"]),
        ("Subject: x\nButton: y\n\n{{ link }}\n\n{% include 'de/gone.txt' %}", ["line 6", "gone.txt"]),
        ("Subject: x\nButton: y\n\n{{ link }} {{ ''.__class__.__mro__ }}", ["line 4", "unsafe"]),
        ("Hello\n\n{{ link }}", ["Subject"]),
        ("Subject: x\nFrom: me\n\n{{ link }}", ["`From:`"]),
        ("Subject: x\n\n{{ link }}", ["Button"]),
        ("Subject: x\nButton: y\n\nGo to {{ link }} now", ["line of its own"]),
        ("Subject: x\nButton: y\n\nHello", ["lacks {{ link }}"]),
        ("Subject: x\nButton: y\n", ["nothing follows"]),
    ],
)
def test_a_broken_override_is_named_at_the_start(tmp_path, words, complaints):
    folder = write(tmp_path, de__reset_password=words)
    with pytest.raises(CannotStart) as refused:
        Renderer("Example App", folder)
    for complaint in [str(folder / "de" / "reset_password.txt"), *complaints]:
        assert complaint in str(refused.value)


def test_an_override_that_is_not_utf8_is_named_at_the_start(tmp_path):
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "test.txt").write_bytes(b"Subject: \xfcber\n\nx")
    with pytest.raises(CannotStart, match=r"de/test\.txt: it is not written in UTF-8"):
        Renderer("Example App", tmp_path)


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("de/reset_pasword.txt", "no such mail"),
        ("reset_password.txt", "only layout.html stands here"),
        ("German/test.txt", "named for a locale"),
        ("fr/test.txt", "a locale needs duration.txt and footer.txt"),
        ("xx/test.html", "no test.txt beside it"),
    ],
)
def test_an_override_that_would_never_be_used_is_named_at_the_start(tmp_path, file, complaint):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("Subject: x\n\nx")
    with pytest.raises(CannotStart, match=complaint) as refused:
        Renderer("Example App", tmp_path)
    assert file.split("/")[0] in str(refused.value)


def test_a_folder_that_does_not_exist_is_named_at_the_start(tmp_path):
    with pytest.raises(CannotStart, match="nowhere"):
        Renderer("Example App", tmp_path / "nowhere")


def test_an_override_that_changes_later_is_not_used_unchecked(tmp_path):
    write(tmp_path, de__test="Subject: first\n\nx")
    renderer = Renderer("Example App", tmp_path)
    write(tmp_path, de__test="Subject: {{ broken")
    assert renderer.render(MailKind.TEST, locale="de", facts={}).subject == "first"
