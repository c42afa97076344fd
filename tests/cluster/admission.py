"""An admission policy of the API server's own that refuses what a test wants refused."""

from collections.abc import Sequence

from lab.api import Json
from tests.cluster.scene import Scene

_VERSION = "admissionregistration.k8s.io/v1"
_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


async def refuse_secrets(
    scene: Scene, operations: Sequence[str], namespace: str = "", **validation: str
) -> None:
    """Create a policy with one validation for core Secrets of the scene's namespace, or of another one."""
    namespace = namespace or scene.namespace
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [*operations], "resources": ["secrets"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [validation],
    }
    binding = {
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    specs: tuple[Json, Json] = (policy, binding)
    for kind, spec in zip(_KINDS, specs, strict=True):
        await scene.api.create(_object(kind, namespace, spec))


async def allow_secrets(scene: Scene, namespace: str) -> None:
    """Delete the policy of a namespace."""
    for kind in _KINDS:
        await scene.api.delete(await scene.api.resource_of(_object(kind, namespace, {})), namespace)


def _object(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": _VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
