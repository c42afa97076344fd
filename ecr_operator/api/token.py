"""Registry tokens, their sources, and the check of ECR's answer.

Invariant: a RegistryToken from an answer is complete, decodable and not expired at that moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ecr_operator.api.errors import TransientError
from ecr_operator.api.identity import OPERATOR, Identity
from ecr_operator.api.outcome import Reason, TokenTimes
from ecr_operator.api.text import LONGEST_TEXT, base64_in, text_in

USERNAME = "AWS"
_PREFIX = f"{USERNAME}:"

Service = Literal["ecr", "ecr-public"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """Where a token comes from; one token serves every registry of its source.

    Attributes:
        identity: that AWS is called with.
        region: AWS region, checked to be one DNS label; may begin with `fips-` or end with `-fips`.
        service: private ECR or ECR Public.
    """

    identity: Identity = OPERATOR
    region: str
    service: Service = "ecr"

    @property
    def plain_region(self) -> str:
        """The region without `fips-` and `-fips`, by which rate limits and shares count."""
        return plain_region(self.region)

    def __str__(self) -> str:
        # Part of the fingerprint of generated Secrets, so the operator's own must never change.
        identity = "operator" if self.identity == OPERATOR else self.identity
        return f"{self.service} in {self.region} as {identity}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryToken:
    """A login for a registry.

    Attributes:
        password: the token itself; never shown.
        issued_at: when it was fetched, UTC.
        expires_at: UTC.
        proxy_endpoint: the registry URL in AWS's answer, or empty.
        basis: a digest of what in the cluster permitted the call that fetched it; see `TokenIssuer.basis`.
        key_hash: of the long-lived access key id that fetched it, directly or for a role; empty for others.
    """

    password: str = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    proxy_endpoint: str = ""
    basis: str = field(default="", compare=False, repr=False)
    key_hash: str = ""

    @property
    def times(self) -> TokenTimes:
        """When it was issued and when it expires, without the token."""
        return TokenTimes(issued_at=self.issued_at, expires_at=self.expires_at)


def plain_region(region: str) -> str:
    """The region that a FIPS form such as `fips-us-east-1` names; any other unchanged."""
    return region.removeprefix("fips-").removesuffix("-fips")


def decode_answer(answer: object, now: datetime) -> RegistryToken:
    """Check an answer of GetAuthorizationToken and return its token.

    Args:
        answer: the parsed answer of ECR (a list of data) or ECR Public (one datum).
        now: UTC; becomes `issued_at`.

    Raises:
        TransientError: `InvalidTokenResponse`; the message contains nothing of the answer.
    """
    data = answer.get("authorizationData") if isinstance(answer, Mapping) else None
    if isinstance(data, list):
        data = data[0] if data else None
    if not isinstance(data, Mapping):
        raise _invalid("it has no authorizationData")
    expires_at = data.get("expiresAt")
    if not isinstance(expires_at, datetime):
        raise _invalid("it has no expiresAt")
    expires_at = expires_at.astimezone(UTC)
    if expires_at <= now:
        # Without the time, which would make the message differ at each retry.
        raise _invalid("its token has already expired: check the clock of the operator's node")
    return RegistryToken(
        password=_password(data.get("authorizationToken")),
        issued_at=now,
        expires_at=expires_at,
        proxy_endpoint=text_in(data, "proxyEndpoint", LONGEST_TEXT) or "",
    )


def _password(encoded: object) -> str:
    login = base64_in(encoded) or ""
    if not login.isascii() or not login.startswith(_PREFIX) or login == _PREFIX:
        raise _invalid("its authorizationToken is not a login of the user AWS in base64")
    return login.removeprefix(_PREFIX)


def _invalid(what: str) -> TransientError:
    return TransientError(
        Reason.INVALID_TOKEN_RESPONSE,
        f"AWS answered GetAuthorizationToken, but {what}. The current token stays in use; retrying.",
    )
