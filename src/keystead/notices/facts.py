"""What a template is told: every fact is one harmless line, whoever wrote it."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from keystead.notices.types import NEEDED_FACTS, MailKind

MAX_LENGTH = 200
_MAX_LINK_LENGTH = 2000
_MAYBE_ABSENT = ("name", "link", "expires_in", "inviter")
# Only what a URL may hold (RFC 3986), so no quote, bracket or space can end it early.
_LINK = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&()*+,;=%]+")
# Mail programs make links of `www.x`, `x.com`, `a@b`, `http://x` and `mailto:x`: what holds those together is parted.
_GLUE = re.compile(r"(?<=\S)[.@\u3002\uff61](?=\S)|(?<=[^\W\d_]):(?=\S)")
_SLASHES = re.compile(r":?[/\\]{2,}")


def told_by(kind: MailKind, facts: Mapping[str, str]) -> dict[str, str | None]:
    """What a template of `kind` is told; facts that may be absent are None. Raises ValueError where one is missing.

    Facts that we make come in the form of machines: `link` as URL, `expires_in` in whole seconds, `at` in ISO 8601
    with its offset, `address` as IP address. All others are words of people.
    """
    missing = [name for name in NEEDED_FACTS.get(kind, ()) if not facts.get(name)]
    if missing:
        raise ValueError(f"a mail {kind} needs the facts {', '.join(missing)}")
    told: dict[str, str | None] = dict.fromkeys(_MAYBE_ABSENT)
    told.update({name: _harmless(name, value) or None for name, value in facts.items()})
    return told


def one_line(text: str) -> str:
    """`text` without what does not print (line ends, controls, marks that turn the direction), at most 200 long."""
    head = text[: 5 * MAX_LENGTH]
    plain = "".join(char if char.isprintable() else " " if char.isspace() else "" for char in head)
    line = " ".join(plain.split())
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 1].rstrip() + "…"


def lifetime(seconds: str) -> tuple[int, str]:
    """How many of which unit ("minute", "hour", "day") is a promise that `seconds` keeps."""
    time = timedelta(seconds=int(seconds))
    if time >= timedelta(days=2):
        return time // timedelta(days=1), "day"
    if time >= timedelta(hours=2) or time == timedelta(hours=1):
        return time // timedelta(hours=1), "hour"
    return max(1, time // timedelta(minutes=1)), "minute"


def _harmless(name: str, value: str) -> str:
    match name:
        case "link":
            return _link(value)
        case "at":
            return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case "address":
            return _address(value)
        case "expires_in":
            return value
        case _:
            return _no_link(value)


def _link(value: str) -> str:
    if len(value) > _MAX_LINK_LENGTH or _LINK.fullmatch(value) is None:
        raise ValueError("the link of a mail is no http(s) URL")  # not shown: it holds a secret
    return value


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        return _no_link(value)


def _no_link(value: str) -> str:
    line = "".join(_plain_glue(char) for char in one_line(value))
    return one_line(_GLUE.sub(lambda found: f"{found[0]} ", _SLASHES.sub(" ", line)))


def _plain_glue(char: str) -> str:
    """Full-width and small forms of what holds an address together; programs take them for the plain ones."""
    plain = unicodedata.normalize("NFKC", char)
    return plain if plain in ".@:/\\" else char
