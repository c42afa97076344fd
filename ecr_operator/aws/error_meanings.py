"""The table of what AWS and its SDK raise: each error code and exception type, and what it means to the user.

Sources: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html,
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.outcome import Reason


class ErrorMeaning(NamedTuple):
    """What a failure means.

    `words` may name {operation}, {region}, {partition}, {code}, {origin}, {identity}, {action} and {detail}.
    """

    kind: type[TransientError | PermanentError]
    reason: Reason
    words: str


_permanent = partial(ErrorMeaning, PermanentError)
_transient = partial(ErrorMeaning, TransientError)

DENIED = _permanent(
    Reason.ACCESS_DENIED,
    "AWS denies {operation} in {region} to {identity}{detail}. Allow {action}.",
)
NOT_ENABLED = _permanent(
    Reason.ACCESS_DENIED,
    "AWS refuses {operation} because {region} is not enabled for the account of {identity} ({code}). "
    "Enable the region in the account settings and, for roles, activate STS for it in IAM's account "
    "settings; or choose another region.",
)
KEYS_REFUSED = _permanent(
    Reason.ACCESS_DENIED,
    "AWS does not accept the keys from {origin} in {region} ({code}). Put valid keys there, or enable the "
    "region for the account.",
)
BAD_SIGNATURE = _permanent(
    Reason.ACCESS_DENIED,
    "AWS refuses the signature of {operation} in {region}: the secret access key from {origin} does not "
    "belong to its access key id. Correct it there.",
)
OTHER_PARTITION = _permanent(
    Reason.ACCESS_DENIED,
    "AWS does not accept the keys from {origin} in {region} ({code}). That region is in the partition "
    "{partition}, where only keys of {partition} accounts are valid. Use an access key id and a secret "
    "access key of such an account.",
)
WRONG_SCOPE = _permanent(
    Reason.ACCESS_DENIED,
    "The endpoint that answered {operation} for {region} belongs to another region or service ({code}). "
    "Check AWS_ENDPOINT_URL and its variants for ECR and STS, private DNS names of VPC endpoints, and the "
    "region.",
)
WRONG_CLOCK = _transient(
    Reason.ACCESS_DENIED,
    "AWS refuses {operation} in {region} because the clock of the operator's node is wrong ({code}). Set "
    "the node's clock.",
)
EXPIRED = _transient(
    Reason.CREDENTIALS_EXPIRED,
    "The AWS credentials from {origin} have expired ({code} in {region}). Renew them there.",
)
EXPIRED_OR_CLOCK = _transient(
    Reason.CREDENTIALS_EXPIRED,
    "AWS refuses {operation} in {region} as too old ({code}): the credentials from {origin} have expired, "
    "or the clock of the operator's node is wrong.",
)
WEB_IDENTITY = _permanent(
    Reason.ACCESS_DENIED,
    "AWS refuses the web identity token of {identity} in {region} ({code}). Check the IAM OIDC provider, "
    "the token's audience and the role's trust policy.",
)
THROTTLED = _transient(
    Reason.THROTTLED,
    "AWS throttles {operation} in {region} ({code}). Retrying later.",
)
UNAVAILABLE = _transient(
    Reason.AWS_UNAVAILABLE,
    "AWS failed to answer {operation} in {region} ({code}). Retrying.",
)
UNREACHABLE = _transient(
    Reason.AWS_UNAVAILABLE,
    "AWS in {region} can't be reached ({code}). Check region, DNS, proxy, AWS_ENDPOINT_URL, and "
    "AWS_USE_FIPS_ENDPOINT if it is set.",
)
PROXY_UNREACHABLE = _transient(
    Reason.AWS_UNAVAILABLE,
    "The proxy to AWS in {region} can't be reached ({code}). Check HTTPS_PROXY, and NO_PROXY for hosts "
    "that are reached without it.",
)
PROXY_LOGIN = _transient(
    Reason.AWS_UNAVAILABLE,
    "The proxy to AWS in {region} requires a login ({code}). Put it into HTTPS_PROXY as "
    "http://USER:PASSWORD@HOST:PORT, with special characters percent-encoded.",
)
PROXY_REFUSES = _transient(
    Reason.AWS_UNAVAILABLE,
    "The proxy refuses to connect to AWS in {region} ({code}). Allow the hosts of ECR and STS there, or "
    "add them to NO_PROXY if they are reached without it.",
)
PROXY_FAILS = _transient(
    Reason.AWS_UNAVAILABLE,
    "The proxy can't connect to AWS in {region} ({code}). Check the proxy's DNS and network, or add the "
    "hosts of ECR and STS to NO_PROXY if they are reached without it.",
)
PROXY_INVALID = _transient(
    Reason.AWS_UNAVAILABLE,
    "HTTPS_PROXY (HTTP_PROXY for an http:// endpoint) is not a proxy that can be used. Expected "
    "http://HOST:PORT or https://HOST:PORT; SOCKS is not supported.",
)
TLS = _transient(
    Reason.AWS_UNAVAILABLE,
    "TLS with AWS in {region} fails ({code}). Check AWS_CA_BUNDLE, the proxy and the clock.",
)
SILENT = _transient(
    Reason.AWS_UNAVAILABLE,
    "AWS in {region} did not answer in time. If this continues, check the network and the proxy.",
)
REFUSED = _permanent(
    Reason.ACCESS_DENIED,
    "AWS refuses {operation} in {region} to {identity} ({code}). Check region, identity and "
    "AWS_ENDPOINT_URL.",
)
NOT_FROM_AWS = _permanent(
    Reason.ACCESS_DENIED,
    "{operation} in {region} was refused with {code} and without an error code of AWS, as a proxy or "
    "firewall does. Check the proxy, the firewall and AWS_ENDPOINT_URL.",
)
GARBAGE = _transient(
    Reason.INVALID_TOKEN_RESPONSE,
    "The answer from AWS in {region} can't be read ({code}). Check AWS_ENDPOINT_URL and the proxy. The "
    "current token stays in use; retrying.",
)
NO_CREDENTIALS = _permanent(
    Reason.CREDENTIALS_MISSING,
    "No usable AWS credentials ({code}) from {origin}. Give the operator keys or a web identity.",
)
CREDENTIALS_PENDING = _transient(
    Reason.CREDENTIALS_MISSING,
    "The endpoint that provides AWS credentials does not answer ({code}). Retrying.",
)
NO_REGION = _permanent(
    Reason.INVALID_SPEC,
    "{region} is not an AWS region that can be asked ({code}). Correct the resource's region.",
)
UNEXPECTED = _transient(
    Reason.AWS_UNAVAILABLE,
    "Unexpected error while asking AWS in {region} ({code}). Retrying; please report it.",
)

# AWS refuses the credentials themselves.
OF_CREDENTIALS: Final = (KEYS_REFUSED, BAD_SIGNATURE, EXPIRED, EXPIRED_OR_CLOCK, WEB_IDENTITY)


def _codes(meaning: ErrorMeaning, codes: str) -> dict[str, ErrorMeaning]:
    return dict.fromkeys(codes.split(), meaning)


BY_CODE: Final[Mapping[str, ErrorMeaning]] = {
    **_codes(
        DENIED,
        "AccessDenied AccessDeniedException UnauthorizedOperation NotAuthorized "
        "AuthorizationError UnauthorizedException ForbiddenException",
    ),
    **_codes(NOT_ENABLED, "RegionDisabledException OptInRequired SubscriptionRequiredException NotSignedUp"),
    **_codes(
        KEYS_REFUSED,
        "UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId AuthFailure InvalidToken "
        "MissingAuthenticationToken MissingAuthenticationTokenException IncompleteSignature "
        "IncompleteSignatureException InvalidSecurity",
    ),
    **_codes(BAD_SIGNATURE, "InvalidSignatureException SignatureDoesNotMatch InvalidSignature"),
    **_codes(WRONG_CLOCK, "RequestTimeTooSkewed RequestInTheFuture SignatureExpired"),
    **_codes(EXPIRED, "ExpiredToken ExpiredTokenException TokenRefreshRequired"),
    **_codes(EXPIRED_OR_CLOCK, "RequestExpired"),
    **_codes(
        WEB_IDENTITY,
        "InvalidIdentityToken InvalidIdentityTokenException IDPRejectedClaim IDPRejectedClaimException",
    ),
    **_codes(
        THROTTLED,
        "Throttling ThrottlingException ThrottledException Throttled RequestThrottled SlowDown "
        "RequestThrottledException RequestLimitExceeded LimitExceededException "
        "TooManyRequests TooManyRequestsException "
        "BandwidthLimitExceeded PriorRequestNotComplete TransactionInProgressException EC2ThrottledException "
        "ProvisionedThroughputExceededException",
    ),
    **_codes(
        UNAVAILABLE,
        "InternalFailure InternalError InternalServerError InternalServerException InternalServiceError "
        "ServerException ServiceUnavailable ServiceUnavailableException Unavailable ServiceException "
        "RequestTimeout RequestTimeoutException IDPCommunicationError IDPCommunicationErrorException",
    ),
}

# Order matters: the first that fits wins, and the SDK's families overlap.
BY_TYPE: Final[tuple[tuple[tuple[type[Exception], ...], ErrorMeaning], ...]] = (
    ((TimeoutError, sdk.ReadTimeoutError, sdk.ConnectTimeoutError), SILENT),
    ((sdk.SSLError,), TLS),
    (
        (
            sdk.InvalidRegionError,
            sdk.BaseEndpointResolverError,
            sdk.EndpointProviderError,
            sdk.UnknownRegionError,
            sdk.InvalidEndpointConfigurationError,
        ),
        NO_REGION,
    ),
    ((sdk.MetadataRetrievalError,), CREDENTIALS_PENDING),
    (
        (
            sdk.NoCredentialsError,
            sdk.PartialCredentialsError,
            sdk.CredentialRetrievalError,
            sdk.UnknownCredentialError,
            sdk.ProfileNotFound,
            sdk.ConfigParseError,
            sdk.ConfigNotFound,
            sdk.InvalidConfigError,
            sdk.NoAuthTokenError,
            sdk.TokenRetrievalError,
            sdk.RefreshWithMFAUnsupportedError,
            sdk.MissingDependencyException,
            sdk.SSOError,
            sdk.LoginError,
        ),
        NO_CREDENTIALS,
    ),
    ((sdk.InvalidProxiesConfigError,), PROXY_INVALID),
    ((sdk.ProxyConnectionError,), PROXY_UNREACHABLE),
    ((sdk.ConnectionError, sdk.HTTPClientError, OSError), UNREACHABLE),
    ((sdk.BotoCoreError,), UNEXPECTED),
    ((ResponseParserError,), GARBAGE),
    # RuntimeError is what the SDK raises for a time that no calendar holds.
    ((ValueError, LookupError, TypeError, AttributeError, OverflowError, RuntimeError), GARBAGE),
)


def of_proxy_status(status: int) -> ErrorMeaning:
    """What it means that a proxy answered a CONNECT with this HTTP status."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return PROXY_LOGIN
    return PROXY_FAILS if status >= HTTPStatus.INTERNAL_SERVER_ERROR else PROXY_REFUSES
