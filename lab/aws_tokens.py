"""The tokens of the local AWS, which a test can read; and those in Secrets, and the claims of a JWT.

A password is as long as ECR's, about 1,800 characters.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_FILLER_BYTES = 860


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """What a password of the local AWS holds.

    Attributes:
        serial: 1 for the first token of this local AWS, then counted over all regions.
        region, access_key: of the request's signature.
        service: `ecr` or `ecr-public`.
        issued_at, expires_at: epoch seconds.
    """

    serial: int
    region: str
    access_key: str = field(repr=False)
    service: str
    issued_at: float
    expires_at: float


def encode_token(token: IssuedToken) -> str:
    """Make the password."""
    content = asdict(token) | {"filler": secrets.token_urlsafe(_FILLER_BYTES)}
    return base64.b64encode(json.dumps(content).encode()).decode()


def decode_token(password: str) -> IssuedToken:
    """Read a password back. Raises ValueError for one that the local AWS didn't make."""
    try:
        content = json.loads(base64.b64decode(password, validate=True))
        del content["filler"]
        return IssuedToken(**content)
    except (ValueError, KeyError, TypeError):
        raise ValueError("not a token of the local AWS") from None


def token_in(secret: Mapping[str, Any], host: str = "") -> IssuedToken | None:
    """Read the token in a generated Secret of either kind.

    None where it holds none of the local AWS, or with `host` none for that registry.
    """
    data = {
        key: base64.b64decode(value).decode(errors="replace") for key, value in secret.get("data", {}).items()
    }
    try:
        if ".dockerconfigjson" in data:
            logins = json.loads(data[".dockerconfigjson"])["auths"]
            return decode_token((logins[host] if host else next(iter(logins.values())))["password"])
        return decode_token(data["password"]) if host in ("", data["url"]) else None
    except (KeyError, TypeError, ValueError, StopIteration):
        return None


def read_claims(token: str) -> dict[str, Any]:
    """Read a JWT's claims without checking it; empty for what is not a JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
