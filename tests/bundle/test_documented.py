"""docs/install-olm.md names what the bundle and the catalog are, and what the repository has."""

import re
from typing import Final

import pytest
import yaml

import ecr_operator
from lab.api import Json
from tests.bundle import olm
from tools.bundle.files import CHANNELS
from tools.bundle.sources import PACKAGE, product_version

TEXT: Final = (olm.ROOT / "docs/install-olm.md").read_text()
BLOCKS: Final = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
OBJECTS: Final = {
    each["kind"]: each for block in BLOCKS for each in yaml.safe_load_all(block) if "kind" in each
}
ANNOTATIONS: Final = olm.load().csv["metadata"]["annotations"]


def _spec(kind: str) -> Json:
    found: Json = OBJECTS[kind]["spec"]
    return found


def test_the_subscription_and_the_extension_name_the_package_and_a_channel_of_it() -> None:
    catalog = _spec("ClusterExtension")["source"]["catalog"]
    assert _spec("Subscription")["name"] == catalog["packageName"] == PACKAGE
    assert {_spec("Subscription")["channel"], *catalog["channels"]} <= set(CHANNELS)


def test_the_subscription_takes_it_from_the_catalog_source() -> None:
    metadata = OBJECTS["CatalogSource"]["metadata"]
    spec = _spec("Subscription")
    assert (spec["source"], spec["sourceNamespace"]) == (metadata["name"], metadata["namespace"])


def test_all_is_in_the_namespace_that_the_bundle_suggests() -> None:
    namespace = ANNOTATIONS["operatorframework.io/suggested-namespace"]
    assert OBJECTS["Namespace"]["metadata"]["name"] == namespace
    for kind in ("OperatorGroup", "Subscription"):
        assert OBJECTS[kind]["metadata"]["namespace"] == namespace
    assert _spec("ClusterExtension")["namespace"] == namespace


def test_the_images_are_of_this_version() -> None:
    version = product_version(ecr_operator.__version__)
    tags = re.findall(r"quay\.io/rh-mobb/ecr-secret-operator(?:-bundle|-catalog):(\S+)", TEXT)
    assert set(tags) == {f"v{version}"}
    assert len(tags) == 3


@pytest.mark.parametrize("folder", sorted(set(re.findall(r"config/[\w/-]+", TEXT))))
def test_every_folder_that_it_applies_is_there(folder: str) -> None:
    assert (olm.ROOT / folder / "kustomization.yaml").is_file()
