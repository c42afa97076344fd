"""The identities that AWS is called with: the operator's, or one that a resource names.

Invariant: an identity that uses anything of a tenant carries the tenant's namespace and can't name another,
so it never shares a token across namespaces.
"""

import fnmatch
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import Reason

PERMITTED_ROLES: Final = "ecr.mobb.redhat.com/permitted-roles"
ROLE_ANNOTATION: Final = "eks.amazonaws.com/role-arn"

# The keys in a Secret with AWS keys, in any case; the last is optional.
IAM_KEYS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")

# Likely mistakes, as lower case letters and digits: named in messages, not accepted.
_NEAR_IAM_KEYS: Final = {
    **dict.fromkeys(("awsaccesskeyid", "awsaccesskey", "accesskeyid", "accesskey"), IAM_KEYS[0]),
    **dict.fromkeys(("awssecretaccesskey", "awssecretkey", "secretaccesskey", "secretkey"), IAM_KEYS[1]),
    **dict.fromkeys(("awssessiontoken", "sessiontoken"), IAM_KEYS[2]),
}
# A whole file, as `kubectl create secret --from-file` creates it.
_CREDENTIAL_FILES: Final = frozenset({"credentials", "config"})

_LONGEST_NEAR: Final = 64  # characters
_MOST_PERMITTED: Final = 1 << 13  # characters of the annotation
_ROLE_ARN: Final = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}")
_SESSION_PREFIX: Final = "ecr-secret-operator"
_LONGEST_SESSION: Final = 64  # characters, of AWS's RoleSessionName
_KEY_HASH: Final = 12  # hexadecimal digits
_HASH: Final = 16  # hexadecimal digits; enough that nobody finds two namespaces with the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An identity for calls to AWS.

    Attributes:
        source: of the first credentials: the operator's own chain, or a ServiceAccount or a Secret with keys
            in the resource's namespace.
        namespace: the resource's; empty for the operator's own identity without a role, and for a role of a
            ClusterSecret.
        name: of the ServiceAccount or Secret; empty for the operator.
        role_arn: the role to assume; empty for none, or, with a ServiceAccount, for the one it is annotated
            with.
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
        """Whether a token has to be renewed because these keys replaced others.

        Args:
            before: the keys until now; None at a start, when only access key ids can be compared.
            id_hash: of the key that fetched the token; None if it is not known.
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
        external_id: sent with every role that it assumes; empty for none.
        session_tags: tag those sessions with the namespace and name of the resource.
    """

    permitted_roles: tuple[str, ...] = ()
    external_id: str = ""
    session_tags: bool = False


def is_iam_key(name: str) -> bool:
    """Whether a Secret's key is one of `IAM_KEYS`, in any case: `AWS_ACCESS_KEY_ID` is one too."""
    return name.lower() in IAM_KEYS


def near_iam_key(name: str) -> str:
    """Which of `IAM_KEYS` a name such as `access-key-id` probably means; empty for none."""
    plain = re.sub(r"[^a-z0-9]", "", name[:_LONGEST_NEAR].lower())
    return "" if is_iam_key(name) else _NEAR_IAM_KEYS.get(plain, "")


def is_credentials_file(name: str) -> bool:
    """Whether a Secret's key looks like a whole AWS credentials or configuration file."""
    return name.lower() in _CREDENTIAL_FILES


def is_role_arn(text: str) -> bool:
    """Whether it is exactly the ARN of one role."""
    return _ROLE_ARN.fullmatch(text) is not None


def permits(globs: Iterable[str], role_arn: str) -> bool:
    """Whether one of the globs matches the role. Case counts; only `*` and `?` are special."""
    return any(fnmatch.fnmatchcase(role_arn, glob.replace("[", "[[]")) for glob in globs)


def check_permitted(identity: Identity, annotation: str) -> None:
    """Refuse a role that neither the operator's settings (checked before) nor its namespace permits.

    Args:
        identity: the operator's, with a role.
        annotation: the namespace's globs, separated by commas or spaces; empty for none. Globs beyond the
            first 8,192 characters are ignored.

    Raises:
        PermanentError: `RoleNotPermitted`; the message says who has to change what.
    """
    if permits(_globs(annotation), identity.role_arn):
        return
    namespace = identity.namespace
    raise PermanentError(
        Reason.ROLE_NOT_PERMITTED,
        f"The operator is not permitted to assume {identity.role_arn} for namespace {namespace}: neither "
        f"its flag --permitted-roles nor the annotation {PERMITTED_ROLES} of the namespace covers it. "
        f"A cluster admin can permit it: kubectl annotate --overwrite namespace {namespace} "
        f"'{PERMITTED_ROLES}={identity.role_arn}' (separate several with commas).",
    )


def refuse_for_cluster(identity: Identity) -> PermanentError:
    """The error for a ClusterSecret's role that the operator's settings do not permit."""
    return PermanentError(
        Reason.ROLE_NOT_PERMITTED,
        f"The operator is not permitted to assume {identity.role_arn} for a ClusterSecret: its flag "
        "--permitted-roles does not cover it. A cluster admin can add it there; annotations of namespaces "
        "don't count.",
    )


def _globs(annotation: str) -> list[str]:
    globs = annotation[:_MOST_PERMITTED].replace(",", " ").split()
    # The last one may be cut off, and would then match other roles.
    return globs if len(annotation) <= _MOST_PERMITTED else globs[:-1]


def session_tags(identity: Identity) -> dict[str, str]:
    """Tags of a session, for conditions in policies; every name is within AWS's 256 characters."""
    tags = {"kubernetes-namespace": identity.namespace, "kubernetes-resource": identity.resource}
    return {key: value for key, value in tags.items() if value}


def session_name(identity: Identity) -> str:
    """The RoleSessionName, which names the namespace in CloudTrail, within AWS's 64 characters.

    No two namespaces share one: a `+`, which no namespace name contains, marks a name that is cut. None has
    that of ClusterSecrets either, where a `=` follows the prefix.
    """
    if not identity.namespace:
        return f"{_SESSION_PREFIX}={CLUSTER}"
    name = f"{_SESSION_PREFIX}@{identity.namespace}"
    if len(name) <= _LONGEST_SESSION:
        return name
    digest = hashlib.sha256(identity.namespace.encode()).hexdigest()[:_HASH]
    return f"{name[: _LONGEST_SESSION - _HASH - 1]}+{digest}"
