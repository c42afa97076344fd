"""Whom the roles of the local AWS trust: as much of a trust policy as the operator meets."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.aws_calls import Call

AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A trust policy; what is None is not asked for, and an empty set trusts nobody.

    Attributes:
        keys: access key ids, or ARNs of roles whose sessions may assume this one.
        external_id: that AssumeRole must bring.
        subjects: of web identity tokens, such as `system:serviceaccount:team:ci`.
        tags: whether sessions may be tagged.
    """

    keys: frozenset[str] | None = None
    external_id: str | None = None
    subjects: frozenset[str] | None = None
    tags: bool = True

    def refuses(self, call: Call, caller: str) -> bool:
        """Say whether it refuses this call, made by a key id or by a role's session."""
        if call.operation == "AssumeRoleWithWebIdentity":
            return self._refuses_token(call.token)
        if self.keys is not None and caller not in self.keys:
            return True
        return self.external_id not in (None, call.external_id) or bool(call.tags and not self.tags)

    def _refuses_token(self, token: str) -> bool:
        if self.subjects is None:
            return False
        ownership = read_claims(token)
        return ownership.get("sub") not in self.subjects or AUDIENCE not in ownership.get("aud", [])


def is_refused(policies: Mapping[str, Trust] | None, call: Call, caller: str) -> bool:
    """Say whether the role that a call names refuses it; a role without a policy trusts nobody."""
    if policies is None:
        return False
    policy = policies.get(call.role)
    return policy is None or policy.refuses(call, caller)


def read_claims(token: str) -> dict[str, Any]:
    """Read a JWT's claims, which nobody has checked; empty for what is none."""
    try:
        payload = token.split(".")[1]
        ownership = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return ownership if isinstance(ownership, dict) else {}
