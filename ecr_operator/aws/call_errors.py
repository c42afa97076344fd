"""From what AWS and its SDK raise to an OperatorError. The table of meanings is in aws.error_meanings.

Invariant: a message holds no key and no token, and of AWS's reply the error code only; for a denial also its
words, which name the missing permission, masked and cut.
Leaves out: checking a good answer (api.token), and when to try again (core.schedule).
"""

import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from aiohttp import ClientHttpProxyError
from botocore import exceptions as sdk

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.endpoints import partition_of
from ecr_operator.aws.error_meanings import (
    BAD_SIGNATURE,
    BY_CODE,
    BY_TYPE,
    DENIED,
    EXPIRED,
    EXPIRED_OR_CLOCK,
    KEYS_REFUSED,
    NOT_FROM_AWS,
    OTHER_PARTITION,
    PROXY_INVALID,
    PROXY_LOGIN,
    REFUSED,
    THROTTLED,
    TLS,
    UNAVAILABLE,
    UNEXPECTED,
    WEB_IDENTITY,
    WRONG_CLOCK,
    WRONG_SCOPE,
    ErrorMeaning,
    of_proxy_status,
)

T = TypeVar("T")

_MAX_WORDS: Final = 300  # characters of AWS's own message
_MAX_RETRY_AFTER: Final = 900.0  # seconds of Retry-After that are honoured
_COMMERCIAL: Final = "aws"  # the partition of most accounts
_TOO_MANY_REQUESTS: Final = 429
_REQUEST_TIMEOUT: Final = 408
_PROXY_LOGIN: Final = 407
_SERVER_ERROR: Final = 500

_CALLERS: Final = {
    "operator": "the role's trust policy (with the external id that the operator is set to send, if any) and "
    "the operator's own permission policy",
    "iam_secret": "the role's trust policy and the permission policy of the keys' user",
    "service_account": "the role's trust policy",
}

_CODE: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_KEY_ID: Final = re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|ANPA|APKA|AROA|ASCA)[A-Z0-9]{8,}")
# Secret keys and tokens are long runs that mix digits and both cases; ARNs in a denial are not.
_SECRET: Final = re.compile(
    r"(?=[A-Za-z/+=]*\d)(?=[a-z0-9/+=]*[A-Z])(?=[A-Z0-9/+=]*[a-z])[A-Za-z0-9/+=]{40,}"
)
# Where no reply of AWS can be parsed, the SDK puts the HTTP status in the code's place.
_STATUS_CODE: Final = re.compile(r"[1-5]\d\d")
_SCOPE: Final = re.compile(r"credential should be scoped", re.IGNORECASE)
_CLOCK: Final = re.compile(r"signature expired|not yet current|is now earlier|is still later", re.IGNORECASE)


class AwsCallError(Exception):
    """What may be shown of a foreign exception: its type, AWS's code and the HTTP status.

    It stands as the cause of our errors: the exception itself may hold a reply, and its traceback the keys.
    """


async def translated(call: Awaitable[T], explain: Callable[[Exception], OperatorError]) -> T:
    """Await a call; whatever it raises becomes an OperatorError.

    Args:
        call: to AWS.
        explain: makes an OperatorError of a foreign exception.

    Raises:
        OperatorError: its traceback holds no frame of the call, since those hold replies and keys.
    """
    failure: OperatorError
    cause: Exception | None = None
    try:
        return await call
    except OperatorError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 -- the boundary: whatever the SDK raises becomes one of ours
        failure, cause = explain(error), redacted(error)
    raise failure.with_traceback(None) from cause


def translate(error: Exception, source: TokenSource, origin: str = "its AWS identity") -> OperatorError:
    """Make an OperatorError of a failed call.

    Args:
        error: what the SDK, the HTTP client or a timeout raised.
        source: what was asked for; gives the region and service.
        origin: where the credentials come from, for the message.

    Returns:
        A TransientError or PermanentError to raise; an OperatorError is returned as it is.
    """
    if isinstance(error, OperatorError):
        return error
    if isinstance(error, sdk.ClientError):
        return _translate_client_error(error, source, origin)
    return _render(_meaning_of_type(error), source, origin, code=_type_name(error))


def reason_of(error: Exception) -> Reason:
    """Only the reason of what `translate` makes of a failed call."""
    if isinstance(error, OperatorError):
        return error.reason
    return (_meaning_of_code(error) if isinstance(error, sdk.ClientError) else _meaning_of_type(error)).reason


def invalidates_credentials(error: Exception) -> bool:
    """Whether AWS refuses the credentials themselves, so that they have to be read afresh."""
    meaning = _meaning_of_code(error) if isinstance(error, sdk.ClientError) else None
    return meaning in (KEYS_REFUSED, BAD_SIGNATURE, EXPIRED, EXPIRED_OR_CLOCK, WEB_IDENTITY)


def redacted(error: Exception) -> AwsCallError:
    """What may be shown of a foreign exception."""
    if isinstance(error, sdk.ClientError):
        return AwsCallError(f"{_error_code(error)}, HTTP {_status(error)}")
    return AwsCallError(_type_name(error))


