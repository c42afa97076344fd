"""The files of the bundle, by their paths in the repository."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from tools.bundle.catalog import catalog
from tools.bundle.csv import cluster_service_version, granted
from tools.bundle.sources import PACKAGE, Json, Sources

CHANNELS: Final = ("alpha", "stable")
DEFAULT_CHANNEL: Final = "stable"
# Kubernetes 1.29.
_OPENSHIFT: Final = "v4.16"
_HEADER: Final = "# Made from config, samples and the models by `make bundle`.\n"

# What else of a bundle OLM installs. Without Secret: it tells kinds apart by their names only, and takes one
# of our group for a core Secret.
_INSTALLED: Final = {
    "ClusterRole",
    "ConfigMap",
    "PodDisruptionBudget",
    "PriorityClass",
    "PrometheusRule",
    "Service",
    "ServiceMonitor",
}
# OLM makes these itself, from the ClusterServiceVersion.
_IN_CSV: Final = {
    "ClusterServiceVersion",
    "ClusterRoleBinding",
    "Deployment",
    "Namespace",
    "Role",
    "RoleBinding",
    "ServiceAccount",
}


def annotations() -> dict[str, str]:
    """What tells OLM and the tools around it what the image is."""
    bundle, test = "operators.operatorframework.io.bundle", "operators.operatorframework.io.test"
    return {
        f"{bundle}.mediatype.v1": "registry+v1",
        f"{bundle}.manifests.v1": "manifests/",
        f"{bundle}.metadata.v1": "metadata/",
        f"{bundle}.package.v1": PACKAGE,
        f"{bundle}.channels.v1": ",".join(CHANNELS),
        f"{bundle}.channel.default.v1": DEFAULT_CHANNEL,
        f"{test}.mediatype.v1": "scorecard+v1",
        f"{test}.config.v1": "tests/scorecard/",
        "com.redhat.openshift.versions": _OPENSHIFT,
    }


def render(sources: Sources) -> dict[str, str]:
    """Return the files' paths and contents. Raises ValueError for an object that OLM does not install."""
    csv = cluster_service_version(sources)
    manifests = {f"{PACKAGE}.clusterserviceversion.yaml": csv, **dict(_others(sources.objects))}
    files = {f"bundle/manifests/{name}": _yaml(content) for name, content in manifests.items()}
    offered = catalog(csv, CHANNELS, DEFAULT_CHANNEL, sources.bundle_image)
    return {
        **files,
        "bundle/metadata/annotations.yaml": _yaml({"annotations": annotations()}),
        "bundle/tests/scorecard/config.yaml": _HEADER + sources.scorecard.split("\n", 1)[1],
        "bundle.Dockerfile": _dockerfile(),
        f"catalog/{PACKAGE}/catalog.yaml": _HEADER + "".join(_documents(offered)),
    }


def _others(objects: tuple[Json, ...]) -> Iterator[tuple[str, Json]]:
    """Give what goes into the bundle beside the ClusterServiceVersion, with the names of the files."""
    bound = [role["metadata"]["name"] for role in granted(objects)]
    for each in objects:
        kind, name = each["kind"], each["metadata"]["name"]
        if kind == "CustomResourceDefinition":
            yield f"{each['spec']['group']}_{each['spec']['names']['plural']}.yaml", each
        elif kind in _INSTALLED and name not in bound:
            metadata = {key: value for key, value in each["metadata"].items() if key != "namespace"}
            yield f"{name}_{kind.lower()}.yaml", {**each, "metadata": metadata}
        elif kind not in _IN_CSV | _INSTALLED:
            raise ValueError(f"OLM does not install {kind} {name} from a bundle")


def _dockerfile() -> str:
    labels = "".join(f"LABEL {name}={value}\n" for name, value in annotations().items())
    copies = "".join(
        f"COPY bundle/{path}/ /{path}/\n" for path in ("manifests", "metadata", "tests/scorecard")
    )
    return f"{_HEADER}FROM scratch\n\n{labels}\n{copies}"


def _documents(contents: list[Json]) -> Iterator[str]:
    for content in contents:
        yield "---\n" + _yaml(content).removeprefix(_HEADER)


def _yaml(content: Any) -> str:
    return _HEADER + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Repeat what is the same."""
        return data is not None


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
