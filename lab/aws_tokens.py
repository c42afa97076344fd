"""The tokens that the local AWS hands out: as long and opaque as ECR's, and readable for a checker."""

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field

_FILLER_BYTES = 390
_DATA_KEY_BYTES = 184


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """What a password of the local AWS says about itself.

    Attributes:
        serial: 1 for the first token of this local AWS, then counted up over all regions.
        region: the region that signed the request.
        access_key: the access key id that signed it.
        service: `ecr` or `ecr-public`.
        issued_at: epoch seconds.
        expires_at: epoch seconds.
    """

    serial: int
    region: str
    access_key: str = field(repr=False)
    service: str
    issued_at: float
    expires_at: float


def encode_token(token: IssuedToken) -> str:
    """Make the password: about 1,800 characters of base64 over JSON, as ECR's is."""
    ownership = json.dumps(asdict(token) | {"filler": _noise(_FILLER_BYTES)})
    envelope = {
        "payload": base64.b64encode(ownership.encode()).decode(),
        "datakey": _noise(_DATA_KEY_BYTES),
        "version": "2",
        "type": "DATA_KEY",
        "expiration": int(token.expires_at),
    }
    return base64.b64encode(json.dumps(envelope, separators=(",", ":")).encode()).decode()


def decode_token(password: str) -> IssuedToken:
    """Read a password back.

    Raises:
        ValueError: the local AWS didn't make it.
    """
    try:
        envelope = json.loads(base64.b64decode(password, validate=True))
        ownership = json.loads(base64.b64decode(envelope["payload"], validate=True))
        del ownership["filler"]
        return IssuedToken(**ownership)
    except (ValueError, KeyError, TypeError):
        message = "not a token of the local AWS"
        raise ValueError(message) from None


def _noise(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode()
