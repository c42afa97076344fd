"""The table of failures: each code and exception has its reason, and messages say what to do and no more."""

import json
import re
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientHttpProxyError, RequestInfo
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.call_errors import invalidates_credentials, mask_and_cut, redacted, translate

SOURCE = TokenSource(region="eu-west-1")
PUBLIC = TokenSource(region="us-east-1", service="ecr-public")
MARK = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def aws_says(
    code: str,
    status: int = 400,
    message: str = MARK,
    *,
    operation: str = "GetAuthorizationToken",
    **headers: str,
) -> sdk.ClientError:
    """Build what the SDK raises for an error answer."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: dict[str, Any] = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": names},
    }
    return sdk.ClientError(answer, operation)


CODES = {
    "AccessDeniedException": (PermanentError, Reason.ACCESS_DENIED, "Allow ecr:GetAuthorizationToken"),
    "AccessDenied": (PermanentError, Reason.ACCESS_DENIED, "denies"),
    "UnauthorizedOperation": (PermanentError, Reason.ACCESS_DENIED, "denies"),
    "OptInRequired": (PermanentError, Reason.ACCESS_DENIED, "is not enabled for the account"),
    "RegionDisabledException": (PermanentError, Reason.ACCESS_DENIED, "activate STS"),
    "SubscriptionRequiredException": (PermanentError, Reason.ACCESS_DENIED, "is not enabled for the account"),
    "NotSignedUp": (PermanentError, Reason.ACCESS_DENIED, "is not enabled for the account"),
    "UnrecognizedClientException": (PermanentError, Reason.ACCESS_DENIED, "does not accept the keys"),
    "InvalidClientTokenId": (PermanentError, Reason.ACCESS_DENIED, "does not accept the keys"),
    "MissingAuthenticationTokenException": (PermanentError, Reason.ACCESS_DENIED, "does not accept the keys"),
    "InvalidSignatureException": (
        PermanentError,
        Reason.ACCESS_DENIED,
        "does not belong to its access key id",
    ),
    "SignatureDoesNotMatch": (PermanentError, Reason.ACCESS_DENIED, "does not belong to its access key id"),
    "RequestTimeTooSkewed": (TransientError, Reason.ACCESS_DENIED, "clock"),
    "ExpiredToken": (TransientError, Reason.CREDENTIALS_EXPIRED, "have expired"),
    "ExpiredTokenException": (TransientError, Reason.CREDENTIALS_EXPIRED, "have expired"),
    "RequestExpired": (TransientError, Reason.CREDENTIALS_EXPIRED, "clock"),
    "InvalidIdentityToken": (PermanentError, Reason.ACCESS_DENIED, "OIDC provider"),
    "IDPCommunicationError": (TransientError, Reason.AWS_UNAVAILABLE, "failed to answer"),
    "ThrottlingException": (TransientError, Reason.THROTTLED, "throttles"),
    "Throttling": (TransientError, Reason.THROTTLED, "throttles"),
    "TooManyRequestsException": (TransientError, Reason.THROTTLED, "throttles"),
    "RequestLimitExceeded": (TransientError, Reason.THROTTLED, "throttles"),
    "RequestThrottled": (TransientError, Reason.THROTTLED, "throttles"),
    "SlowDown": (TransientError, Reason.THROTTLED, "throttles"),
    "ServerException": (TransientError, Reason.AWS_UNAVAILABLE, "failed to answer"),
    "ServiceUnavailable": (TransientError, Reason.AWS_UNAVAILABLE, "failed to answer"),
    "InternalFailure": (TransientError, Reason.AWS_UNAVAILABLE, "failed to answer"),
    "NoSuchThing": (PermanentError, Reason.ACCESS_DENIED, "refuses GetAuthorizationToken"),
}


@pytest.mark.parametrize(("code", "expected"), CODES.items(), ids=CODES)
def test_each_code_of_aws_has_its_reason_and_advice(
    code: str, expected: tuple[type[OperatorError], Reason, str]
) -> None:
    error = translate(aws_says(code), SOURCE, "the file")
    assert (type(error), error.reason) == expected[:2]
    assert expected[2] in error.message
    assert "eu-west-1" in error.message


STATUSES = {
    429: (TransientError, Reason.THROTTLED),
    408: (TransientError, Reason.AWS_UNAVAILABLE),
    500: (TransientError, Reason.AWS_UNAVAILABLE),
    502: (TransientError, Reason.AWS_UNAVAILABLE),
    504: (TransientError, Reason.AWS_UNAVAILABLE),
    403: (PermanentError, Reason.ACCESS_DENIED),
    404: (PermanentError, Reason.ACCESS_DENIED),
}


@pytest.mark.parametrize(
    ("status", "expected"), STATUSES.items(), ids=[f"HTTP {status}" for status in STATUSES]
)
def test_an_unknown_code_is_judged_by_its_status(
    status: int, expected: tuple[type[OperatorError], Reason]
) -> None:
    error = translate(aws_says(str(status), status), SOURCE)
    assert (type(error), error.reason) == expected


def undecodable() -> UnicodeDecodeError:
    """What a binary body ends in."""
    return UnicodeDecodeError("utf-8", MARK.encode(), 0, 1, "invalid start byte")


ENDPOINT = {"endpoint_url": "https://api.ecr.eu-west-1.amazonaws.com"}
EXCEPTIONS: list[tuple[Exception, type[OperatorError], Reason]] = [
    (sdk.NoCredentialsError(), PermanentError, Reason.CREDENTIALS_MISSING),
    (sdk.PartialCredentialsError(provider="env", cred_var="x"), PermanentError, Reason.CREDENTIALS_MISSING),
    (sdk.ProfileNotFound(profile="x"), PermanentError, Reason.CREDENTIALS_MISSING),
    (sdk.ConfigParseError(path="/x"), PermanentError, Reason.CREDENTIALS_MISSING),
    (sdk.ConfigNotFound(path="/x"), PermanentError, Reason.CREDENTIALS_MISSING),
    (
        sdk.CredentialRetrievalError(provider="custom-process", error_msg=MARK),
        PermanentError,
        Reason.CREDENTIALS_MISSING,
    ),
    (sdk.MetadataRetrievalError(error_msg=MARK), TransientError, Reason.CREDENTIALS_MISSING),
    (sdk.EndpointConnectionError(error=OSError(MARK), **ENDPOINT), TransientError, Reason.AWS_UNAVAILABLE),
    (sdk.ConnectionClosedError(error=MARK, **ENDPOINT), TransientError, Reason.AWS_UNAVAILABLE),
    (sdk.ConnectTimeoutError(error=MARK, **ENDPOINT), TransientError, Reason.AWS_UNAVAILABLE),
    (sdk.ReadTimeoutError(error=MARK, **ENDPOINT), TransientError, Reason.AWS_UNAVAILABLE),
    (sdk.ProxyConnectionError(proxy_url=MARK), TransientError, Reason.AWS_UNAVAILABLE),
    (sdk.SSLError(error=MARK, **ENDPOINT), TransientError, Reason.AWS_UNAVAILABLE),
    (sdk.HTTPClientError(error=ssl.SSLError(MARK)), TransientError, Reason.AWS_UNAVAILABLE),
    (sdk.HTTPClientError(error=RuntimeError(MARK)), TransientError, Reason.AWS_UNAVAILABLE),
    (ConnectionResetError(MARK), TransientError, Reason.AWS_UNAVAILABLE),
    (TimeoutError(), TransientError, Reason.AWS_UNAVAILABLE),
    (undecodable(), TransientError, Reason.INVALID_TOKEN_RESPONSE),
    (json.JSONDecodeError("x", MARK, 0), TransientError, Reason.INVALID_TOKEN_RESPONSE),
    (ResponseParserError(MARK), TransientError, Reason.INVALID_TOKEN_RESPONSE),
    (ValueError(MARK), TransientError, Reason.INVALID_TOKEN_RESPONSE),
    (KeyError(MARK), TransientError, Reason.INVALID_TOKEN_RESPONSE),
    (AttributeError(MARK), TransientError, Reason.INVALID_TOKEN_RESPONSE),
    (sdk.InvalidRegionError(region_name="x y"), PermanentError, Reason.INVALID_SPEC),
    (sdk.NoRegionError(), PermanentError, Reason.INVALID_SPEC),
    (sdk.EndpointResolutionError(msg=MARK), PermanentError, Reason.INVALID_SPEC),
    (Exception(MARK), TransientError, Reason.AWS_UNAVAILABLE),
]


@pytest.mark.parametrize(
    ("error", "kind", "reason"), EXCEPTIONS, ids=[type(error).__name__ for error, _, _ in EXCEPTIONS]
)
def test_each_exception_has_its_reason(error: Exception, kind: type[OperatorError], reason: Reason) -> None:
    translated = translate(error, SOURCE)
    assert (type(translated), translated.reason) == (kind, reason)


@pytest.mark.parametrize(
    "error",
    [aws_says(code) for code in (*CODES, MARK, "AKIAIOSFODNN7EXAMPLE", "<html>", "")]
    + [error for error, _, _ in EXCEPTIONS],
    ids=repr,
)
def test_no_message_repeats_what_it_should_not(error: Exception) -> None:
    translated = translate(error, SOURCE, "the file")
    for text in (translated.message, str(redacted(error)), repr(redacted(error))):
        assert MARK not in text
        assert "AKIA" not in text
        assert "<html>" not in text
        assert "\n" not in text
        assert not re.search(r"[{}]", text)


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = PermanentError(Reason.CREDENTIALS_MISSING, "as it is")
    assert translate(error, SOURCE) is error


@pytest.mark.parametrize(
    "said",
    ["Signature expired: 1 is now earlier than 2", "Signature not yet current: 2 is still later than 1"],
)
def test_a_signature_of_another_time_blames_the_clock_in_both_protocols(said: str) -> None:
    for code in ("InvalidSignatureException", "SignatureDoesNotMatch"):
        error = translate(aws_says(code, 403, said), SOURCE)
        assert isinstance(error, TransientError)
        assert "clock" in error.message


SCOPES = {
    "the region alone": "Credential should be scoped to a valid region.",
    "the right region named": "Credential should be scoped to a valid region, not 'eu-west-1'. ",
    "another service": "Credential should be scoped to correct service: 'ecr'.",
    "another end": "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws'.",
    "with a signature beside": "Credential should be scoped to a valid region. Signature expired: x",
}


@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
@pytest.mark.parametrize("said", SCOPES.values(), ids=SCOPES)
def test_an_endpoint_of_another_region_or_service_is_no_fault_of_the_keys(code: str, said: str) -> None:
    raised = aws_says(code, 403, said)
    error = translate(raised, SOURCE, "the file")
    assert (type(error), error.reason) == (PermanentError, Reason.ACCESS_DENIED)
    assert "belongs to another region or service" in error.message
    assert "AWS_ENDPOINT_URL" in error.message
    for blamed in ("secret access key", "the file", "clock"):
        assert blamed not in error.message
    assert not invalidates_credentials(raised)


@pytest.mark.parametrize(
    "code",
    [
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
    ],
)
@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("fips-us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("eusc-de-east-1", "aws-eusc"),
        ("cn-new-9", "aws-cn"),
    ],
)
def test_keys_of_another_partition_get_their_own_advice(code: str, region: str, partition: str) -> None:
    raised = aws_says(code, 403)
    error = translate(raised, TokenSource(region=region), "the file")
    assert (type(error), error.reason) == (PermanentError, Reason.ACCESS_DENIED)
    assert f"in the partition {partition}," in error.message
    assert "from the file" in error.message
    assert invalidates_credentials(raised)
    assert "partition" not in translate(raised, SOURCE, "the file").message


def refused_by_proxy(status: int) -> ClientHttpProxyError:
    """What aiohttp raises for a CONNECT that a proxy does not grant."""
    url = URL("http://user:hunter2@proxy.example:3128")
    request = RequestInfo(url, "CONNECT", CIMultiDictProxy(CIMultiDict()), url)
    return ClientHttpProxyError(request, (), status=status, message=MARK)


PROXIES = {
    400: "refuses to connect",
    403: "refuses to connect",
    407: "requires a login",
    429: "refuses to connect",
    451: "refuses to connect",
    500: "can't connect",
    502: "can't connect",
    503: "can't connect",
    504: "can't connect",
}


@pytest.mark.parametrize(("status", "words"), PROXIES.items(), ids=map(str, PROXIES))
@pytest.mark.parametrize(
    "wrap",
    [
        lambda error: sdk.ProxyConnectionError(proxy_url="http://proxy.example", error=error),
        lambda error: sdk.HTTPClientError(error=error),
        lambda error: sdk.EndpointConnectionError(endpoint_url="https://x", error=error),
    ],
    ids=["ProxyConnectionError", "HTTPClientError", "EndpointConnectionError"],
)
def test_a_proxy_that_refuses_is_named_with_its_number(
    status: int, words: str, wrap: Callable[[Exception], Exception]
) -> None:
    error = translate(wrap(refused_by_proxy(status)), SOURCE)
    assert (type(error), error.reason) == (TransientError, Reason.AWS_UNAVAILABLE)
    assert "proxy" in error.message.lower()
    assert words in error.message
    assert f"HTTP {status}" in error.message
    assert "hunter2" not in error.message
    assert MARK not in error.message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "was refused with HTTP 403 and without an error code of AWS"),
        (404, "was refused with HTTP 404 and without an error code of AWS"),
        (407, "requires a login (HTTP 407)"),
        (502, "failed to answer GetAuthorizationToken in eu-west-1 (HTTP 502)"),
        (503, "failed to answer GetAuthorizationToken in eu-west-1 (HTTP 503)"),
        (429, "throttles GetAuthorizationToken in eu-west-1 (HTTP 429)"),
    ],
)
def test_an_answer_that_is_not_aws_s_is_named_by_its_number(status: int, words: str) -> None:
    # In the code's place the SDK puts the status of a page that it can't parse.
    assert words in translate(aws_says(str(status), status), SOURCE).message


def test_a_proxy_that_can_not_be_used_or_reached_names_the_variable() -> None:
    unusable = sdk.HTTPClientError(error=sdk.InvalidProxiesConfigError(error=MARK))
    for raised in (unusable, sdk.ProxyConnectionError(proxy_url="http://x", error=OSError(MARK))):
        assert "HTTPS_PROXY" in translate(raised, SOURCE).message
    assert "SOCKS is not supported" in translate(unusable, SOURCE).message


def test_a_denial_names_what_to_allow_for_each_service_and_for_a_role() -> None:
    assert "sts:GetServiceBearerToken" in translate(aws_says("AccessDenied"), PUBLIC).message
    role = translate(aws_says("AccessDenied", operation="AssumeRoleWithWebIdentity"), SOURCE)
    assert "sts:AssumeRoleWithWebIdentity in the role's trust policy" in role.message


def test_expired_keys_name_where_they_come_from() -> None:
    assert "from the file" in translate(aws_says("ExpiredToken"), SOURCE, "the file").message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("86400", 900.0),
        ("-1", None),
        ("nan", None),
        ("Tue, 01 Jan 2030", None),
        ("", None),
    ],
)
def test_retry_after_is_believed_within_reason(header: str, seconds: float | None) -> None:
    error = translate(aws_says("ThrottlingException", retry_after=header), SOURCE)
    assert error.retry_after == seconds


def test_only_what_concerns_the_keys_makes_them_read_afresh() -> None:
    assert invalidates_credentials(aws_says("ExpiredTokenException"))
    assert invalidates_credentials(aws_says("UnrecognizedClientException"))
    assert not invalidates_credentials(aws_says("AccessDeniedException"))
    assert not invalidates_credentials(aws_says("ThrottlingException"))
    assert not invalidates_credentials(aws_says("NoSuchThing"))
    assert not invalidates_credentials(TimeoutError())


DENIAL = (
    "User: arn:aws:sts::123456789012:assumed-role/ecr-puller-production/botocore-session-1700000000 is not "
    "authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows"
)
QUOTES = {
    "a denial stays whole": (DENIAL, DENIAL),
    "key ids are masked": ("key AKIAIOSFODNN7EXAMPLE and ASIAIOSFODNN7EXAMPLE", "key [masked] and [masked]"),
    "secret keys are masked": (f"key {MARK} here", "key [masked] here"),
    "long tokens are masked": ("FwoGZXIvYXdzE9" * 9, "[masked]"),
    "lines become one": ("two\n  lines\t.", "two lines"),
    "control characters go": ("a\x1b[31mb\u202e", "a[31mb"),
}


@pytest.mark.parametrize(("said", "quoted"), QUOTES.values(), ids=QUOTES)
def test_what_aws_says_is_quoted_safely(said: str, quoted: str) -> None:
    assert mask_and_cut(said) == quoted


def test_what_aws_says_is_cut_at_300_characters() -> None:
    assert len(mask_and_cut("word " * 1000)) == 300
