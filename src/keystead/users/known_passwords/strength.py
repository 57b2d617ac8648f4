"""How many guesses a password takes, by zxcvbn's estimate: what a client can tell its user, and a minimum if wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

MAX_LENGTH = 72  # zxcvbn's own bound: its work grows faster than the square of the length

# The characters that zxcvbn may read as a letter. It tries every combination of those that one letter has, and
# thousands would take seconds; beyond a few, the first of each row stands for the others.
_LOOK_ALIKES = ("4@", "({[<", "69", "1!|7", "5$", "+7")
_MAX_COMBINATIONS = 8
_ONE_EACH = str.maketrans({other: row[0] for row in _LOOK_ALIKES for other in row[1:] if other != "7"})


@dataclass(frozen=True, slots=True)
class Strength:
    """`score` is 0 (at most 10^3 guesses) to 4 (more than 10^10). The words are zxcvbn's, in English; they never hold
    anything of the password."""

    score: int
    guesses_log10: float
    warning: str
    suggestions: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "guesses_log10": self.guesses_log10,
            "warning": self.warning,
            "suggestions": list(self.suggestions),
        }


def estimate(password: str) -> Strength:
    """Of the first 72 characters. Takes up to a tenth of a second: not for an event loop, and one at a time, because
    zxcvbn keeps what it is told in a place for all."""
    if not password:  # of which zxcvbn makes an IndexError
        return Strength(score=0, guesses_log10=0.0, warning="", suggestions=())
    found: Mapping[str, Any] = import_module("zxcvbn").zxcvbn(_bounded(password), max_length=MAX_LENGTH)
    feedback = found["feedback"]
    return Strength(
        score=found["score"],
        guesses_log10=round(float(found["guesses_log10"]), 1),
        warning=feedback["warning"],
        suggestions=tuple(feedback["suggestions"]),
    )


def _bounded(password: str) -> str:
    text = password[:MAX_LENGTH]
    combinations = 1
    for row in _LOOK_ALIKES:
        combinations *= max(1, sum(character in text for character in row))
    return text if combinations <= _MAX_COMBINATIONS else text.translate(_ONE_EACH)
