"""Files of other systems, written and read again."""

import json
from datetime import UTC, datetime

import pytest

from keystead.accounts.moving import read

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def written(tmp_path):
    """Writes text, bytes, or what is to be JSON, and gives the path."""

    def write(content, name="users"):
        path = tmp_path / name
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def read_all(written):
    """Everything that is read of such a file."""

    def read_content(content, of_format, **options):
        return list(read(written(content), of_format, now=NOW, **options))

    return read_content


@pytest.fixture
def read_one(read_all):
    def read_content(content, of_format, **options):
        (one,) = read_all(content, of_format, **options)
        return one

    return read_content


@pytest.fixture
def lines():
    """JSON Lines of some objects."""
    return lambda *objects: "".join(json.dumps(one) + "\n" for one in objects)