def _translate_client_error(error: sdk.ClientError, source: TokenSource, origin: str) -> OperatorError:
    meaning, message, code = _meaning_of_code(error), _aws_message(error), _error_code(error)
    if meaning in (KEYS_REFUSED, BAD_SIGNATURE) and _partition(source) != _COMMERCIAL:
        meaning = OTHER_PARTITION
    return _render(
        meaning,
        source,
        origin,
        code=f"HTTP {code}" if _STATUS_CODE.fullmatch(code) else code,
        operation=str(error.operation_name),
        detail=f": {mask_and_cut(message)}" if message and meaning is DENIED else "",
        retry_after=_retry_after(error) if meaning is THROTTLED or meaning is UNAVAILABLE else None,
    )


def _meaning_of_code(error: sdk.ClientError) -> ErrorMeaning:
    code = _error_code(error)
    meaning = BY_CODE.get(code) or _meaning_of_status(_status(error))
    if meaning is BAD_SIGNATURE and _SCOPE.search(_aws_message(error)):
        return WRONG_SCOPE
    if meaning is BAD_SIGNATURE and _CLOCK.search(_aws_message(error)):
        return WRONG_CLOCK
    return NOT_FROM_AWS if meaning is REFUSED and _STATUS_CODE.fullmatch(code) else meaning


def _meaning_of_type(error: Exception) -> ErrorMeaning:
    inner = _inner(error)
    if isinstance(inner, (ssl.SSLError, FileNotFoundError, IsADirectoryError, PermissionError)):
        # The CA bundle is read when the connection is made.
        return TLS
    if isinstance(inner, ClientHttpProxyError):
        return of_proxy_status(inner.status)
    if isinstance(inner, sdk.InvalidProxiesConfigError):
        return PROXY_INVALID
    return next((meaning for types, meaning in BY_TYPE if isinstance(error, types)), UNEXPECTED)


def _meaning_of_status(status: int) -> ErrorMeaning:
    if status == _TOO_MANY_REQUESTS:
        return THROTTLED
    if status == _PROXY_LOGIN:
        return PROXY_LOGIN
    if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT:
        return UNAVAILABLE
    return REFUSED


def _render(  # noqa: PLR0913 -- the parts of one sentence
    meaning: ErrorMeaning,
    source: TokenSource,
    origin: str,
    *,
    code: str,
    operation: str = "GetAuthorizationToken",
    detail: str = "",
    retry_after: float | None = None,
) -> OperatorError:
    words = {
        "operation": operation,
        "region": source.region,
        "partition": _partition(source),
        "code": code,
        "origin": origin,
        "identity": str(source.identity),
        "detail": detail,
        "action": _action(operation, source),
    }
    return meaning.kind(meaning.reason, meaning.words.format_map(words), retry_after=retry_after)


def _partition(source: TokenSource) -> str:
    """The region's partition; that of most where the SDK knows none."""
    found = partition_of(source.plain_region)
    return found.name if found else _COMMERCIAL


def _action(operation: str, source: TokenSource) -> str:
    """Name what to allow, and where."""
    identity = source.identity
    if operation == "GetCallerIdentity":
        return f"sts:{operation}, which needs no permission unless a policy denies it"
    if operation == "AssumeRoleWithWebIdentity":
        account = f"system:serviceaccount:{identity.namespace}:{identity.name}"
        who = f" for {account}" if identity.source == "service_account" else ""
        return f"sts:{operation} in the role's trust policy{who}"
    if operation == "AssumeRole":
        return f"sts:{operation} in two places: {_CALLERS[identity.source]}"
    policy = "the role's permission policy" if identity.role_arn else "the identity"
    if source.service == "ecr-public":
        return f"ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on * for {policy}"
    return f"ecr:GetAuthorizationToken on * for {policy}"


def mask_and_cut(message: str) -> str:
    """AWS's message on one line of at most 300 characters, without anything that looks like a key."""
    line = " ".join(message.split()).rstrip(" .")
    line = _SECRET.sub("[masked]", _KEY_ID.sub("[masked]", line))
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= _MAX_WORDS else f"{line[: _MAX_WORDS - 1]}…"


def _error_code(error: sdk.ClientError) -> str:
    # The code is the server's text as well: a proxy may put anything there.
    code = _text(error.response.get("Error"), "Code")
    return code if _CODE.fullmatch(code) and not _KEY_ID.search(code) else "an unreadable error code"


def _aws_message(error: sdk.ClientError) -> str:
    return _text(error.response.get("Error"), "Message")


def _status(error: sdk.ClientError) -> int:
    status = _mapping(error.response.get("ResponseMetadata")).get("HTTPStatusCode")
    return status if isinstance(status, int) else 0


def _retry_after(error: sdk.ClientError) -> float | None:
    headers = _mapping(_mapping(error.response.get("ResponseMetadata")).get("HTTPHeaders"))
    seconds = _text(headers, "retry-after")
    return min(float(seconds), _MAX_RETRY_AFTER) if re.fullmatch(r"\d{1,9}(\.\d+)?", seconds) else None


def _type_name(error: Exception) -> str:
    """Name an exception by its type and the one inside it where the SDK wraps it; a proxy's by its status."""
    own, inner = type(error).__name__, _inner(error)
    if isinstance(inner, ClientHttpProxyError):
        return f"HTTP {inner.status} from the proxy"
    return own if inner is None else f"{own}: {type(inner).__name__}"


def _inner(error: Exception) -> BaseException | None:
    inner = getattr(error, "kwargs", {}).get("error") if isinstance(error, sdk.BotoCoreError) else None
    return inner if isinstance(inner, BaseException) else None


def _text(value: object, name: str) -> str:
    found = _mapping(value).get(name)
    return found if isinstance(found, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
