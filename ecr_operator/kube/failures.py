"""What goes wrong between us and the API server, as one error.

Invariant: its text is short, and holds nothing of a Secret.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

import aiohttp

from ecr_operator.api.text import printable

# The reason of an ApiError for a write that a guard kept back.
NOT_LEADING: Final = "NotLeading"
# Of one where a proxy on the way answered in the server's place.
PROXY_REFUSED: Final = "ProxyRefused"
# And of one for an answer that was not read to its end.
TOO_LARGE: Final = "TooLarge"

_LONGEST_MESSAGE: Final = 400
_LONGEST_LOOKED_AT: Final = 4000
_LONGEST_PATIENCE: Final = 300.0  # seconds of Retry-After that we believe
# Long runs of base64 may be a token that an admission webhook sends back.
_SECRET_LIKE: Final = re.compile(r"[A-Za-z0-9+/=_-]{60,}")
_LOGIN: Final = re.compile(r"//[^/@\s]+@")


class ApiError(Exception):
    """The API server refused, failed, or was not reached.

    Attributes:
        code: the HTTP status; 0 without an answer.
        reason: the Status object's reason, such as NotFound.
        message: what it said, shortened, or what came in between.
        retry_after: seconds that it asked us to wait, if it did.
    """

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


def failure_of(response: aiohttp.ClientResponse, text: bytes) -> ApiError:
    """Make an ApiError of an answer that is no success."""
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        status = None
    if not isinstance(status, Mapping):
        status = {}
    said, why = (status.get(key) for key in ("message", "reason"))
    return ApiError(
        response.status,
        short(why if isinstance(why, str) and why else response.reason or "Unknown"),
        short(said if isinstance(said, str) and said else f"HTTP {response.status} without a Status object"),
        _seconds(response.headers.get("Retry-After")),
    )


def short(message: str) -> str:
    """One printable line, bounded, without anything that may be a token or the login of a proxy."""
    looked_at = message[:_LONGEST_LOOKED_AT]
    if len(message) > _LONGEST_LOOKED_AT:
        # Without the last word: cut short, a token might look like none.
        looked_at = f"{looked_at.rpartition(' ')[0]} …"
    line = _LOGIN.sub("//", " ".join(looked_at.split()))
    return printable(_SECRET_LIKE.sub("…", line), _LONGEST_MESSAGE - 1)


def _seconds(header: str | None) -> float | None:
    known = header is not None and header.isascii() and header.isdigit()
    return min(float(header or 0), _LONGEST_PATIENCE) if known else None


def unreached(error: Exception) -> ApiError:
    """Make an ApiError of what came in between."""
    if isinstance(error, TimeoutError):
        return ApiError(0, "Timeout", "no answer in time")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return ApiError(0, PROXY_REFUSED, f"the proxy answered HTTP {error.status}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return ApiError(0, "Refused", short(f"the proxy can't be reached: {error}"))
    if isinstance(error, aiohttp.ClientConnectorError):
        return ApiError(0, "Refused", short(str(error)))
    return ApiError(0, "NoConnection", short(str(error)) or type(error).__name__)
