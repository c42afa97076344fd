"""Who asks AWS: the operator, or a resource by what it names; and which of them is allowed.

Invariants: an identity that uses anything of a tenant's carries the tenant's namespace, so tokens are never
shared across namespaces by it; nothing in it can name another namespace.
"""

import fnmatch
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ecr_operator.model.quote import quote

_ROLE_ARN: Final = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}")
_SESSION_PREFIX: Final = "ecr-secret-operator"
_LONGEST_SESSION: Final = 64  # characters, of AWS's RoleSessionName
_HASH: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An identity towards AWS.

    Attributes:
        source: where the first credentials come from: the operator's own chain, a ServiceAccount of the
            resource's namespace, or a Secret of it with keys.
        namespace: the resource's; empty for the operator's own identity without a role.
        name: of the ServiceAccount or Secret; empty for the operator.
        role_arn: the role to assume; empty for none, or, with a ServiceAccount, for its annotation.
    """

    source: Literal["operator", "service_account", "iam_secret"] = "operator"
    namespace: str = ""
    name: str = ""
    role_arn: str = ""

    def __str__(self) -> str:
        words = {
            "operator": "the operator",
            "service_account": f"ServiceAccount {self.namespace}/{self.name}",
            "iam_secret": f"Secret {self.namespace}/{self.name}",
        }
        return f"{words[self.source]}, {self.role_arn}" if self.role_arn else words[self.source]


OPERATOR: Final = Identity()


def check_role_arn(text: str) -> None:
    """Refuse what is no ARN of a role.

    Raises:
        ValueError: in words for the author of the spec.
    """
    if not _ROLE_ARN.fullmatch(text):
        raise ValueError(
            f"spec.role_arn {quote(text)} is no ARN of a role: write arn:aws:iam::123456789012:role/NAME."
        )


def permits(globs: Iterable[str], role_arn: str) -> bool:
    """Whether one of the globs covers the role. Case counts; `*` and `?` are all that is special."""
    return any(fnmatch.fnmatchcase(role_arn, glob.replace("[", "[[]")) for glob in globs)


def session_name(identity: Identity) -> str:
    """The RoleSessionName: says in CloudTrail which namespace it is for, within AWS's 64 characters."""
    name = f"{_SESSION_PREFIX}@{identity.namespace}"
    if len(name) <= _LONGEST_SESSION:
        return name
    digest = hashlib.sha256(identity.namespace.encode()).hexdigest()[:_HASH]
    return f"{name[: _LONGEST_SESSION - _HASH - 1]}-{digest}"
