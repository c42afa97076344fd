"""JSON to and from the API server: read in bounded size, line by line from a watch.

Seen: the server keeps whatever a tenant writes into `managedFields`, 9,000 levels deep, where Python 3.11 and
3.12 refuse 1,000, and keys that are not UTF-8. One such object must not spoil the list of all.
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, Final

import aiohttp
import pydantic_core

from ecr_operator.kube.api_error import TOO_LARGE, ApiError, from_exception

# An object has at most 1.5 MiB in etcd, and six times that as JSON if every character is escaped.
LARGEST_OBJECT: Final = 16 * 2**20  # bytes
_LARGEST_ERROR: Final = 2**20
# Levels; nothing that is looked at is deeper.
_MAX_DEPTH: Final = 64
# What opens, what closes, and the rest; in runs, since there may be very many.
_RUN: Final = re.compile(
    rb'((?:\{"[^"\\{]*":)+|[\[{])'
    rb"|([\]}]+)"
    rb'|(?:"[^"\\]*(?:\\.[^"\\]*)*"(?::(?:\{\}|\[\]))?[,:]?)+',
    re.DOTALL,
)
_OPENS: Final = 1
_CLOSES: Final = 2


async def read(response: aiohttp.ClientResponse, max_bytes: int = LARGEST_OBJECT) -> bytes:
    """The body. Raises ApiError; `TOO_LARGE` for one that is longer."""
    parts, size = [], 0
    try:
        async for chunk in response.content.iter_any():
            parts.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                # Not read to its end, so the connection can't be used again.
                response.close()
                raise _too_large(max_bytes)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise from_exception(error) from error
    return b"".join(parts)


async def read_error(response: aiohttp.ClientResponse) -> bytes:
    """The body of a response that is not 2xx; empty where it is too large to be reported."""
    try:
        return await read(response, _LARGEST_ERROR)
    except ApiError as error:
        if error.reason == TOO_LARGE:
            return b""
        raise


async def events(response: aiohttp.ClientResponse) -> AsyncGenerator[Mapping[str, Any], None]:
    """The lines of a watch, parsed. Half a line at the end is a cut connection and is dropped."""
    begun, size = list[bytes](), 0  # joined once, however small the pieces of a line are
    try:
        async for chunk in response.content.iter_any():
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line = b"".join((*begun, end))
                begun, size = [], 0
                if line.strip():
                    yield parse_object(line)
            begun.append(rest)
            size += len(rest)
            if size > LARGEST_OBJECT:
                raise _too_large(LARGEST_OBJECT)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ApiError(0, "Cut", from_exception(error).message) from error


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(0, TOO_LARGE, f"the answer is larger than {max_bytes // 2**20} MiB")


def parse_object(text: bytes) -> Mapping[str, Any]:
    """Parse a JSON object. Raises ApiError for anything else."""
    try:
        parsed = parse_json(text)
    except ValueError as error:
        raise ApiError(0, "NotJSON", "the answer is not JSON: is a proxy in between?") from error
    if not isinstance(parsed, dict):
        raise ApiError(0, "NotJSON", "the answer is not an object: is a proxy in between?")
    return parsed


def parse_json(text: bytes) -> Any:  # noqa: ANN401 - whatever JSON there is
    """Parse JSON; what is too deep for Python is null below 64 levels, and what is not UTF-8 is replaced.

    Raises:
        ValueError: it is not JSON.
    """
    with suppress(ValueError):
        return pydantic_core.from_json(text, cache_strings="keys")
    # Nested too deep for the fast parser, not UTF-8, half a surrogate, or not JSON.
    with suppress(RecursionError, UnicodeDecodeError):
        return json.loads(text)
    try:
        return json.loads(limit_depth(text).decode(errors="replace"))
    except RecursionError:
        raise ValueError("brackets without an end") from None


def encode(body: object) -> bytes:
    """JSON to be sent. A text may have half a surrogate, which the fast encoder refuses."""
    try:
        return pydantic_core.to_json(body)
    except pydantic_core.PydanticSerializationError:
        return json.dumps(body).encode()


def limit_depth(text: bytes) -> bytes:
    """The same JSON with null for every object and list deeper than 64 levels."""
    kept, begun, depth, cut = [], 0, 0, 0
    for run in _RUN.finditer(text):
        if run.lastindex == _OPENS:
            before, depth = depth, depth + (run[0].count(b"{") or 1)
            if before <= _MAX_DEPTH < depth:
                cut = _bracket(text, run.start(), _MAX_DEPTH - before)
        elif run.lastindex == _CLOSES:
            before, depth = depth, depth - (run.end() - run.start())
            if before > _MAX_DEPTH >= depth:
                kept += [text[begun:cut], b"null"]
                begun = run.start() + before - _MAX_DEPTH
    return b"".join((*kept, text[begun:]))


def _bracket(text: bytes, place: int, number: int) -> int:
    """Where in a run that begins at a place the bracket after so many others is."""
    for _ in range(number):
        place = text.index(b"{", place + 1)
    return place
