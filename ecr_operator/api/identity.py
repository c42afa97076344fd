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

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import excerpt

PERMITTED_ROLES: Final = "ecr.mobb.redhat.com/permitted-roles"
ROLE_ANNOTATION: Final = "eks.amazonaws.com/role-arn"

# The keys of a Secret with AWS keys, in any case; the last is optional.
IAM_KEYS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")

# What people write in their place, as small letters and digits: named in messages, not accepted.
_NEAR_IAM_KEYS: Final = {
    **dict.fromkeys(("awsaccesskeyid", "awsaccesskey", "accesskeyid", "accesskey"), IAM_KEYS[0]),
    **dict.fromkeys(("awssecretaccesskey", "awssecretkey", "secretaccesskey", "secretkey"), IAM_KEYS[1]),
    **dict.fromkeys(("awssessiontoken", "sessiontoken"), IAM_KEYS[2]),
}
# A whole file, as `kubectl create secret --from-file` makes it.
_CREDENTIAL_FILES: Final = frozenset({"credentials", "config"})

_LONGEST_NEAR: Final = 64  # characters
_MOST_PERMITTED: Final = 1 << 13  # characters of the annotation
_ROLE_ARN: Final = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}")
_SESSION_PREFIX: Final = "ecr-secret-operator"
_LONGEST_SESSION: Final = 64  # characters, of AWS's RoleSessionName
_KEY_HASH: Final = 12  # hexadecimal digits
_HASH: Final = 16  # hexadecimal digits; whoever may name a namespace must not find one with the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An identity towards AWS.

    Attributes:
        source: where the first credentials come from: the operator's own chain, a ServiceAccount of the
            resource's namespace, or a Secret of it with keys.
        namespace: the resource's; empty for the operator's own identity without a role.
        name: of the ServiceAccount or Secret; empty for the operator.
        role_arn: the role to assume; empty for none, or, with a ServiceAccount, for its annotation.
        resource: name of the custom resource, for the session's tags; empty without them.
    """

    source: Literal["operator", "service_account", "iam_secret"] = "operator"
    namespace: str = ""
    name: str = ""
    role_arn: str = ""
    resource: str = ""

    def __str__(self) -> str:
        words = {
            "operator": "the operator",
            "service_account": f"ServiceAccount {self.namespace}/{self.name}",
            "iam_secret": f"Secret {self.namespace}/{self.name}",
        }
        return f"{words[self.source]}, {self.role_arn}" if self.role_arn else words[self.source]


OPERATOR: Final = Identity()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDigest:
    """Long-lived AWS keys, recognizable but not readable; empty for credentials of any other kind.

    Attributes:
        id_hash: of the access key id; short, and the same in every process.
        contents: of the id and the secret; comparable within one process only.
    """

    id_hash: str = ""
    contents: str = ""

    def replaces(self, before: "KeyDigest | None", id_hash: str | None) -> bool:
        """Whether a token has to be renewed because these keys took the place of others.

        Args:
            before: the keys until now; None at a start, when only other access key ids can be told apart.
            id_hash: of the key that fetched the token; None if that is not known.
        """
        if before is None:
            return bool(id_hash and self.id_hash) and id_hash != self.id_hash
        if before.contents == self.contents:
            return False
        same_id = before.id_hash == self.id_hash
        return same_id or not self.id_hash or id_hash != self.id_hash


def hash_key_id(access_key: str) -> str:
    """A short hash of an access key id, for an annotation."""
    return hashlib.sha256(access_key.encode()).hexdigest()[:_KEY_HASH]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPolicy:
    """What the operator's own identity may be used for.

    Attributes:
        permitted_roles: globs of the roles that it may assume for any namespace.
        external_id: goes with every role that it assumes; empty for none.
        session_tags: tag those sessions with namespace and name of the resource.
    """

    permitted_roles: tuple[str, ...] = ()
    external_id: str = ""
    session_tags: bool = False


def is_iam_key(name: str) -> bool:
    """Whether a Secret's key is one of `IAM_KEYS`, in any case: `AWS_ACCESS_KEY_ID` is one too."""
    return name.lower() in IAM_KEYS


def near_iam_key(name: str) -> str:
    """Which of `IAM_KEYS` somebody may have meant by another name, as `access-key-id`; empty for none."""
    plain = re.sub(r"[^a-z0-9]", "", name[:_LONGEST_NEAR].lower())
    return "" if is_iam_key(name) else _NEAR_IAM_KEYS.get(plain, "")


def is_credentials_file(name: str) -> bool:
    """Whether a Secret's key looks like a whole AWS credentials or configuration file."""
    return name.lower() in _CREDENTIAL_FILES


def check_role_arn(text: str) -> None:
    """Refuse what is no ARN of a role.

    Raises:
        ValueError: in words for the author of the spec.
    """
    if not is_role_arn(text):
        raise ValueError(
            f"spec.role_arn {excerpt(text)} is not a valid IAM role ARN; expected "
            "arn:aws:iam::123456789012:role/NAME."
        )


def is_role_arn(text: str) -> bool:
    """Whether it is the ARN of one role, to the letter."""
    return _ROLE_ARN.fullmatch(text) is not None


def permits(globs: Iterable[str], role_arn: str) -> bool:
    """Whether one of the globs covers the role. Case counts; `*` and `?` are all that is special."""
    return any(fnmatch.fnmatchcase(role_arn, glob.replace("[", "[[]")) for glob in globs)


def check_permitted(identity: Identity, annotation: str) -> None:
    """Refuse a role that neither the operator's settings (asked before) nor its namespace permits.

    Args:
        identity: the operator's, with a role.
        annotation: the namespace's, of globs between commas or spaces; empty for none. Globs beyond the
            first 8,192 characters are ignored.

    Raises:
        PermanentError: `RoleNotPermitted`, in words that say who must change what.
    """
    if permits(_globs(annotation), identity.role_arn):
        return
    namespace = identity.namespace
    raise PermanentError(
        Reason.ROLE_NOT_PERMITTED,
        f"The operator is not permitted to assume {identity.role_arn} for namespace {namespace}: neither "
        "its flag "
        f"--permitted-roles nor the annotation {PERMITTED_ROLES} of the namespace covers it. "
        f"A cluster admin can permit it: kubectl annotate --overwrite namespace {namespace} "
        f"'{PERMITTED_ROLES}={identity.role_arn}' (separate several with commas).",
    )


def _globs(annotation: str) -> list[str]:
    globs = annotation[:_MOST_PERMITTED].replace(",", " ").split()
    # The last one may be cut, and would then cover other roles.
    return globs if len(annotation) <= _MOST_PERMITTED else globs[:-1]


def session_tags(identity: Identity) -> dict[str, str]:
    """Tags of a session, for conditions in policies; AWS's limit of 256 characters fits every name."""
    tags = {"kubernetes-namespace": identity.namespace, "kubernetes-resource": identity.resource}
    return {key: value for key, value in tags.items() if value}


def session_name(identity: Identity) -> str:
    """The RoleSessionName: says in CloudTrail which namespace it is for, within AWS's 64 characters.

    No two namespaces share one: a `+`, which no namespace's name can have, marks what is cut. What belongs to
    no namespace needs another character than `@` after the prefix.
    """
    name = f"{_SESSION_PREFIX}@{identity.namespace}"
    if len(name) <= _LONGEST_SESSION:
        return name
    digest = hashlib.sha256(identity.namespace.encode()).hexdigest()[:_HASH]
    return f"{name[: _LONGEST_SESSION - _HASH - 1]}+{digest}"
