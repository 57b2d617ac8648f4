"""Reading whatever file it is: bad rows are named, the others are read, and files of no use are refused at once."""

import itertools
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.accounts.moving import Format, IncomingUser, Unreadable, detect, read
from keystead.accounts.moving import records as files
from keystead.kernel.errors import InvalidInput
from tests.accounts.moving.conftest import NOW
from tests.accounts.moving.test_keycloak import realm, user
from tests.accounts.moving.test_systems import (
    AUTH0_EXPORT,
    BETTER_AUTH,
    FASTAPI_USERS,
    HEADER,
    KEYSTEAD,
    SUPABASE,
    as_csv,
    auth0_import,
    django,
    firebase,
    supabase_csv,
)

ROW = json.dumps(FASTAPI_USERS)


def of_lines(*rows):
    return "\n".join(json.dumps(row) for row in rows)


FILES = {
    "keycloak": (Format.KEYCLOAK, json.dumps(realm(user()))),
    "keycloak, indented": (Format.KEYCLOAK, json.dumps(realm(user()), indent=2)),
    "supabase, lines": (Format.SUPABASE, of_lines(SUPABASE)),
    "supabase, array": (Format.SUPABASE, json.dumps([SUPABASE], indent=1)),
    "supabase, csv": (Format.SUPABASE, supabase_csv()),
    "auth0, export": (Format.AUTH0, of_lines(AUTH0_EXPORT)),
    "auth0, import": (Format.AUTH0, json.dumps(auth0_import("bcrypt", "x"))),
    "firebase": (Format.FIREBASE, json.dumps(firebase(), indent=2)),
    "firebase, one line": (Format.FIREBASE, json.dumps(firebase())),
    "django": (Format.DJANGO, json.dumps([django()], indent=2)),
    "django, lines": (Format.DJANGO, of_lines(django(), django())),
    "better-auth, lines": (Format.BETTER_AUTH, of_lines(BETTER_AUTH)),
    "better-auth, csv": (Format.BETTER_AUTH, as_csv(BETTER_AUTH)),
    "better-auth, tables": (Format.BETTER_AUTH, json.dumps({"user": [BETTER_AUTH], "account": []})),
    "better-auth, indented": (
        Format.BETTER_AUTH,
        json.dumps({"user": [BETTER_AUTH], "account": []}, indent=2),
    ),
    "fastapi-users": (Format.FASTAPI_USERS, ROW),
    "fastapi-users, csv": (Format.FASTAPI_USERS, as_csv(FASTAPI_USERS)),
    "keystead": (Format.KEYSTEAD, of_lines(HEADER, KEYSTEAD)),
}
each_file = pytest.mark.parametrize(("of_format", "content"), FILES.values(), ids=FILES)


@each_file
@pytest.mark.parametrize("mark", ["", "\ufeff", "\n \n"], ids=["plain", "byte order mark", "blank lines"])
def test_the_format_is_known_by_how_the_file_starts_whatever_stands_before_it(
    of_format, content, mark, written
):
    path = written(mark + content)
    assert detect(path) == of_format
    options: dict[str, Any] = {"now": NOW, "drop_unusable_hashes": True}
    assert list(read(path, of_format, **options)) == [
        one for one in read(written(content, "plain"), of_format, **options) if isinstance(one, IncomingUser)
    ]


def test_a_folder_of_keycloak_is_known_by_its_files(tmp_path):
    assert detect(tmp_path) is None
    (tmp_path / "shop-users-0.json").write_text("{}")
    assert detect(tmp_path) == Format.KEYCLOAK


@pytest.mark.parametrize(
    "content",
    [
        "",
        "hello",
        "a,b\n1,2\n",
        "{",
        "[",
        "[]",
        "{}",
        "[1]",
        '{"a": 1}',
        b"\xff\xfe{\x00",
        b"\x1f\x8b\x08",
        "[" * 5000,
    ],
)
def test_a_file_of_none_of_the_formats_is_known_as_none_and_refused(content, written):
    path = written(content)
    assert detect(path) is None
    for of_format in Format:
        if content == "[]" and of_format not in (Format.FIREBASE, Format.KEYCLOAK):
            continue  # an array without members may be anything
        with pytest.raises(InvalidInput) as refused:
            read(path, of_format, now=NOW)
        assert refused.value.errors[0].code == "file_unreadable"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert detect(tmp_path / "none") is None
    for of_format in Format:
        with pytest.raises(InvalidInput):
            read(tmp_path / "none", of_format, now=NOW)


