"""Read AWS Signature Version 4 of a request, and check it where the secret key is known.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<access_key>[^/,]+)/(?P<day>\d{8})/(?P<region>[^/,]+)/"
    r"(?P<service>[^/,]+)/aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The Authorization header, taken apart."""

    access_key: str = field(repr=False)
    day: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str = field(repr=False)


def read_signature(authorization: str) -> Signature | None:
    """Take an Authorization header apart; None where it is no SigV4."""
    found = _HEADER.fullmatch(authorization.strip())
    if not found:
        return None
    parts = found.groupdict()
    return Signature(**(parts | {"headers": tuple(parts["headers"].split(";"))}))


def read_time(amz_date: str) -> datetime | None:
    """Read `X-Amz-Date`, such as 20260102T030405Z; None where it is no time."""
    try:
        return datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def is_signed_by(
    secret: str, signature: Signature, path: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """Say whether a POST without a query string was signed with this secret key."""
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
