"""What failures mean: each code and exception has its reason, and each message its advice and no secret."""

import re
import ssl

import pytest
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.call_errors import invalidates_credentials, mask_and_cut, redacted, translate

SOURCE = TokenSource(region="eu-west-1")
PUBLIC = TokenSource(region="us-east-1", service="ecr-public")
MARK = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def answer_of_aws(
    code: str,
    status: int = 400,
    message: str = MARK,
    *,
    operation: str = "GetAuthorizationToken",
    **headers: str,
) -> sdk.ClientError:
    """Build what the SDK raises for an error answer."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": names}
    return sdk.ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation
    )


Meaning = tuple[type[OperatorError], Reason]
MISSING: Meaning = (PermanentError, Reason.CREDENTIALS_MISSING)
DENIED: Meaning = (PermanentError, Reason.ACCESS_DENIED)
INVALID: Meaning = (PermanentError, Reason.INVALID_SPEC)
WRONG_CLOCK: Meaning = (TransientError, Reason.ACCESS_DENIED)
EXPIRED: Meaning = (TransientError, Reason.CREDENTIALS_EXPIRED)
THROTTLED: Meaning = (TransientError, Reason.THROTTLED)
UNAVAILABLE: Meaning = (TransientError, Reason.AWS_UNAVAILABLE)
BAD_ANSWER: Meaning = (TransientError, Reason.INVALID_TOKEN_RESPONSE)

DISABLED = "OptInRequired RegionDisabledException SubscriptionRequiredException NotSignedUp"
UNKNOWN = "UnrecognizedClientException InvalidClientTokenId MissingAuthenticationTokenException"
TOO_MANY = "ThrottlingException Throttling TooManyRequestsException RequestLimitExceeded SlowDown"
FAILING = "ServerException ServiceUnavailable InternalFailure IDPCommunicationError"
CODES = {
    "AccessDenied AccessDeniedException UnauthorizedOperation": (DENIED, "Allow ecr:GetAuthorizationToken"),
    DISABLED: (DENIED, "is not enabled for the account"),
    UNKNOWN: (DENIED, "does not accept the keys from the file"),
    "InvalidSignatureException SignatureDoesNotMatch": (DENIED, "does not belong to its access key id"),
    "RequestTimeTooSkewed": (WRONG_CLOCK, "clock"),
    "ExpiredToken ExpiredTokenException": (EXPIRED, "from the file have"),
    "RequestExpired": (EXPIRED, "clock"),
    "InvalidIdentityToken": (DENIED, "OIDC provider"),
    TOO_MANY: (THROTTLED, "throttles"),
    FAILING: (UNAVAILABLE, "failed to answer"),
    "NoSuchThing": (DENIED, "refuses GetAuthorizationToken"),
}


@pytest.mark.parametrize(("codes", "meaning", "words"), [(codes, *rest) for codes, rest in CODES.items()])
def test_each_code_of_aws_has_its_reason_and_advice(codes: str, meaning: Meaning, words: str) -> None:
    for code in codes.split():
        error = translate(answer_of_aws(code), SOURCE, "the file")
        assert (type(error), error.reason) == meaning
        assert words in error.message
        assert "eu-west-1" in error.message


# By status, where the SDK puts the status of a page that it can't parse in place of a code.
STATUSES: dict[int, tuple[Meaning, str]] = {
    429: (THROTTLED, "throttles GetAuthorizationToken in eu-west-1 (HTTP 429)"),
    408: (UNAVAILABLE, "failed to answer"),
    500: (UNAVAILABLE, "failed to answer"),
    503: (UNAVAILABLE, "GetAuthorizationToken in eu-west-1 (HTTP 503)"),
    403: (DENIED, "was refused with HTTP 403 and without an error code of AWS"),
    407: (UNAVAILABLE, "requires a login (HTTP 407)"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_an_answer_without_a_code_of_aws_is_judged_and_named_by_its_status(status: int) -> None:
    error = translate(answer_of_aws(str(status), status), SOURCE)
    meaning, words = STATUSES[status]
    assert (type(error), error.reason) == meaning
    assert words in error.message


ENDPOINT = {"endpoint_url": "https://api.ecr.eu-west-1.amazonaws.com"}
EXCEPTIONS: list[tuple[Exception, Meaning]] = [
    (sdk.NoCredentialsError(), MISSING),
    (sdk.PartialCredentialsError(provider="env", cred_var="x"), MISSING),
    (sdk.ProfileNotFound(profile="x"), MISSING),
    (sdk.CredentialRetrievalError(provider="custom-process", error_msg=MARK), MISSING),
    (sdk.MetadataRetrievalError(error_msg=MARK), (TransientError, Reason.CREDENTIALS_MISSING)),
    (sdk.EndpointConnectionError(error=OSError(MARK), **ENDPOINT), UNAVAILABLE),
    (sdk.ConnectionClosedError(error=MARK, **ENDPOINT), UNAVAILABLE),
    (sdk.ReadTimeoutError(error=MARK, **ENDPOINT), UNAVAILABLE),
    (sdk.ProxyConnectionError(proxy_url=MARK), UNAVAILABLE),
    (sdk.SSLError(error=MARK, **ENDPOINT), UNAVAILABLE),
    (sdk.HTTPClientError(error=ssl.SSLError(MARK)), UNAVAILABLE),
    (sdk.HTTPClientError(error=RuntimeError(MARK)), UNAVAILABLE),
    (ConnectionResetError(MARK), UNAVAILABLE),
    (TimeoutError(), UNAVAILABLE),
    (UnicodeDecodeError("utf-8", MARK.encode(), 0, 1, "x"), BAD_ANSWER),
    (ResponseParserError(MARK), BAD_ANSWER),
    (ValueError(MARK), BAD_ANSWER),
    (KeyError(MARK), BAD_ANSWER),
    (sdk.InvalidRegionError(region_name="x y"), INVALID),
    (sdk.NoRegionError(), INVALID),
    (sdk.EndpointResolutionError(msg=MARK), INVALID),
    (Exception(MARK), UNAVAILABLE),
]


@pytest.mark.parametrize(("error", "meaning"), EXCEPTIONS, ids=repr)
def test_each_exception_has_its_reason(error: Exception, meaning: Meaning) -> None:
    translated = translate(error, SOURCE)
    assert (type(translated), translated.reason) == meaning


@pytest.mark.parametrize(
    "error",
    [answer_of_aws(code) for code in (*" ".join(CODES).split(), MARK, "AKIAIOSFODNN7EXAMPLE", "<html>", "")]
    + [error for error, _ in EXCEPTIONS],
    ids=repr,
)
def test_no_message_repeats_a_secret_or_a_reply(error: Exception) -> None:
    translated = translate(error, SOURCE, "the file")
    for text in (translated.message, str(redacted(error)), repr(redacted(error))):
        assert not re.search(rf"{MARK}|AKIA|<html>|[\n{{}}]", text)


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = PermanentError(Reason.CREDENTIALS_MISSING, "as it is")
    assert translate(error, SOURCE) is error


@pytest.mark.parametrize(
    "said",
    ["Signature expired: 1 is now earlier than 2", "Signature not yet current: 2 is still later than 1"],
)
def test_a_signature_of_another_time_names_the_clock_in_both_protocols(said: str) -> None:
    for code in ("InvalidSignatureException", "SignatureDoesNotMatch"):
        error = translate(answer_of_aws(code, 403, said), SOURCE)
        assert isinstance(error, TransientError)
        assert "clock" in error.message


SCOPES = {
    "the region": "Credential should be scoped to a valid region, not 'eu-west-1'. ",
    "another service": "Credential should be scoped to correct service: 'ecr'.",
    "with a signature beside": "Credential should be scoped to a valid region. Signature expired: x",
}


@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
@pytest.mark.parametrize("said", SCOPES.values(), ids=SCOPES)
def test_an_endpoint_of_another_region_or_service_is_no_fault_of_the_keys(code: str, said: str) -> None:
    raised = answer_of_aws(code, 403, said)
    error = translate(raised, SOURCE, "the file")
    assert (type(error), error.reason) == DENIED
    for right in ("belongs to another region or service", "AWS_ENDPOINT_URL"):
        assert right in error.message
    for wrong in ("secret access key", "the file", "clock"):
        assert wrong not in error.message
    assert not invalidates_credentials(raised)


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "SignatureDoesNotMatch"])
@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("fips-us-gov-west-1", "aws-us-gov"), ("cn-new-9", "aws-cn")],
)
def test_keys_of_another_partition_get_their_own_advice(code: str, region: str, partition: str) -> None:
    raised = answer_of_aws(code, 403)
    error = translate(raised, TokenSource(region=region), "the file")
    assert (type(error), error.reason) == DENIED
    assert f"in the partition {partition}," in error.message
    assert "from the file" in error.message
    assert invalidates_credentials(raised)
    assert "partition" not in translate(raised, SOURCE, "the file").message


def test_a_denial_names_what_to_allow_for_each_service_and_for_a_role() -> None:
    assert "sts:GetServiceBearerToken" in translate(answer_of_aws("AccessDenied"), PUBLIC).message
    role = translate(answer_of_aws("AccessDenied", operation="AssumeRoleWithWebIdentity"), SOURCE)
    assert "sts:AssumeRoleWithWebIdentity in the role's trust policy" in role.message


RETRY_AFTER = {
    "7": 7.0,
    "0.5": 0.5,
    "86400": 900.0,
    "-1": None,
    "nan": None,
    "Tue, 01 Jan 2030": None,
    "": None,
}


@pytest.mark.parametrize(("header", "seconds"), RETRY_AFTER.items())
def test_retry_after_is_bounded(header: str, seconds: float | None) -> None:
    assert translate(answer_of_aws("ThrottlingException", retry_after=header), SOURCE).retry_after == seconds


def test_only_what_concerns_the_keys_makes_them_read_afresh() -> None:
    codes = ("ExpiredTokenException", "UnrecognizedClientException", "AccessDeniedException")
    found = [
        invalidates_credentials(answer_of_aws(code))
        for code in (*codes, "ThrottlingException", "NoSuchThing")
    ]
    assert found == [True, True, False, False, False]
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
    "it is cut at 300 characters": ("word " * 1000, ("word " * 60)[:299] + "…"),
    "control characters go": ("a\x1b[31mb\u202e", "a[31mb"),
}


@pytest.mark.parametrize(("said", "quoted"), QUOTES.values(), ids=QUOTES)
def test_awss_message_is_masked(said: str, quoted: str) -> None:
    assert mask_and_cut(said) == quoted
