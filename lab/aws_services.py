"""What ECR, ECR Public and STS of the local AWS answer: tokens, and keys of roles by their trust policies."""

import base64
import itertools
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from lab.aws_calls import Call, answer, raw, refuse
from lab.aws_faults import RAW_BODIES, reshape
from lab.aws_keys import KeyRing, TemporaryKeys, iso_time
from lab.aws_tokens import IssuedToken, encode_token, read_claims

TWELVE_HOURS = 12 * 3600.0

_AUDIENCE = "sts.amazonaws.com"


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
            claims = read_claims(call.token)
            known = claims.get("sub") in (self.subjects or ()) and _AUDIENCE in claims.get("aud", [])
            return self.subjects is not None and not known
        if self.keys is not None and caller not in self.keys:
            return True
        return self.external_id not in (None, call.external_id)


class Services:
    """The three services of one account.

    Attributes:
        token_life: seconds until the next ECR tokens expire.
        account: the 12 digits of the account.
        registry_region: of the registry that ECR's answers name; empty for the region of the request.
        passwords: all issued so far, in order.
        trust: role ARN → its trust policy; a role without one trusts nobody. None: everybody may assume any.
    """

    def __init__(self, keys: KeyRing, token_life: float = TWELVE_HOURS) -> None:
        self.token_life = token_life
        self.account = "123456789012"
        self.registry_region = ""
        self.passwords: list[str] = []
        self.trust: dict[str, Trust] | None = None
        self._keys = keys
        self._serials = itertools.count(1)

    def respond(self, call: Call, garbage: str = "") -> web.Response:
        """Answer a request that is accepted; `garbage` is one of `GARBAGE`, or empty for a valid answer."""
        call.outcome = "garbage" if garbage else "answered"
        if garbage in RAW_BODIES:
            return raw(call, RAW_BODIES[garbage])
        if call.service == "sts":
            return self._respond_sts(call)
        if call.service:
            return self._respond_ecr(call, garbage)
        return refuse(call, "UnknownOperationException", 400, "The lab knows no such operation.")

    def _respond_ecr(self, call: Call, garbage: str) -> web.Response:
        now = self._keys.now()
        token = IssuedToken(
            serial=next(self._serials),
            region=call.region,
            access_key=call.access_key,
            service=call.service,
            issued_at=round(now, 3),
            expires_at=round(now + self.token_life, 3),
        )
        password = encode_token(token)
        self.passwords.append(password)
        datum: dict[str, Any] = {
            "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
            "expiresAt": token.expires_at,
        }
        if call.service == "ecr-public":
            (datum,) = reshape(garbage, datum) or ({},)
            return answer(call, {"authorizationData": datum} if datum else {})
        datum["proxyEndpoint"] = self._registry(call.region)
        return answer(call, {"authorizationData": reshape(garbage, datum)})

    def _registry(self, region: str) -> str:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return f"https://{self.account}.dkr.ecr.{self.registry_region or region}.{suffix}"

    def _respond_sts(self, call: Call) -> web.Response:
        if call.operation == "GetCallerIdentity":
            return answer(call, self._caller(call.access_key))
        if call.operation not in ("AssumeRole", "AssumeRoleWithWebIdentity"):
            return refuse(call, "InvalidAction", 400, "The lab knows no such action.")
        if missing := {"RoleArn", "RoleSessionName"} - set(call.form):
            return refuse(call, "ValidationError", 400, f"Missing: {', '.join(sorted(missing))}")
        if call.operation == "AssumeRoleWithWebIdentity" and not call.token:
            return refuse(call, "InvalidIdentityToken", 400, "No OpenIDConnect provider in your account")
        if self._is_denied(call):
            return refuse(call, "AccessDenied", 403, self._denial(call))
        keys = self._keys.issue(call.role, call.session, float(call.form.get("DurationSeconds", "3600")))
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
            arn, user_id = f"arn:aws:iam::{self.account}:user/lab", "AIDALAB"
        else:
            arn, user_id = self._role_user(keys).values()
        return {"Arn": arn, "UserId": user_id, "Account": self.account}

    def _role_user(self, keys: TemporaryKeys) -> dict[str, str]:
        role = keys.role_arn.rsplit("/", 1)[-1]
        return {
            "Arn": f"arn:aws:sts::{self.account}:assumed-role/{role}/{keys.session_name}",
            "AssumedRoleId": f"AROALAB:{keys.session_name}",
        }


def _credentials(keys: TemporaryKeys) -> dict[str, Any]:
    return {
        "Credentials": {
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "SessionToken": keys.session_token,
            "Expiration": iso_time(keys.expires_at),
        },
        "PackedPolicySize": 6,
    }
