"""Lists of known passwords as they are found: a password a line, or the SHA-1 of one, with or without a count."""

import re
import unicodedata
from binascii import Error, unhexlify
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from keystead.users.known_passwords.digests import digests_of, sha1

MAX_PASSWORD_BYTES = 1024  # nobody can have a longer one
_BLOCK_BYTES = 4 * 1024 * 1024
_BEHIND_SHA1 = (b"", b":", b"\r", b" ", b"\t")
_SHA1_LINE = re.compile(rb"[0-9A-Fa-f]{40}(:\d+)?\s*")
_NTLM_LINE = re.compile(rb"[0-9A-Fa-f]{32}(:\d+)?\s*")


class ListForm(StrEnum):
    PASSWORDS = "passwords"
    SHA1 = "sha1"


class ListRejected(Exception):
    """A file that is no list; the text says why."""


def form_of(path: Path) -> ListForm:
    """By its first line that is not empty. Raises ListRejected, OSError."""
    with path.open("rb") as file:
        lines = file.read(_BLOCK_BYTES).splitlines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise ListRejected(f"{path} is empty")
    if b"\0" in first:
        raise ListRejected(f"{path} is no text: unpack it first, if it is compressed")
    if _NTLM_LINE.fullmatch(first):
        raise ListRejected(f"{path} holds NTLM or MD5 hashes: take the list of SHA-1 hashes")
    return ListForm.SHA1 if _SHA1_LINE.fullmatch(first) else ListForm.PASSWORDS


def read_lines(file: BinaryIO, offset: int) -> Iterator[tuple[list[bytes], int]]:
    """The lines from `offset` on, some at a time, each time with the offset behind them. Raises ListRejected."""
    file.seek(offset)
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        whole, newline, rest_of_it = (rest + block).rpartition(b"\n")
        rest = rest_of_it
        if len(rest) > _BLOCK_BYTES:
            raise ListRejected(f"a line is longer than {_BLOCK_BYTES} bytes: this is no list")
        if newline:
            offset += len(whole) + 1
            yield whole.split(b"\n"), offset
    if rest:
        yield [rest], offset + len(rest)


def digests(lines: list[bytes], form: ListForm) -> Iterator[bytes]:
    """The SHA-1 that each line is, or those of its password. Lines that are neither are left out."""
    return _published(lines) if form is ListForm.SHA1 else _made(lines)


def count_left_out(lines: list[bytes], form: ListForm, taken: int) -> int:
    """How many of them were something, and were left out; `taken` digests came of the others."""
    if form is ListForm.SHA1:
        return sum(1 for line in lines if line.strip()) - taken
    return sum(len(line) > MAX_PASSWORD_BYTES for line in lines)


def _published(lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        try:
            digest = unhexlify(line[:40])
        except Error:
            continue
        if len(digest) == 20 and line[40:41] in _BEHIND_SHA1:
            yield digest


def _made(lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        password = line.removesuffix(b"\r")
        if not password or len(password) > MAX_PASSWORD_BYTES:
            continue
        try:
            text = password.decode()
        except UnicodeDecodeError:  # of another time and encoding: what people typed then, byte for byte
            yield sha1(password)
        else:
            yield from digests_of(unicodedata.normalize("NFC", text))
