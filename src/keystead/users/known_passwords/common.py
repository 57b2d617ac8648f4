"""The commonest passwords of all: zxcvbn's list of 30,000, and what people make of them where they must be long."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from itertools import islice

COMMONEST = 1000  # two of these in a row are a million passwords, which is nothing


def is_common(password: str) -> bool:
    """Whether the whole password, in lower case, is listed; repeats one that is, or one character, also if the last
    repetition is cut short; or is two of the thousand commonest in a row. `password` is in normal form."""
    ranks, text = _ranks(), password.casefold()
    if not text:
        return False
    if text in ranks or text == text[:1] * len(text):
        return True
    longest = _longest()
    for size in range(1, min(len(text), longest + 1)):
        head = text[:size]
        if head not in ranks:
            continue
        if text == (head * (len(text) // size + 1))[: len(text)]:
            return True
        if ranks[head] <= COMMONEST and ranks.get(text[size:], COMMONEST + 1) <= COMMONEST:
            return True
    return False


def most_common(count: int, *, min_length: int) -> list[str]:
    """The `count` commonest that are long enough: by themselves, and then those that are when repeated."""
    return list(islice(dict.fromkeys(_long_enough(min_length)), count))


def _long_enough(min_length: int) -> Iterator[str]:
    yield from (word for word in _ranks() if len(word) >= min_length)
    for word in _ranks():
        if len(word) < min_length:
            yield word * -(-min_length // len(word))


@cache
def _ranks() -> Mapping[str, int]:
    # Loaded when the first password is judged, in the thread that judges: most processes never do.
    words: list[str] = import_module("zxcvbn.frequency_lists").FREQUENCY_LISTS["passwords"]
    return {word.casefold(): rank for rank, word in enumerate(words, 1)}


@cache
def _longest() -> int:
    return max(map(len, _ranks()))
