"""From bytes to a checked body, with every bad field named."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from keystead.api.rest.problems import MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from keystead.kernel import strict_json
from keystead.kernel.errors import FieldError, InvalidInput

MAX_DEPTH = 8
MAX_ERRORS = 100  # more would make the answer many times larger than the request
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The whole body. Raises PayloadTooLarge as soon as it is, MalformedRequest for a length that is none."""
    declared = request.headers.get("content-length", "0")
    if not _LENGTH.fullmatch(declared):
        raise MalformedRequest(detail="Content-Length is not a number.")
    if int(declared) > max_bytes:
        raise PayloadTooLarge(max_bytes=max_bytes)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise PayloadTooLarge(max_bytes=max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def require_media_type(request: Request, taken: tuple[str, ...]) -> None:
    """Raises UnsupportedMediaType. A form or plain text would let a foreign page send it without asking first."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if (
        media_type.strip().lower() not in taken
        or charset not in ("", "charset=utf-8")
        or request.headers.get("content-encoding", "identity").lower() != "identity"
    ):
        raise UnsupportedMediaType


def decode(data: bytes, wanted: type[msgspec.Struct], *, text: Any = None) -> Any:
    """`data` as `wanted`, or as the bare string that `text` describes, where a route takes one.

    Raises MalformedRequest for what is not JSON, InvalidInput with every bad field.

    Of more than MAX_ERRORS bad fields the first are named, those that are known before those that are not.
    """
    try:
        value = strict_json.loads(data, max_depth=MAX_DEPTH)
    except strict_json.JsonRejected as error:
        raise MalformedRequest(detail=f"The body is not acceptable JSON: {error}.") from error
    if text is not None and isinstance(value, str):
        return _convert_text(value, text)
    return _convert(value, wanted)


def decode_form(data: bytes, wanted: type[msgspec.Struct]) -> Any:
    """A form of a page of ours. Raises MalformedRequest, InvalidInput."""
    try:
        pairs = parse_qsl(
            data.decode(),
            keep_blank_values=True,
            strict_parsing=bool(data),
            errors="strict",
            max_num_fields=50,
        )
    except ValueError as error:
        raise MalformedRequest(detail="The body is no form.") from error
    return _convert(_unique(pairs), wanted)


def decode_query(pairs: list[tuple[str, str]], wanted: type[msgspec.Struct]) -> Any:
    """The parameters in a URL. Raises InvalidInput, also for one that stands there twice or is not known."""
    return _convert(_unique(pairs), wanted, strict=False)


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise MalformedRequest(detail="A parameter stands there twice.")
    return values


def _convert_text(value: str, wanted: Any) -> Any:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise InvalidInput(FieldError("", "invalid", _sentence(error))) from None


def _convert(value: object, wanted: type[msgspec.Struct], *, strict: bool = True) -> Any:
    try:
        return msgspec.convert(value, wanted, strict=strict)
    except msgspec.ValidationError:
        raise InvalidInput(*islice(_find_errors(value, wanted, strict=strict), MAX_ERRORS)) from None


def _find_errors(value: object, wanted: type[msgspec.Struct], *, strict: bool) -> Iterator[FieldError]:
    """What is wrong, field by field: the converter alone would stop at the first."""
    if not isinstance(value, dict):
        yield FieldError("", "wrong_type", "Expected an object.")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    for name, field in fields.items():
        if name not in value:
            if field.required:
                yield FieldError(_pointer(name), "missing", "This field is required.")
            continue
        try:
            msgspec.convert(value[name], field.type, strict=strict)
        except msgspec.ValidationError as error:
            yield FieldError(_pointer(name), "invalid", _sentence(error))
    for name in value:
        if name not in fields:
            message = "This field is not known here, or not yours to set."
            yield FieldError(_pointer(name), "unknown_field", message)


def _sentence(error: msgspec.ValidationError) -> str:
    """What the converter says; of an enumeration's value it repeats every byte."""
    text, _, _ = str(error).partition(" - at")
    return f"{text:.200}."


def _pointer(name: str) -> str:
    """RFC 6901 §3."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
