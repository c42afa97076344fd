"""Which AWS keys the local AWS accepts: Signature Version 4, and the temporary keys that its STS issues.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<access_key>[^/,]+)/"
    r"(?P<scope>\d{8}/(?P<region>[^/,]+)/[^/,]+/aws4_request), ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK_TOLERANCE = 300.0


class Signature(NamedTuple):
    """The parts of an Authorization header; `scope` is day, region, service and a constant."""

    access_key: str
    scope: str
    region: str
    headers: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryKeys:
    """Keys of an assumed role; `expires_at` in epoch seconds."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: float
    role_arn: str
    session_name: str


class Refusal(Exception):  # noqa: N818 -- an answer of AWS, not an error of the lab
    """AWS refuses a request, with one of two error codes: ECR's or STS's."""

    def __init__(self, codes: tuple[str, str], message: str) -> None:
        super().__init__(message)
        self.codes = codes
        self.message = message


_UNSIGNED = ("MissingAuthenticationTokenException", "MissingAuthenticationToken")
_UNKNOWN = ("UnrecognizedClientException", "InvalidClientTokenId")
_EXPIRED = ("ExpiredTokenException", "ExpiredToken")
_WRONG = ("InvalidSignatureException", "SignatureDoesNotMatch")


class KeyRing:
    """Decides which keys are accepted.

    Attributes:
        known: access key id → secret key (None: any); None accepts every key.
        clock_offset: seconds that this AWS is ahead of the machine.
    """

    def __init__(self) -> None:
        self.known: dict[str, str | None] | None = None
        self.clock_offset = 0.0
        self._temporary: dict[str, TemporaryKeys] = {}

    def now(self) -> float:
        """This AWS's time, epoch seconds."""
        return time.time() + self.clock_offset

    def issue(self, role_arn: str, session_name: str, life: float) -> TemporaryKeys:
        """Make temporary keys, which are accepted from now on for `life` seconds."""
        keys = TemporaryKeys(
            access_key=f"ASIA{secrets.token_hex(8).upper()}",
            secret_key=secrets.token_urlsafe(30),
            session_token=secrets.token_urlsafe(300),
            expires_at=self.now() + life,
            role_arn=role_arn,
            session_name=session_name,
        )
        self._temporary[keys.access_key] = keys
        return keys

    def holder(self, access_key: str) -> TemporaryKeys | None:
        """Return the session of temporary keys; None for keys of a user."""
        return self._temporary.get(access_key)

    def revoke_temporary(self) -> None:
        """Refuse every temporary key that was ever issued, as if it had expired."""
        for access_key, keys in self._temporary.items():
            self._temporary[access_key] = replace(keys, expires_at=0.0)

    def check(self, signature: Signature | None, headers: Mapping[str, str], body: bytes) -> None:
        """Raise Refusal for a request that AWS would not let in."""
        if signature is None:
            raise Refusal(_UNSIGNED, "Missing Authentication Token")
        self._check_clock(headers.get("X-Amz-Date", ""))
        token = headers.get("X-Amz-Security-Token", "")
        secret = self._secret(signature.access_key, token)
        if secret is not None and not hmac.compare_digest(
            _sign(secret, signature, headers, body), signature.signature
        ):
            # AWS quotes the canonical request here, which holds the session token.
            raise Refusal(
                _WRONG,
                "The request signature we calculated does not match the signature you provided. The "
                f"Canonical String for this request was 'POST\n/\n\nx-amz-security-token:{token}'",
            )

    def _secret(self, access_key: str, session_token: str) -> str | None:
        """Return the secret key of an access key; None where any will do."""
        temporary = self._temporary.get(access_key)
        if temporary is None and self.known is None:
            return None
        if temporary is None and self.known is not None and access_key in self.known:
            return self.known[access_key]
        if temporary is None or temporary.session_token != session_token:
            raise Refusal(_UNKNOWN, "The security token included in the request is invalid.")
        if temporary.expires_at <= self.now():
            raise Refusal(_EXPIRED, "The security token included in the request is expired")
        return temporary.secret_key

    def _check_clock(self, amz_date: str) -> None:
        ahead = datetime.strptime(f"{amz_date}+0000", "%Y%m%dT%H%M%SZ%z").timestamp() - self.now()
        if abs(ahead) > _CLOCK_TOLERANCE:
            word, order = ("not yet current", "later") if ahead > 0 else ("expired", "earlier")
            raise Refusal(
                _WRONG, f"Signature {word}: {amz_date} is now {order} than this AWS's clock (5 min.)"
            )


def iso_time(seconds: float) -> str:
    """Write epoch seconds as AWS does: 2026-01-02T03:04:05Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_signature(authorization: str) -> Signature | None:
    """Parse an Authorization header; None where it is not SigV4."""
    found = _HEADER.fullmatch(authorization.strip())
    return Signature(**found.groupdict()) if found else None


def _sign(secret: str, signature: Signature, headers: Mapping[str, str], body: bytes) -> str:
    """Return the signature of a POST to `/` without a query, by the headers and scope of another one."""
    signed = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signature.headers.split(";")]
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join(["POST", "/", "", "".join(signed), signature.headers, digest])
    hashed = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers.get("X-Amz-Date", ""), signature.scope, hashed])
    key = f"AWS4{secret}".encode()
    for part in (*signature.scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
