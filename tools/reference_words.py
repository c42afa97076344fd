"""What docs/reference.md tells of keys and variables that no model describes."""

from dataclasses import dataclass
from typing import Final

from ecr_operator.api.identity import PERMITTED_ROLES, ROLE_ANNOTATION
from ecr_operator.api.parsing import REFRESH_REQUESTED
from ecr_operator.core.secret import (
    ARGO_LABEL,
    EXPIRES_AT,
    FINGERPRINT,
    ISSUED_AT,
    KEY_HASH,
    MANAGED_BY,
    MANAGER,
    OWNER,
    OWNER_UID,
    TOKENS,
)
from ecr_operator.core.secret_view import ADOPT, ADOPT_DROPPING, ADOPT_KEEPING
from ecr_operator.links.plan import LABEL, LINKS


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation or label.

    Attributes:
        on: what it stands on, and who sets it.
        key: its key.
        value: what it holds.
        meaning: in one line.
    """

    on: str
    key: str
    value: str
    meaning: str


_YOURS: Final = "a resource, by you"
_THEIRS: Final = "a Secret that is there already, by you"
_NAMESPACES: Final = "a namespace, by the cluster admin"
_ACCOUNTS: Final = "a ServiceAccount, by you"
_LINKED: Final = "a linked ServiceAccount, by the operator"
_OURS: Final = "the generated Secret, by the operator"

MARKS: Final = (
    Mark(_YOURS, REFRESH_REQUESTED, "anything new", "Asks for a fresh token now, once for each new value"),
    Mark(
        _THEIRS,
        ADOPT,
        f"`{ADOPT_KEEPING}` or `{ADOPT_DROPPING}`",
        "Lets the resource that names this Secret take it over; `replace` drops what it holds of others",
    ),
    Mark(_NAMESPACES, PERMITTED_ROLES, "globs", "Roles that `role_arn` may name in this namespace"),
    Mark(_ACCOUNTS, ROLE_ANNOTATION, "a role's ARN", "The role for `service_account`, without `role_arn`"),
    Mark(_LINKED, LABEL, "label: `true`", "It has links for `link_service_accounts`"),
    Mark(_LINKED, LINKS, "JSON", "The links that the operator added, and takes away again"),
    Mark(_OURS, MANAGED_BY, f"label: `{MANAGER}`", "Who keeps this Secret"),
    Mark(_OURS, ARGO_LABEL, "label: `repository` or `repo-creds`", "What Argo CD takes it for"),
    Mark(_OURS, ISSUED_AT, "time", "When the token was fetched; with several, the oldest"),
    Mark(_OURS, EXPIRES_AT, "time", "When the token dies; with several, the first"),
    Mark(_OURS, TOKENS, "number and time", "With several registries, when each one's token was fetched"),
    Mark(_OURS, REFRESH_REQUESTED, "as on the resource", "The request that was met last"),
    Mark(_OURS, FINGERPRINT, "hash", "Of what the spec says of this Secret"),
    Mark(_OURS, KEY_HASH, "hash", "Of the long-lived access key id that fetched the token, if one did"),
    Mark(_OURS, OWNER, "kind and name", "The resource that it belongs to"),
    Mark(_OURS, OWNER_UID, "uid", "The same"),
)

# Each is held by a test in tests/aws.
SDK_VARIABLES: Final = {
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"): "Keys; read at the start only",
    ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"): "Files with profiles; a change is noticed",
    ("AWS_PROFILE",): "Which profile of them, `default` when absent",
    ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"): "A web identity (IRSA)",
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"): "EKS Pod Identity",
    ("AWS_EC2_METADATA_DISABLED",): "`true`: never ask the instance's metadata service",
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT",): "Another address of that service",
    ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_ECR_PUBLIC", "AWS_ENDPOINT_URL_STS"): (
        "Another address of AWS, or of one service"
    ),
    ("AWS_CA_BUNDLE",): "The certificate authorities to trust for AWS",
}
