"""The table of what AWS and its SDK raise: each error code and exception type, and what it means to the user.

Sources: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html,
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from ecr_operator.model.errors import PermanentError, TransientError
from ecr_operator.model.outcome import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a failure means.

    `words` may name {operation}, {region}, {code}, {origin}, {identity}, {action} and {said}.
    """

    kind: type[TransientError | PermanentError]
    reason: Reason
    words: str


DENIED = Verdict(
    kind=PermanentError,
    reason=Reason.ACCESS_DENIED,
    words="AWS denies {operation} in {region} to {identity}{said}. Allow {action}.",
)
KEYS_REFUSED = Verdict(
    kind=PermanentError,
    reason=Reason.ACCESS_DENIED,
    words="AWS does not accept the keys from {origin} in {region} ({code}). Put valid keys there, "
    "or enable the region for the account.",
)
BAD_SIGNATURE = Verdict(
    kind=PermanentError,
    reason=Reason.ACCESS_DENIED,
    words="AWS refuses the signature of {operation} in {region}: the secret access key from {origin} "
    "does not belong to its access key id. Correct it there.",
)
WRONG_CLOCK = Verdict(
    kind=TransientError,
    reason=Reason.ACCESS_DENIED,
    words="AWS refuses {operation} in {region} because the clock of the operator's node is wrong ({code}). "
    "Set the node's clock.",
)
EXPIRED = Verdict(
    kind=TransientError,
    reason=Reason.CREDENTIALS_EXPIRED,
    words="The AWS credentials from {origin} have expired ({code} in {region}). Renew them there.",
)
EXPIRED_OR_CLOCK = Verdict(
    kind=TransientError,
    reason=Reason.CREDENTIALS_EXPIRED,
    words="AWS finds {operation} in {region} too old ({code}): the credentials from {origin} have expired, "
    "or the clock of the operator's node is wrong.",
)
WEB_IDENTITY = Verdict(
    kind=PermanentError,
    reason=Reason.ACCESS_DENIED,
    words="AWS refuses the web identity token of {identity} in {region} ({code}). Check the IAM OIDC "
    "provider, the token's audience and the role's trust policy.",
)
THROTTLED = Verdict(
    kind=TransientError,
    reason=Reason.THROTTLED,
    words="AWS throttles {operation} in {region} ({code}). It is tried again later.",
)
UNAVAILABLE = Verdict(
    kind=TransientError,
    reason=Reason.AWS_UNAVAILABLE,
    words="AWS has trouble with {operation} in {region} ({code}). It is tried again.",
)
UNREACHABLE = Verdict(
    kind=TransientError,
    reason=Reason.AWS_UNAVAILABLE,
    words="AWS in {region} can't be reached ({code}). Check region, DNS, proxy and AWS_ENDPOINT_URL.",
)
TLS = Verdict(
    kind=TransientError,
    reason=Reason.AWS_UNAVAILABLE,
    words="TLS with AWS in {region} fails ({code}). Check AWS_CA_BUNDLE, the proxy and the clock.",
)
SILENT = Verdict(
    kind=TransientError,
    reason=Reason.AWS_UNAVAILABLE,
    words="AWS in {region} does not answer in time. Check the network and proxy if this goes on.",
)
REFUSED = Verdict(
    kind=PermanentError,
    reason=Reason.ACCESS_DENIED,
    words="AWS refuses {operation} in {region} to {identity} ({code}). "
    "Check region, identity and AWS_ENDPOINT_URL.",
)
GARBAGE = Verdict(
    kind=TransientError,
    reason=Reason.INVALID_TOKEN_RESPONSE,
    words="AWS in {region} answers with something that is no AWS answer ({code}). "
    "Check AWS_ENDPOINT_URL and the proxy. The present token stays; trying again.",
)
NO_CREDENTIALS = Verdict(
    kind=PermanentError,
    reason=Reason.CREDENTIALS_MISSING,
    words="No usable AWS credentials ({code}) from {origin}. Give the operator keys or a web identity.",
)
CREDENTIALS_PENDING = Verdict(
    kind=TransientError,
    reason=Reason.CREDENTIALS_MISSING,
    words="The endpoint that gives AWS credentials does not answer ({code}). Trying again.",
)
NO_REGION = Verdict(
    kind=PermanentError,
    reason=Reason.INVALID_SPEC,
    words="{region} is no AWS region that can be asked ({code}). Correct the resource's region.",
)
UNFORESEEN = Verdict(
    kind=TransientError,
    reason=Reason.AWS_UNAVAILABLE,
    words="Asking AWS in {region} failed in an unforeseen way ({code}). Trying again; please report it.",
)


def _codes(verdict: Verdict, codes: str) -> dict[str, Verdict]:
    return dict.fromkeys(codes.split(), verdict)


BY_CODE: Final[Mapping[str, Verdict]] = {
    **_codes(
        DENIED,
        "AccessDenied AccessDeniedException UnauthorizedOperation OptInRequired NotAuthorized "
        "AuthorizationError UnauthorizedException ForbiddenException RegionDisabledException "
        "SubscriptionRequiredException",
    ),
    **_codes(
        KEYS_REFUSED,
        "UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId AuthFailure InvalidToken "
        "MissingAuthenticationToken MissingAuthenticationTokenException IncompleteSignature "
        "IncompleteSignatureException NotSignedUp InvalidSecurity",
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
BY_TYPE: Final[tuple[tuple[tuple[type[Exception], ...], Verdict], ...]] = (
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
    ((sdk.ConnectionError, sdk.HTTPClientError, OSError), UNREACHABLE),
    ((sdk.BotoCoreError,), UNFORESEEN),
    ((ResponseParserError,), GARBAGE),
    # RuntimeError is what the SDK raises for a time that no calendar holds.
    ((ValueError, LookupError, TypeError, AttributeError, OverflowError, RuntimeError), GARBAGE),
)
