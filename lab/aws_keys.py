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
from datetime import UTC, datetime, timedelta

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<access_key>[^/,]+)/(?P<day>\d{8})/(?P<region>[^/,]+)/"
    r"(?P<service>[^/,]+)/aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parts of an Authorization header."""

    access_key: str = field(repr=False)
    day: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str = field(repr=False)


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
    """AWS refuses a request; `kind` is one of `unsigned`, `unknown`, `expired`, `clock`, `signature`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class KeyRing:
    """Decides which keys are accepted.

    Attributes:
        known: access key id → secret key (None: any); None lets everybody in.
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
        """Make temporary keys, which are accepted from now on."""
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

    def check(self, signature: Signature | None, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Raise Refusal for a request that AWS would not let in."""
        if signature is None:
            raise Refusal("unsigned", "Missing Authentication Token")
        self._check_clock(headers.get("X-Amz-Date", ""))
        secret = self._secret(signature.access_key, headers.get("X-Amz-Security-Token", ""))
        if secret is not None and not is_signed_by(secret, signature, path, headers, body):
            # AWS names the canonical request here, which holds the session token.
            token = headers.get("X-Amz-Security-Token", "")
            raise Refusal(
                "signature",
                "The request signature we calculated does not match the signature you provided. The "
                f"Canonical String for this request was 'POST\n/\n\nx-amz-security-token:{token}'",
            )

    def _secret(self, access_key: str, session_token: str) -> str | None:
        temporary = self._temporary.get(access_key)
        if temporary is not None:
            if temporary.session_token != session_token:
                raise Refusal("unknown", "The security token included in the request is invalid.")
            if temporary.expires_at <= self.now():
                raise Refusal("expired", "The security token included in the request is expired")
            return temporary.secret_key
        if self.known is None:
            return None
        if access_key not in self.known:
            raise Refusal("unknown", "The security token included in the request is invalid.")
        return self.known[access_key]

    def _check_clock(self, amz_date: str) -> None:
        dated = read_time(amz_date)
        if dated is None:
            raise Refusal("signature", "X-Amz-Date is missing or no date")
        off = timedelta(seconds=dated.timestamp() - self.now())
        if abs(off) <= _CLOCK_TOLERANCE:
            return
        word = "expired" if off < timedelta() else "not yet current"
        order = "earlier" if off < timedelta() else "later"
        raise Refusal("clock", f"Signature {word}: {amz_date} is now {order} than this AWS's clock (5 min.)")


def read_signature(authorization: str) -> Signature | None:
    """Parse an Authorization header; None where it is not SigV4."""
    found = _HEADER.fullmatch(authorization.strip())
    if not found:
        return None
    parts = found.groupdict()
    return Signature(**(parts | {"headers": tuple(parts["headers"].split(";"))}))


def read_time(amz_date: str) -> datetime | None:
    """Read `X-Amz-Date`, such as 20260102T030405Z; None where it is not a time."""
    try:
        return datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def is_signed_by(
    secret: str, signature: Signature, path: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """Whether a POST without a query string was signed with this secret key."""
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signature.headers]
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join(["POST", path, "", "".join(lines), ";".join(signature.headers), digest])
    scope = [signature.day, signature.region, signature.service, "aws4_request"]
    hashed = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers.get("X-Amz-Date", ""), "/".join(scope), hashed])
    key = f"AWS4{secret}".encode()
    for part in (*scope, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(key.hex(), signature.signature)
