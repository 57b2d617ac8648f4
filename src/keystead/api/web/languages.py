"""Which language a page is in: the one that the browser asks for, else the configured one (RFC 9110 §12.5.4)."""

import re
from collections.abc import Iterator

from keystead.api.web.english import ENGLISH
from keystead.api.web.german import GERMAN
from keystead.api.web.words import Words

LANGUAGES = {words.language: words for words in (ENGLISH, GERMAN)}
_MAX_RANGES = 20  # browsers send a handful
_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.ASCII
)


def choose(accept_language: str, default: str) -> Words:
    """By the language alone, whatever the region. `default` is a tag like `de-AT`; what we lack becomes English."""
    own = LANGUAGES.get(default.partition("-")[0].lower(), ENGLISH)
    for language in _by_preference(accept_language):
        if language == "*":
            return own
        if language in LANGUAGES:
            return LANGUAGES[language]
    return own


def _by_preference(accept_language: str) -> Iterator[str]:
    matches = map(_RANGE.fullmatch, accept_language.split(",")[:_MAX_RANGES])
    ranges = [(float(match[2] or 1), match[1].lower()) for match in matches if match]
    for weight, language in sorted(ranges, key=lambda one: -one[0]):  # stable: of equals, the first
        if weight > 0:
            yield language
