"""A catalog that holds this version alone, in the file-based form that `opm serve` serves.

An installation of v0.6.0 or before finds it by `replaces` and `skipRange`, whose versions need not be there.
"""

from typing import Any, Final

from ecr_operator.api.kinds import GROUP, KINDS, VERSION
from tools.bundle.sources import PACKAGE, Json

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


def catalog(csv: Json, channels: tuple[str, ...], default: str, bundle_image: str) -> list[Json]:
    """Return the package, its channels and its bundle, the documents of a catalog."""
    icon = csv["spec"]["icon"][0]
    package = {
        "schema": "olm.package",
        "name": PACKAGE,
        "defaultChannel": default,
        "description": csv["metadata"]["annotations"]["description"],
        "icon": {"base64data": icon["base64data"], "mediatype": icon["mediatype"]},
    }
    return [package, *(_channel(csv, name) for name in channels), _bundle(csv, bundle_image)]


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
    said: dict[str, Any] = {field: csv["spec"][field] for field in _CSV_FIELDS if field in csv["spec"]}
    return {
        "annotations": csv["metadata"]["annotations"],
        "labels": csv["metadata"]["labels"],
        "apiServiceDefinitions": {},
        "crdDescriptions": csv["spec"]["customresourcedefinitions"],
        **said,
    }
