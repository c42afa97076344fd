"""What ECR, ECR Public and STS of the local AWS answer: tokens, and keys of roles by their trust policies.

A token is as long as ECR's, and a test can read it (`decode_token`).
"""

import base64
import itertools
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from lab.aws_calls import Asked, Call, answer, raw, refuse, xml_time
from lab.aws_faults import RAW_BODIES, reshape
from lab.aws_keys import KeyRing, TemporaryKeys

TWELVE_HOURS = 12 * 3600.0
AUDIENCE = "sts.amazonaws.com"

_FILLER_BYTES = 390
_DATA_KEY_BYTES = 184


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A trust policy; None is not checked, an empty set trusts nobody.

    Attributes:
        keys: access key ids, or ARNs of roles whose sessions may assume this one.
        external_id: that AssumeRole must bring.
        subjects: of web identity tokens, such as `system:serviceaccount:team:ci`.
    """

    keys: frozenset[str] | None = None
    external_id: str | None = None
    subjects: frozenset[str] | None = None

    def refuses(self, call: Call, caller: str) -> bool:
        """Whether it refuses this call, made by a key id or by a role's session."""
        if call.operation == "AssumeRoleWithWebIdentity":
            return self._refuses_token(call.token)
        if self.keys is not None and caller not in self.keys:
            return True
        return self.external_id not in (None, call.external_id)

    def _refuses_token(self, token: str) -> bool:
        if self.subjects is None:
            return False
        claims = read_claims(token)
        return claims.get("sub") not in self.subjects or AUDIENCE not in claims.get("aud", [])


class Services:
    """The three services of one account.

    Attributes:
        token_life: seconds until the next ECR tokens expire.
        credential_life: seconds until the next temporary keys expire.
        account: the 12 digits of the account.
        registry_region: of the registry that ECR's answers name; empty for the one that was asked.
        passwords: all issued so far, in order.
        trust: role ARN → its trust policy; a role without one trusts nobody. None: everybody may assume any.
    """

    def __init__(self, keys: KeyRing, token_life: float = TWELVE_HOURS) -> None:
        self.token_life = token_life
        self.credential_life = 3600.0
        self.account = "123456789012"
        self.registry_region = ""
        self.passwords: list[str] = []
        self.trust: dict[str, Trust] | None = None
        self._keys = keys
        self._serials = itertools.count(1)

    def answer(self, asked: Asked, garbage: str | None = None) -> web.Response:
        """Answer a request that is let in; `garbage` names what is made of the answer."""
        call = asked.call
        call.outcome = "garbage" if garbage else "answered"
        if garbage is not None and garbage in RAW_BODIES:
            return raw(call, RAW_BODIES[garbage])
        if call.service == "sts":
            return self._answer_sts(call, asked.form)
        if call.service:
            return self._answer_ecr(call, garbage)
        return refuse(call, "UnknownOperationException", 400, "The lab knows no such operation.")

    def _answer_ecr(self, call: Call, garbage: str | None) -> web.Response:
        now = self._keys.now()
        token = IssuedToken(
            serial=next(self._serials),
            region=call.region,
            access_key=call.access_key,
            service=call.service,
            issued_at=round(now, 3),
            expires_at=round(now + self.token_life, 3),
        )
        self.passwords.append(_encode_token(token))
        datum: dict[str, Any] = {
            "authorizationToken": base64.b64encode(f"AWS:{self.passwords[-1]}".encode()).decode(),
            "expiresAt": token.expires_at,
        }
        public = call.service == "ecr-public"
        if not public:
            suffix = "amazonaws.com.cn" if call.region.startswith("cn-") else "amazonaws.com"
            datum["proxyEndpoint"] = (
                f"https://{self.account}.dkr.ecr.{self.registry_region or call.region}.{suffix}"
            )
        if garbage == "no-data":
            return answer(call, {} if public else {"authorizationData": []})
        if garbage:
            datum = reshape(garbage, datum, now)
        return answer(call, {"authorizationData": datum if public else [datum]})

    def _answer_sts(self, call: Call, form: Mapping[str, str]) -> web.Response:
        if call.operation == "GetCallerIdentity":
            return answer(call, self._caller(call.access_key))
        if call.operation not in ("AssumeRole", "AssumeRoleWithWebIdentity"):
            return refuse(call, "InvalidAction", 400, "The lab knows no such action.")
        if missing := {"RoleArn", "RoleSessionName"} - set(form):
            return refuse(call, "ValidationError", 400, f"Missing: {', '.join(sorted(missing))}")
        if call.operation == "AssumeRoleWithWebIdentity" and not call.token:
            return refuse(call, "InvalidIdentityToken", 400, "No OpenIDConnect provider in your account")
        if self._is_denied(call):
            return refuse(call, "AccessDenied", 403, self._denial(call))
        life = min(float(form.get("DurationSeconds", "3600")), self.credential_life)
        keys = self._keys.issue(call.role, call.session, life)
        return answer(call, _credentials(keys) | {"AssumedRoleUser": self._role_user(keys)})

    def _is_denied(self, call: Call) -> bool:
        if self.trust is None:
            return False
        holder = self._keys.holder(call.access_key)
        policy = self.trust.get(call.role)
        return policy is None or policy.refuses(call, holder.role_arn if holder else call.access_key)

    def _denial(self, call: Call) -> str:
        if call.operation == "AssumeRoleWithWebIdentity":
            return "Not authorized to perform sts:AssumeRoleWithWebIdentity"
        caller = self._caller(call.access_key)["Arn"]
        return f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {call.role}"

    def _caller(self, access_key: str) -> dict[str, str]:
        keys = self._keys.holder(access_key)
        if keys is None:
            return {
                "Arn": f"arn:aws:iam::{self.account}:user/lab",
                "UserId": "AIDALAB",
                "Account": self.account,
            }
        user = self._role_user(keys)
        return {"Arn": user["Arn"], "UserId": user["AssumedRoleId"], "Account": self.account}

    def _role_user(self, keys: TemporaryKeys) -> dict[str, str]:
        role = keys.role_arn.rsplit("/", 1)[-1]
        return {
            "AssumedRoleId": f"AROALAB:{keys.session_name}",
            "Arn": f"arn:aws:sts::{self.account}:assumed-role/{role}/{keys.session_name}",
        }


def _encode_token(token: IssuedToken) -> str:
    """Make the password: about 1,800 characters of base64 over JSON, as ECR's is."""
    content = json.dumps(asdict(token) | {"filler": _noise(_FILLER_BYTES)})
    envelope = {
        "payload": base64.b64encode(content.encode()).decode(),
        "datakey": _noise(_DATA_KEY_BYTES),
        "version": "2",
        "type": "DATA_KEY",
        "expiration": int(token.expires_at),
    }
    return base64.b64encode(json.dumps(envelope, separators=(",", ":")).encode()).decode()


def decode_token(password: str) -> IssuedToken:
    """Read a password back. Raises ValueError for one that the local AWS didn't make."""
    try:
        envelope = json.loads(base64.b64decode(password, validate=True))
        content = json.loads(base64.b64decode(envelope["payload"], validate=True))
        del content["filler"]
        return IssuedToken(**content)
    except (ValueError, KeyError, TypeError):
        raise ValueError("not a token of the local AWS") from None


def _noise(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode()


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


def _credentials(keys: TemporaryKeys) -> dict[str, Any]:
    return {
        "Credentials": {
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "SessionToken": keys.session_token,
            "Expiration": xml_time(keys.expires_at),
        },
        "PackedPolicySize": 6,
    }
