"""A small, quick HTTP client over one kept connection: it knows which worker it speaks to, and what it lost."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_SECONDS = 30.0


class Lost(Exception):
    """The connection ended before the answer: what was asked is perhaps done, perhaps not."""


@dataclass(frozen=True, slots=True)
class Answer:
    status_code: int
    content: bytes
    head: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """By their names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        named = (line.partition(":") for line in lines if line)
        return {name.lower(): value.strip() for name, _, value in named}

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Wire:
    """One connection to one worker, made when first needed and anew after a loss. One request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(
        self, path: str, *, headers: Mapping[str, str] | None = None, json: object = None
    ) -> Answer:
        return await self._ask("POST", path, headers or {}, json)

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return await self._ask("GET", path, headers or {}, None)

    async def connect(self) -> None:
        """Ahead of the first request."""
        await self._connected()

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].transport.abort()
            self._ends = None

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: object) -> Answer:
        request = _request(method, path, headers, body)
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await self._connected()
                writer.write(request)
                return await _answer(reader)
        except (OSError, EOFError) as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise AssertionError(f"{method} {path}: no answer in {_SECONDS:.0f} s") from error
            raise Lost from error
        except BaseException:  # cancelled, with an answer still to come
            self.close()
            raise

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._ends is None:
            self._ends = await asyncio.open_connection("127.0.0.1", self.port)
        return self._ends


def _request(method: str, path: str, headers: Mapping[str, str], body: object) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: localhost:3000", f"content-length: {len(content)}"]
    if body is not None:
        lines.append("content-type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length:
        content = await reader.readexactly(int(length[1]))
    else:
        content = await _in_chunks(reader) if _CHUNKED.search(head) else b""
    return Answer(int(head[9:12]), content, head)


async def _in_chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        content += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return content
