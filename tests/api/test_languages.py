"""Which language a page is in, and whether each says everything."""

import re
from dataclasses import astuple, fields
from typing import get_type_hints

import pytest

from keystead.api.web.languages import LANGUAGES, choose
from keystead.api.web.words import Facts
from keystead.kernel.application import LinkTo


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("de", "de"),
        ("DE-at", "de"),
        ("de-Latn-AT-1996", "de"),
        ("fr, de;q=0.5, en;q=0.4", "de"),
        ("en;q=0.4, de;q=0.5", "de"),
        ("de;q=0.400, en;q=0.401", "en"),
        ("de,en", "de"),
        ("en,de", "en"),
        (" de ; q=0.9 , en;q=0.8", "de"),
        ("de;q=0, en;q=0.1", "en"),
        ("de;q=0", "en"),
        ("fr, *;q=0.5, de;q=0.1", "en"),
        ("*", "en"),
        ("", "en"),
        ("den", "en"),
        ("de;q=2", "en"),
        ("de;q=0.9999", "en"),
        ("de;level=1", "en"),
        ("d\u00e9", "en"),
        (";;;,,,", "en"),
        ("fr," * 20 + "de", "en"),
        ("x" * 100_000, "en"),
    ],
)
def test_the_most_wanted_language_that_we_have_is_taken(asked, language):
    assert choose(asked, "en").language == language


@pytest.mark.parametrize(
    ("default", "language"), [("de", "de"), ("de-AT", "de"), ("DE", "de"), ("en", "en"), ("fr", "en")]
)
def test_without_a_wish_it_is_the_configured_one(default, language):
    for asked in ("", "fr", "*"):
        assert choose(asked, default).language == language


@pytest.mark.parametrize("words", LANGUAGES.values(), ids=lambda words: words.language)
def test_a_language_has_words_for_everything_and_mentions_known_facts_only(words):
    english = LANGUAGES["en"]
    assert set(words.links) == set(LinkTo)
    assert set(words.problems) == set(english.problems)
    links = [sentence for link in words.links.values() for sentence in astuple(link)]
    others = [
        getattr(words, field.name) for field in fields(words) if field.name not in ("links", "problems")
    ]
    for sentence in (*links, *others, *words.problems.values()):
        assert sentence.strip() == sentence != ""
        assert set(re.findall(r"{(.*?)}", sentence)) <= set(get_type_hints(Facts))


@pytest.mark.parametrize("words", LANGUAGES.values(), ids=lambda words: words.language)
def test_a_sentence_about_a_problem_states_the_limit_in_every_language(words):
    def mentioned(sentences):
        return {code: re.findall(r"{(.*?)}", sentence) for code, sentence in sentences.items()}

    assert mentioned(words.problems) == mentioned(LANGUAGES["en"].problems)
