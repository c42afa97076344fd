"""`python -m tools.argocd`: write config/argocd/health.lua in the two forms that Argo CD takes."""

from pathlib import Path
from typing import Any

import yaml

from ecr_operator.api.kinds import GROUP, KINDS

FOLDER = Path(__file__).parents[1] / "config" / "argocd"
_MADE = "# Generated from health.lua by `make argocd`.\n"
_ADD = "# For OpenShift GitOps: add both to the list in your ArgoCD resource; a patch replaces the list.\n"


def render() -> dict[str, str]:
    """Return the files' names and contents."""
    check = (FOLDER / "health.lua").read_text(encoding="utf-8")
    keys = {f"resource.customizations.health.{GROUP}_{kind}": check for kind in KINDS}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": keys}
    checks = [{"group": GROUP, "kind": kind, "check": check} for kind in KINDS]
    return {
        "argocd_cm_patch.yaml": _MADE + _yaml(config),
        "resource_health_checks.yaml": _MADE + _ADD + _yaml({"spec": {"resourceHealthChecks": checks}}),
    }


def _yaml(content: Any) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Repeat what is the same."""
        return data is not None


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)

if __name__ == "__main__":
    for name, content in render().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
