"""`python -m tools.argocd [--check]`: write config/argocd/health.lua in the two forms that Argo CD reads."""

import sys

from ecr_operator.api.kinds import GROUP, KINDS
from tools import ROOT, settle, to_yaml

_MADE = "# Generated from health.lua by `make argocd`.\n"
_ADD = "# For OpenShift GitOps: add both to the list in your ArgoCD resource; a patch replaces the list.\n"


def render() -> dict[str, str]:
    """Return the files' paths and contents."""
    check = (ROOT / "config/argocd/health.lua").read_text(encoding="utf-8")
    keys = {f"resource.customizations.health.{GROUP}_{kind}": check for kind in KINDS}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": keys}
    checks = [{"group": GROUP, "kind": kind, "check": check} for kind in KINDS]
    return {
        "config/argocd/argocd_cm_patch.yaml": _MADE + to_yaml(config),
        "config/argocd/resource_health_checks.yaml": _MADE
        + _ADD
        + to_yaml({"spec": {"resourceHealthChecks": checks}}),
    }


if __name__ == "__main__":
    sys.exit(settle(render(), "argocd"))
