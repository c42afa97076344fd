"""Admission policies, with which the API server refuses what a test wants refused."""

from lab.api import Json
from tests.cluster.scene import Scene


async def enforce(scene: Scene, policy: Json) -> None:
    """Create an admission policy and bind it to the scene's namespace."""
    await scene.api.create(policy)
    selector = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": scene.namespace},
        "spec": {
            "policyName": scene.namespace,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
    await scene.api.create(binding)
