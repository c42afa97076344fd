"""An admission policy of the API server's own that refuses what a test wants refused."""

from collections.abc import Sequence

from lab.api import SECRETS, ApiError
from lab.waiting import wait_for
from tests.cluster.builders import core_secret
from tests.cluster.scene import Scene

_VERSION = "admissionregistration.k8s.io/v1"


async def refuse_secrets(
    scene: Scene, operations: Sequence[str], probe: str = "", namespace: str = "", **validation: str
) -> None:
    """Create a policy with one validation for core Secrets of the scene's namespace, or of another one.

    With `probe` wait until a Secret of this name would be refused: a policy is in force after a moment.
    """
    namespace = namespace or scene.namespace
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [*operations], "resources": ["secrets"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [validation],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    specs = {"ValidatingAdmissionPolicy": policy, "ValidatingAdmissionPolicyBinding": binding}
    for kind, spec in specs.items():
        await scene.api.create(
            {"apiVersion": _VERSION, "kind": kind, "metadata": {"name": namespace}, "spec": spec}
        )

    async def is_refused() -> bool:
        path = SECRETS.path(None, namespace)
        try:
            await scene.api.request("POST", path, body=core_secret(probe), query={"dryRun": "All"})
        except ApiError:
            return True
        return False

    if probe:
        await wait_for(is_refused, what="the policy in force")
