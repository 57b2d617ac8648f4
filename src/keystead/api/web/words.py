"""What the pages say, as each language fills it in. `{product}` is the application's name; see `Facts` for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from keystead.kernel.application import LinkTo


class Facts(TypedDict):
    """What a sentence may mention in braces."""

    product: str
    min_length: int
    max_bytes: int
    max_name_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWords:
    """One kind of link: before the button is pressed, after it, and what helps where the link is not valid any more."""

    title: str
    lead: str
    button: str
    done_title: str
    done: str
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language. `language` is its tag; `problems` has a sentence for each code of a field that can be mended."""

    language: str
    links: Mapping[LinkTo, LinkWords]
    problems: Mapping[str, str]
    problem_mark: str
    problem_title: str
    full_name: str
    optional: str
    password: str
    password_hint: str
    refused_title: str
    refused: str
    taken_title: str
    taken: str
    busy_title: str
    busy: str
    try_again: str
    go_on: str
