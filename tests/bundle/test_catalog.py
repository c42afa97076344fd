"""The catalog of this one version: what OLM resolves an installation or an upgrade by."""

from typing import Final

import pytest
import yaml

import ecr_operator
from lab.api import Json
from tests.bundle import olm
from tools.bundle.files import CHANNELS, DEFAULT_CHANNEL
from tools.bundle.sources import product_version

FILE: Final = "catalog/ecr-secret-operator/catalog.yaml"
CSV: Final = olm.load().csv
Documents = dict[tuple[str, str], Json]


@pytest.fixture
def documents(files: dict[str, str]) -> Documents:
    """Its documents by schema and name."""
    found = list(yaml.safe_load_all(files[FILE]))
    assert all(each.get("package", each["name"]) == "ecr-secret-operator" for each in found)
    return {(each["schema"], each["name"]): each for each in found}


def test_it_has_one_package_its_channels_and_its_bundle(documents: Documents) -> None:
    version = f"ecr-secret-operator.v{product_version(ecr_operator.__version__)}"
    assert list(documents) == [
        ("olm.package", "ecr-secret-operator"),
        *(("olm.channel", channel) for channel in CHANNELS),
        ("olm.bundle", version),
    ]
    assert documents["olm.package", "ecr-secret-operator"]["defaultChannel"] == DEFAULT_CHANNEL


def test_every_channel_leads_from_v0_6_0_to_this_version(documents: Documents) -> None:
    for channel in CHANNELS:
        (entry,) = documents["olm.channel", channel]["entries"]
        assert entry == {
            "name": CSV["metadata"]["name"],
            "replaces": CSV["spec"]["replaces"],
            "skipRange": CSV["metadata"]["annotations"]["olm.skipRange"],
        }


def test_the_bundle_has_the_properties_that_olm_resolves_by(documents: Documents) -> None:
    bundle = documents["olm.bundle", CSV["metadata"]["name"]]
    properties = [(each["type"], each["value"]) for each in bundle["properties"]]
    group = {"group": "ecr.mobb.redhat.com", "version": "v1alpha1"}
    for kind in ("Secret", "ArgoHelmRepoSecret"):
        assert ("olm.gvk", {**group, "kind": kind}) in properties
    package = {"packageName": "ecr-secret-operator", "version": CSV["spec"]["version"]}
    assert ("olm.package", package) in properties
    (shown,) = (value for name, value in properties if name == "olm.csv.metadata")
    assert shown["installModes"] == CSV["spec"]["installModes"]
    assert shown["minKubeVersion"] == CSV["spec"]["minKubeVersion"]


def test_its_images_are_the_bundles_and_those_that_it_runs(documents: Documents) -> None:
    bundle = documents["olm.bundle", CSV["metadata"]["name"]]
    assert bundle["image"] == f"quay.io/rh-mobb/ecr-secret-operator-bundle:v{CSV['spec']['version']}"
    assert bundle["relatedImages"] == [
        {"name": "", "image": bundle["image"]},
        *CSV["spec"]["relatedImages"],
    ]
