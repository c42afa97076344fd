"""The files of the bundle and its catalog, by their paths in the repository.

The catalog holds this version alone, in the file-based form that `opm serve` serves. An installation of
v0.6.0 or before finds it by `replaces` and `skipRange`, whose versions need not be there.
"""

from collections.abc import Iterator
from typing import Any, Final

from ecr_operator.api.kinds import GROUP, KINDS, VERSION
from tools import to_yaml
from tools.bundle.csv import cluster_service_version, granted
from tools.bundle.sources import PACKAGE, Json, Sources

CHANNELS: Final = ("alpha", "stable")
DEFAULT_CHANNEL: Final = "stable"
# Kubernetes 1.29.
_OPENSHIFT: Final = "v4.16"
_HEADER: Final = "# Made from config, samples and the models by `make bundle`.\n"

# What else of a bundle OLM installs. Without Secret: it distinguishes kinds by their names only, and
# installs one of our group as a core Secret.
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
_CSV_FIELDS: Final = (
    "displayName",
    "description",
    "keywords",
    "links",
    "maintainers",
    "maturity",
    "minKubeVersion",
    "provider",
    "installModes",
)
# Everything in these is made.
FOLDERS: Final = ("bundle", "catalog")


def annotations() -> dict[str, str]:
    """What the image is, for OLM and the tools around it."""
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
    files = {f"bundle/manifests/{name}": _made(content) for name, content in manifests.items()}
    documents = (f"---\n{to_yaml(each)}" for each in _catalog(csv, sources.bundle_image))
    return {
        **files,
        "bundle/metadata/annotations.yaml": _made({"annotations": annotations()}),
        "bundle/tests/scorecard/config.yaml": _HEADER + sources.scorecard.split("\n", 1)[1],
        "bundle.Dockerfile": _dockerfile(),
        f"catalog/{PACKAGE}/catalog.yaml": _HEADER + "".join(documents),
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


def _made(content: Any) -> str:
    return _HEADER + to_yaml(content)


def _catalog(csv: Json, bundle_image: str) -> list[Json]:
    """Return the package, its channels and its bundle, the documents of a catalog."""
    icon = csv["spec"]["icon"][0]
    package = {
        "schema": "olm.package",
        "name": PACKAGE,
        "defaultChannel": DEFAULT_CHANNEL,
        "description": csv["metadata"]["annotations"]["description"],
        "icon": {"base64data": icon["base64data"], "mediatype": icon["mediatype"]},
    }
    return [package, *(_channel(csv, name) for name in CHANNELS), _bundle(csv, bundle_image)]


def _channel(csv: Json, name: str) -> Json:
    entry = {
        "name": csv["metadata"]["name"],
        "replaces": csv["spec"]["replaces"],
        "skipRange": csv["metadata"]["annotations"]["olm.skipRange"],
    }
    return {"schema": "olm.channel", "package": PACKAGE, "name": name, "entries": [entry]}


def _bundle(csv: Json, image: str) -> Json:
    kinds = [{"group": GROUP, "version": VERSION, "kind": kind} for kind in KINDS]
    properties = [
        *({"type": "olm.gvk", "value": kind} for kind in kinds),
        {"type": "olm.package", "value": {"packageName": PACKAGE, "version": csv["spec"]["version"]}},
        {"type": "olm.csv.metadata", "value": _metadata(csv)},
    ]
    related = [{"name": "", "image": image}, *csv["spec"]["relatedImages"]]
    return {
        "schema": "olm.bundle",
        "name": csv["metadata"]["name"],
        "package": PACKAGE,
        "image": image,
        "properties": properties,
        "relatedImages": related,
    }


def _metadata(csv: Json) -> Json:
    """What the console shows before an installation."""
    fields: dict[str, Any] = {field: csv["spec"][field] for field in _CSV_FIELDS if field in csv["spec"]}
    return {
        "annotations": csv["metadata"]["annotations"],
        "labels": csv["metadata"]["labels"],
        "apiServiceDefinitions": {},
        "crdDescriptions": csv["spec"]["customresourcedefinitions"],
        **fields,
    }
