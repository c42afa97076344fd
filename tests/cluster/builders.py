"""Custom resources for the tests: say only what the test cares about."""

from typing import Any

from lab.api import Json

_API_VERSION = "ecr.mobb.redhat.com/v1alpha1"


def registry(region: str = "us-east-1") -> str:
    """Return the host of a private registry in a region."""
    return f"123456789012.dkr.ecr.{region}.amazonaws.com"


def ecr_secret(name: str = "pull", *, region: str | None = "us-east-1", **spec: Any) -> Json:
    """Make a Secret of our group, which generates `<name>-login`; a field that is None is left out."""
    target = {"ecr_registry": registry(region or "us-east-1")}
    return _resource("Secret", name, {**target, "region": region, **spec})


def argo_secret(name: str = "charts", *, region: str | None = "us-east-1", **spec: Any) -> Json:
    """Make an ArgoHelmRepoSecret, which generates `<name>-login`; a field that is None is left out."""
    target = {"url": registry(region or "us-east-1")}
    return _resource("ArgoHelmRepoSecret", name, {**target, "region": region, **spec})


def cluster_secret(name: str, *namespaces: str, **spec: Any) -> Json:
    """Make a ClusterSecret for namespaces of these names, which generates `<name>-login`."""
    target = {"ecr_registry": registry(), "namespaces": {"names": list(namespaces)}}
    return _resource("ClusterSecret", name, {**target, **spec})


def core_secret(name: str, **metadata: Any) -> Json:
    """Make a Secret of somebody else."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **metadata},
        "data": {"key": "dmFsdWU="},
    }


def foreign_crd(group: str, version: str, kind: str) -> Json:
    """Make a CRD of another project, with any schema."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def _resource(kind: str, name: str, spec: dict[str, Any]) -> Json:
    spec = {"generated_secret_name": f"{name}-login", "frequency": "10h", **spec}
    return {
        "apiVersion": _API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }
