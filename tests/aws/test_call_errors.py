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
from tests.aws.asking import IRELAND, PUBLIC
from tests.aws.conftest import ACCESS_KEY
from tests.aws.conftest import SECRET_KEY as MARK
from tests.builders import cases


def answer_of_aws(
    code: str,
    status: int = 400,
    message: str = MARK,
    operation: str = "GetAuthorizationToken",
    **headers: str,
) -> sdk.ClientError:
    """Build what the SDK raises for an error answer."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": names}
    return sdk.ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation
    )


def told(error: Exception, source: TokenSource = IRELAND) -> OperatorError:
    """Translate an error, of which nothing that may be shown holds a secret or a reply."""
    translated = translate(error, source, "the file")
    for text in (translated.message, str(redacted(error)), repr(redacted(error))):
        assert not re.search(rf"{MARK}|AKIA|<html>|[\n{{}}]", text)
    return translated


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
FAILING = "ServerException ServiceUnavailable InternalFailure IDPCommunicationError 408 500"
CODES: dict[str, tuple[Meaning, str]] = {
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
    f"{MARK} {ACCESS_KEY} <html>": (DENIED, "an unreadable error code"),
    # The SDK puts the status of a page that it can't parse in place of a code.
    "429": (THROTTLED, "throttles GetAuthorizationToken in eu-west-1 (HTTP 429)"),
    "503": (UNAVAILABLE, "GetAuthorizationToken in eu-west-1 (HTTP 503)"),
    "403": (DENIED, "was refused with HTTP 403 and without an error code of AWS"),
    "407": (UNAVAILABLE, "requires a login (HTTP 407)"),
}


@pytest.mark.parametrize(("codes", "meaning", "words"), [(codes, *rest) for codes, rest in CODES.items()])
def test_each_code_of_aws_has_its_reason_and_advice(codes: str, meaning: Meaning, words: str) -> None:
    for code in codes.split():
        error = told(answer_of_aws(code, int(code) if code.isdigit() else 400))
        assert (type(error), error.reason) == meaning
        assert words in error.message
        assert "eu-west-1" in error.message


ENDPOINT = {"endpoint_url": "https://api.ecr.eu-west-1.amazonaws.com"}
EXCEPTIONS: list[tuple[Exception, Meaning]] = [
    (sdk.NoCredentialsError(), MISSING),
    (sdk.PartialCredentialsError(provider="env", cred_var="x"), MISSING),
    (sdk.ProfileNotFound(profile="x"), MISSING),
    (sdk.UnauthorizedSSOTokenError(), MISSING),
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
    (answer_of_aws(""), DENIED),
]


@pytest.mark.parametrize(("error", "meaning"), EXCEPTIONS, ids=repr)
def test_each_exception_has_its_reason(error: Exception, meaning: Meaning) -> None:
    translated = told(error)
    assert (type(translated), translated.reason) == meaning


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = PermanentError(Reason.CREDENTIALS_MISSING, "as it is")
    assert told(error) is error


BAD_SIGNATURES = ("InvalidSignatureException", "SignatureDoesNotMatch")
SCOPE, CLOCK = "belongs to another region or service", "clock of the operator's node"
SIGNED = {
    "expired": ("Signature expired: 1 is now earlier than 2", TransientError, CLOCK),
    "of the future": ("Signature not yet current: 2 is still later than 1", TransientError, CLOCK),
    "of another region": ("Credential should be scoped to a valid region, not 'x'. ", PermanentError, SCOPE),
    "of a service": ("Credential should be scoped to correct service: 'ecr'.", PermanentError, SCOPE),
    "of both": ("Credential should be scoped to a valid region. Signature expired: x", PermanentError, SCOPE),
}


@cases("said, kind, words", SIGNED)
def test_a_signature_of_another_time_or_place_is_no_fault_of_the_keys(
    said: str, kind: type[OperatorError], words: str
) -> None:
    for code in BAD_SIGNATURES:
        error = told(raised := answer_of_aws(code, 403, said))
        assert (type(error), error.reason) == (kind, Reason.ACCESS_DENIED)
        assert words in error.message
        assert ("AWS_ENDPOINT_URL" in error.message) is (words == SCOPE)
        assert not [wrong for wrong in ("secret access key", "the file") if wrong in error.message]
        assert not invalidates_credentials(raised)


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "SignatureDoesNotMatch"])
@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("fips-us-gov-west-1", "aws-us-gov"), ("cn-new-9", "aws-cn")],
)
def test_keys_of_another_partition_get_their_own_advice(code: str, region: str, partition: str) -> None:
    error = told(raised := answer_of_aws(code, 403), TokenSource(region=region))
    assert (type(error), error.reason) == DENIED
    assert f"in the partition {partition}," in error.message
    assert "from the file" in error.message
    assert invalidates_credentials(raised)
    assert "partition" not in told(raised).message


def test_a_denial_names_what_to_allow_for_each_service_and_for_a_role() -> None:
    assert "sts:GetServiceBearerToken" in told(answer_of_aws("AccessDenied"), PUBLIC).message
    role = told(answer_of_aws("AccessDenied", operation="AssumeRoleWithWebIdentity"))
    assert "sts:AssumeRoleWithWebIdentity in the role's trust policy" in role.message


def test_retry_after_is_bounded() -> None:
    headers = {
        "7": 7.0,
        "0.5": 0.5,
        "86400": 900.0,
        "-1": None,
        "nan": None,
        "Tue, 01 Jan 2030": None,
        "": None,
    }
    for header, seconds in headers.items():
        assert told(answer_of_aws("ThrottlingException", retry_after=header)).retry_after == seconds


def test_only_what_concerns_the_keys_makes_them_read_afresh() -> None:
    concern = {"ExpiredTokenException", "UnrecognizedClientException"}
    for code in (*concern, "AccessDeniedException", "ThrottlingException", "NoSuchThing"):
        assert invalidates_credentials(answer_of_aws(code)) is (code in concern)
    assert not invalidates_credentials(TimeoutError())


DENIAL = (
    "User: arn:aws:sts::123456789012:assumed-role/ecr-puller-production/botocore-session-1700000000 is not "
    "authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows"
)
QUOTES = {
    "a denial stays whole": (DENIAL, DENIAL),
    "key ids are masked": (f"key {ACCESS_KEY} and ASIAIOSFODNN7EXAMPLE", "key [masked] and [masked]"),
    "secret keys are masked": (f"key {MARK} here", "key [masked] here"),
    "long tokens are masked": ("FwoGZXIvYXdzE9" * 9, "[masked]"),
    "lines become one": ("two\n  lines\t.", "two lines"),
    "it is cut at 300 characters": ("word " * 1000, ("word " * 60)[:299] + "…"),
    "what is too long loses its last word, which may be half a key": (
        f"a denial {'x' * 1_000_000}",
        "a denial",
    ),
    "a word without an end is nothing to quote": ("x" * 3000, "an unreadable message"),
    "control characters go": ("a\x1b[31mb\u202e", "a[31mb"),
}


@cases("said, quoted", QUOTES)
def test_awss_message_is_masked(said: str, quoted: str) -> None:
    assert mask_and_cut(said) == quoted