@pytest.mark.parametrize(
    ("name", "other"), [(n, o) for n, o in itertools.product(FILES, Format) if FILES[n][0] != o]
)
def test_a_file_of_one_system_is_refused_as_one_of_another(name, other, written):
    with pytest.raises(InvalidInput) as refused:
        list(read(written(FILES[name][1]), other, now=NOW))
    assert refused.value.errors[0].pointer == "/file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00", "Unpack"),
        (b"PK\x03\x04", "Unpack"),
        ("id,email\n".encode("utf-16"), "UTF-8"),
        ("id;email;hashed_password\n", "Its columns must include id, email, hashed_password"),
        (" \n ", "empty"),
    ],
)
def test_a_refusal_says_how_to_mend_the_file(content, message, written):
    with pytest.raises(InvalidInput) as refused:
        read(written(content), Format.FASTAPI_USERS, now=NOW)
    assert message in refused.value.errors[0].message


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"id": 1, "email": "\xff"}', "UTF-8"),
        (b'{"id": 1, "email": "\\ud800@example.com"}', "malformed"),
        (b'{"email": "a@example.com"}', "missing required field `id`"),
        (b'{"id": 1, "email": "a\\u0000@example.com"}', "U+0000"),
        (b'{"id": "' + b"9" * 300 + b'", "email": "a@example.com"}', "id"),
        (b'{"id": 1, "email": "' + b"a" * 400 + b'"}', "longer"),
        (b'{"id": 1, "email": "a@example.com", "x": ' + b"[" * 100_000, "deep"),
        (b" " * files.MAX_LINE_BYTES + b"{}", "1 MiB"),
    ],
    ids=range(10),
)
def test_a_bad_line_is_named_by_its_number_and_the_others_are_read(bad, reason, written):
    first, middle, last = read(
        written(f"{ROW}\n\n".encode() + bad + f"\n{ROW}".encode()), Format.FASTAPI_USERS, now=NOW
    )
    assert isinstance(first, IncomingUser)
    assert last == first
    assert isinstance(middle, Unreadable)
    assert middle.line == 3
    assert reason in middle.reason


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"1,a@example.com", "2 columns"),
        (b'1,"a"b@example.com,x', "no CSV"),
        (b"1,\xff@example.com,", "UTF-8"),
        (b"1,a@example.com," + b"x" * 200_000, "field larger"),
        (b"1,a@example.com," + b"x" * files.MAX_LINE_BYTES, "1 MiB"),
    ],
    ids=range(5),
)
def test_a_bad_row_of_csv_is_named_by_its_line_and_the_others_are_read(bad, reason, written):
    content = b"id,email,hashed_password\n0,good@example.com,\n" + bad + b'\n2,"also@example.com",""\n'
    rows: list[Any] = list(read(written(content), Format.FASTAPI_USERS, now=NOW))
    first, middle, last = rows
    assert (first.email, last.email) == ("good@example.com", "also@example.com")
    assert isinstance(middle, Unreadable)
    assert middle.line == 3
    assert reason in middle.reason


def test_a_csv_row_over_several_lines_is_named_by_its_first(written):
    content = 'id,email,hashed_password,full_name\n1,,,"a\nb\nc"\n2,,,\n'
    rows: list[Any] = list(read(written(content), Format.FASTAPI_USERS, now=NOW))
    assert [bad.line for bad in rows] == [2, 5]


def test_lines_are_read_as_they_are_asked_for(written):
    users = read(written((ROW + "\n") * 3), Format.FASTAPI_USERS, now=NOW)
    assert isinstance(next(users), IncomingUser)
    assert len(list(users)) == 2


def test_a_document_beyond_the_bound_is_refused_before_it_is_read(written, monkeypatch):
    monkeypatch.setattr(files, "MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(InvalidInput) as refused:
        read(written(json.dumps(realm(user()))), Format.KEYCLOAK, now=NOW)
    assert "larger than 1 GiB" in refused.value.errors[0].message


def test_nothing_that_is_read_shows_the_hash(written):
    for of_format, content in FILES.values():
        for one in read(written(content), of_format, now=NOW, drop_unusable_hashes=True):
            assert "$" not in repr(one)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw):
    """A good file with bytes replaced, or with one of its members replaced by any JSON."""
    of_format, content = draw(st.sampled_from(sorted(FILES.values())))
    data = content.encode()
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        return of_format, data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]
    texts = [text for text in content.split('"')[1::2] if text]
    name = draw(st.sampled_from(texts or ["email"])).encode()
    return of_format, data.replace(b'"' + name + b'"', json.dumps(draw(JSON)).encode())


@settings(max_examples=300, deadline=None)
@given(damaged(), st.booleans())
def test_a_damaged_file_is_refused_or_read_row_by_row(tmp_path_factory, file, drop):
    path = tmp_path_factory.mktemp("damaged") / "users"
    for of_format in {file[0], *(Format if drop else ())}:
        path.write_bytes(file[1])
        detect(path)
        with suppress(InvalidInput):
            for one in read(path, of_format, now=NOW, drop_unusable_hashes=drop):
                assert isinstance(one, IncomingUser | Unreadable)
