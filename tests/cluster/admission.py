"""An admission policy of the API server's own that refuses what a test wants refused."""

from collections.abc import Sequence

from lab.api import Json
from tests.cluster.scene import Scene


async def refuse_secrets(scene: Scene, operations: Sequence[str], **validation: str) -> None:
    """Create a policy with one validation for core Secrets, and bind it to the scene's namespace."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [*operations], "resources": ["secrets"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [validation],
    }
    binding = {
        "policyName": scene.namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    await scene.api.create(_object(scene, "ValidatingAdmissionPolicy", policy))
    await scene.api.create(_object(scene, "ValidatingAdmissionPolicyBinding", binding))


def _object(scene: Scene, kind: str, spec: Json) -> Json:
    version = "admissionregistration.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": scene.namespace}, "spec": spec}
