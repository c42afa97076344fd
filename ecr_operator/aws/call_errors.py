"""From what AWS and its SDK raise to an OperatorError. The table of meanings is in aws.error_meanings.

Invariant: a message holds no key and no token, and of AWS's reply the error code only; for a denial also its
words, which name the missing permission, masked and cut.
Leaves out: checking a good answer (api.token), and when to try again (core.schedule).
"""

import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import ClientHttpProxyError
from botocore import exceptions as sdk

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import mapping_in
from ecr_operator.api.token import TokenSource
from ecr_operator.aws import error_meanings as meanings
from ecr_operator.aws.endpoints import partition_of
from ecr_operator.aws.error_meanings import ErrorMeaning

_MAX_READ: Final = 2048  # characters of AWS's own message that are read
_MAX_WORDS: Final = 300  # of these that are shown
_MAX_RETRY_AFTER: Final = 900.0  # seconds of Retry-After that are honoured
_COMMERCIAL: Final = "aws"  # the partition of most accounts
_OPERATION: Final = "GetAuthorizationToken"  # of what is not an answer

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
_SCOPE: Final = re.compile(r"credential should be scoped", re.IGNORECASE)
_CLOCK: Final = re.compile(r"signature expired|not yet current|is now earlier|is still later", re.IGNORECASE)


class AwsCallError(Exception):
    """What may be shown of a foreign exception: its type, AWS's code and the HTTP status.

    It stands as the cause of our errors: the exception itself may hold a reply, and its traceback the keys.
    """


def translate(error: Exception, source: TokenSource, origin: str) -> OperatorError:
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
    meaning, said, found = _meaning(error), _reply(error, "Message"), partition_of(source.plain_region)
    # Where the SDK knows none it is that of most regions.
    partition = found.name if found else _COMMERCIAL
    if meaning in (meanings.KEYS_REFUSED, meanings.BAD_SIGNATURE) and partition != _COMMERCIAL:
        meaning = meanings.OTHER_PARTITION
    operation = str(error.operation_name) if isinstance(error, sdk.ClientError) else _OPERATION
    words = {
        "operation": operation,
        "region": source.region,
        "partition": partition,
        "code": _code(error),
        "origin": origin,
        "identity": str(source.identity),
        "detail": f": {mask_and_cut(said)}" if said else "",
        "action": _action(operation, source),
    }
    is_busy = meaning in (meanings.THROTTLED, meanings.UNAVAILABLE)
    retry_after = _retry_after(error) if is_busy else None
    return meaning.kind(meaning.reason, meaning.words.format_map(words), retry_after=retry_after)


def reason_of(error: Exception) -> Reason:
    """Only the reason of what `translate` makes of a failed call."""
    return error.reason if isinstance(error, OperatorError) else _meaning(error).reason


def invalidates_credentials(error: Exception) -> bool:
    """Whether AWS refuses the credentials themselves, so that they have to be read afresh."""
    return _meaning(error) in meanings.OF_CREDENTIALS


def redacted(error: Exception) -> AwsCallError:
    """What may be shown of a foreign exception."""
    is_reply = isinstance(error, sdk.ClientError)
    return AwsCallError(f"{_code_of_aws(error)}, HTTP {_status(error)}" if is_reply else _code(error))


def _meaning(error: Exception) -> ErrorMeaning:
    if not isinstance(error, sdk.ClientError):
        return _meaning_of_type(error)
    code, said = _code_of_aws(error), _reply(error, "Message")
    meaning = meanings.BY_CODE.get(code) or _meaning_of_status(_status(error))
    if meaning is meanings.BAD_SIGNATURE and _SCOPE.search(said):
        return meanings.WRONG_SCOPE
    if meaning is meanings.BAD_SIGNATURE and _CLOCK.search(said):
        return meanings.WRONG_CLOCK
    return meanings.NOT_FROM_AWS if meaning is meanings.REFUSED and _is_status(code) else meaning


def _meaning_of_type(error: Exception) -> ErrorMeaning:
    inner = _inner(error)
    if isinstance(inner, (ssl.SSLError, FileNotFoundError, IsADirectoryError, PermissionError)):
        # The CA bundle is read when the connection is made.
        return meanings.TLS
    if isinstance(inner, ClientHttpProxyError):
        return meanings.of_proxy_status(inner.status)
    if isinstance(inner, sdk.InvalidProxiesConfigError):
        return meanings.PROXY_INVALID
    found = (meaning for types, meaning in meanings.BY_TYPE if isinstance(error, types))
    return next(found, meanings.UNEXPECTED)


def _meaning_of_status(status: int) -> ErrorMeaning:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return meanings.THROTTLED
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return meanings.PROXY_LOGIN
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return meanings.UNAVAILABLE
    return meanings.REFUSED


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
    if len(message) > _MAX_READ:
        # The patterns take quadratic time. Without the last word, which may be half a key.
        message = " ".join(message[:_MAX_READ].split()[:-1]) or "an unreadable message"
    line = " ".join(message.split()).rstrip(" .")
    line = _SECRET.sub("[masked]", _KEY_ID.sub("[masked]", line))
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= _MAX_WORDS else f"{line[: _MAX_WORDS - 1]}…"


def _code(error: Exception) -> str:
    """Name what failed: AWS's code; else the type, and that of the exception which the SDK wraps."""
    if isinstance(error, sdk.ClientError):
        code = _code_of_aws(error)
        return f"HTTP {code}" if _is_status(code) else code
    own, inner = type(error).__name__, _inner(error)
    if isinstance(inner, ClientHttpProxyError):
        return f"HTTP {inner.status} from the proxy"
    return own if inner is None else f"{own}: {type(inner).__name__}"


def _code_of_aws(error: Exception) -> str:
    # The code is the server's text as well: a proxy may put anything there.
    code = _reply(error, "Code")
    return code if _CODE.fullmatch(code) and not _KEY_ID.search(code) else "an unreadable error code"


def _is_status(code: str) -> bool:
    """Whether it is an HTTP status, which the SDK puts in the code's place where it can't parse a reply."""
    return re.fullmatch(r"[1-5]\d\d", code) is not None


def _reply(error: Exception, key: str) -> str:
    """`Code` or `Message` in AWS's reply; empty where there is none."""
    found = mapping_in(getattr(error, "response", None), "Error").get(key)
    return found if isinstance(found, str) else ""


def _metadata(error: Exception) -> Mapping[str, Any]:
    return mapping_in(getattr(error, "response", None), "ResponseMetadata")


def _status(error: Exception) -> int:
    status = _metadata(error).get("HTTPStatusCode")
    return status if isinstance(status, int) else 0


def _retry_after(error: Exception) -> float | None:
    seconds = str(mapping_in(_metadata(error), "HTTPHeaders").get("retry-after"))
    return min(float(seconds), _MAX_RETRY_AFTER) if re.fullmatch(r"\d{1,9}(\.\d+)?", seconds) else None


def _inner(error: Exception) -> BaseException | None:
    inner = getattr(error, "kwargs", {}).get("error") if isinstance(error, sdk.BotoCoreError) else None
    return inner if isinstance(inner, BaseException) else None
