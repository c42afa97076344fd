"""What a tenant has, made on the API server, and what a checker reads of it."""

from lab.api import NAMESPACES, Json
from tests.cluster import reading
from tests.cluster.scene import Scene

ROLE = "arn:aws:iam::210987654321:role/puller"
VICTIM = "arn:aws:iam::123456789012:role/production"
TENANT_KEY, TENANT_SECRET = "AKIATENANT0000000000", "secret-of-the-tenant"
PERMITTED_ROLES = "ecr.mobb.redhat.com/permitted-roles"


def service_account(name: str = "ci", role: str | None = None) -> Json:
    """Make a ServiceAccount, with the annotation of IRSA where a role is given."""
    annotations = {"eks.amazonaws.com/role-arn": role} if role is not None else {}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def iam_secret(name: str = "keys", key: str = TENANT_KEY, secret: str = TENANT_SECRET) -> Json:
    """Make a Secret with AWS keys, with a line break as `echo` leaves one."""
    data = {"aws_access_key_id": key, "aws_secret_access_key": f"{secret}\n"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


async def permit(scene: Scene, globs: str | None) -> None:
    """Set what a cluster admin permits the namespace; None takes it away."""
    patch = {"metadata": {"annotations": {PERMITTED_ROLES: globs}}}
    await scene.api.merge_patch(NAMESPACES, scene.namespace, patch)


async def signer(scene: Scene, name: str = "pull-login") -> str:
    """Tell whose keys got the token in a generated Secret: a role, or a user's key id."""
    token = await scene.token(name)
    return scene.aws.role_of(token) or token.access_key


def message(resource: Json) -> str:
    """What the resource says of its last attempt."""
    said: str = reading.condition(resource, "Refreshed")["message"]
    return said
