"""What goes wrong between us and the API server, and what it means for the user.

    ApiError        a response that is not 2xx, or none
    OperatorError   the same for conditions and logs: one table, `translate`

Invariant: every text is short, and holds nothing of a Secret.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import aiohttp

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import printable, text_in

# Reasons of our own: a write that the leadership guard stopped, a proxy that answered in the server's place,
# and a response that was not read to its end.
NOT_LEADING: Final = "NotLeading"
PROXY_REFUSED: Final = "ProxyRefused"
TOO_LARGE: Final = "TooLarge"

ADD_RULE: Final = "Add the missing rule to its role"

_MAX_MESSAGE: Final = 400
_MAX_SCANNED: Final = 4000
_MAX_RETRY_AFTER: Final = 300.0  # seconds
# Long runs of base64 may be a token that an admission webhook sends back.
_SECRET_LIKE: Final = re.compile(r"[A-Za-z0-9+/=_-]{60,}")
_LOGIN: Final = re.compile(r"//[^/@\s]+@")
# OwnerReferencesPermissionEnforcement, as on OpenShift: setting an owner needs the right to delete.
_LACKS_DELETE: Final = re.compile(
    r"cannot set (an ownerRef on a resource you can't delete|blockOwnerDeletion)"
)


class ApiError(Exception):
    """The API server refused, failed, or was not reached.

    Attributes:
        code: the HTTP status; 0 without a response.
        reason: the Status object's reason, such as NotFound, or one of this module's.
        message: the server's, shortened, or what came in between.
        retry_after: seconds that the server asked us to wait, if it did.
    """

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def is_not_found(self) -> bool:
        """Whether there is no such object, namespace or kind."""
        return self.code == HTTPStatus.NOT_FOUND


def from_response(response: aiohttp.ClientResponse, text: bytes) -> ApiError:
    """Make an ApiError of a response that is not 2xx."""
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        status = None
    if not isinstance(status, Mapping):
        status = {}
    message = text_in(status, "message", len(text)) or f"HTTP {response.status} without a Status object"
    reason = text_in(status, "reason", len(text)) or response.reason or "Unknown"
    retry_after = _seconds(response.headers.get("Retry-After"))
    return ApiError(response.status, sanitize(reason), sanitize(message), retry_after)


def from_exception(error: Exception) -> ApiError:
    """Make an ApiError of what kept a request from its response."""
    match error:
        case TimeoutError():
            return ApiError(0, "Timeout", "no answer in time")
        case aiohttp.ClientHttpProxyError():
            return ApiError(0, PROXY_REFUSED, f"the proxy answered HTTP {error.status}")
        case aiohttp.ClientProxyConnectionError():
            return ApiError(0, "Refused", sanitize(f"the proxy can't be reached: {error}"))
        case aiohttp.ClientConnectorError():
            return ApiError(0, "Refused", sanitize(str(error)))
    return ApiError(0, "NoConnection", sanitize(str(error)) or type(error).__name__)


def sanitize(message: str) -> str:
    """One printable line, bounded, without anything that may be a token or the login of a proxy."""
    scanned = message[:_MAX_SCANNED]
    if len(message) > _MAX_SCANNED:
        # Without the last word: cut short, a token might not look like one.
        scanned = f"{scanned.rpartition(' ')[0]} …"
    line = _LOGIN.sub("//", " ".join(scanned.split()))
    return printable(_SECRET_LIKE.sub("…", line), _MAX_MESSAGE - 1)


def _seconds(header: str | None) -> float | None:
    known = header is not None and header.isascii() and header.isdigit()
    return min(float(header or 0), _MAX_RETRY_AFTER) if known else None


@contextmanager
def translated(action: str, grant: str = ADD_RULE) -> Iterator[None]:
    """Raise every ApiError of the block as `translate` makes it."""
    try:
        yield
    except ApiError as error:
        raise translate(error, action, grant) from error


def translate(error: ApiError, action: str, grant: str = ADD_RULE) -> OperatorError:
    """Make an error for the user of a failed request.

    Args:
        error: what came back.
        action: what was tried, to go on after "to": "write Secret x".
        grant: what to do where a right is missing: a sentence without its full stop.
    """
    said = error.message
    refused = f"Kubernetes refused to {action}: {said}."
    match error.code:
        case HTTPStatus.CONFLICT:
            message = f"Conflict on the attempt to {action}; retrying."
            return StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, message)
        case HTTPStatus.FORBIDDEN if error.reason != "Forbidden" or "is being terminated" in said:
            return TransientError(Reason.KUBERNETES_REFUSED, refused)
        case HTTPStatus.FORBIDDEN if "is forbidden: User" in said or _LACKS_DELETE.search(said):
            message = f"The operator lacks permission to {action}: {said}. {grant}."
            return PermanentError(Reason.KUBERNETES_FORBIDDEN, message)
        case HTTPStatus.UNAUTHORIZED:
            message = f"The API server does not accept the operator's credentials to {action}."
            return TransientError(Reason.KUBERNETES_FORBIDDEN, message)
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            message = f"Kubernetes has no such namespace or resource to {action}: {said}."
            return TransientError(Reason.KUBERNETES_REFUSED, message)
        case HTTPStatus.TOO_MANY_REQUESTS:
            message = f"The API server throttles the attempt to {action}; retrying."
        case code if code != HTTPStatus.REQUEST_TIMEOUT and 400 <= code < 500:  # noqa: PLR2004 - the range of HTTP
            return PermanentError(Reason.KUBERNETES_REFUSED, refused)
        case _:
            message = f"The API server failed to {action}: {said}; retrying."
    return TransientError(Reason.KUBERNETES_UNAVAILABLE, message, retry_after=error.retry_after)
