"""Spans of time, as they are typed: 90d, 12h or 30m."""

import re
from datetime import timedelta

from keystead.cli.running import EXIT_CANNOT_START, fail

_SPAN = re.compile(r"(\d{1,6})([dhm])", re.ASCII)
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def read_span(option: str, text: str) -> timedelta:
    """Exits with 2 and the mend."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise fail(f"{option} {text}: write it like 90d, 12h or 30m", EXIT_CANNOT_START)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
