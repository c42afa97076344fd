"""The samples: one for each field and way to select namespaces, to be applied together in any namespace."""

from pathlib import Path

import pytest
import yaml

from ecr_operator.api.kinds import CLUSTER, KINDS, SPECS, Namespaces
from lab.api import Json

FOLDER = Path(__file__).parents[1] / "samples"
GROUP = "ecr.mobb.redhat.com"
OF_V060 = {FOLDER / "ecr_v1alpha1_secret.yaml", FOLDER / "ecr_v1alpha1_argohelmreposecret.yaml"}
BUILD = yaml.safe_load((FOLDER / "build-config.yaml").read_text())
FILES = sorted(FOLDER.glob("ecr_*.yaml"))
V0_6_0_FIELDS = {"generated_secret_name", "ecr_registry", "url", "frequency", "region"}
PUBLIC = "ecr_v1alpha1_secret_public.yaml"


def manifests(sample: Path) -> list[Json]:
    """Return the manifests of a sample."""
    return list(yaml.safe_load_all(sample.read_text()))


def resource(sample: Path) -> Json:
    """Return the one resource of the operator in a sample."""
    (found,) = (each for each in manifests(sample) if each["apiVersion"].startswith(GROUP))
    return found


def test_there_is_a_sample_of_each_field() -> None:
    shown = {field for sample in FILES for field in resource(sample)["spec"]}
    assert shown == {field for kind in KINDS for field in SPECS[kind].model_fields}


def test_there_is_a_sample_of_each_way_to_select_namespaces_and_the_first_serves_none_by_itself() -> None:
    found = [spec for sample in FILES if (spec := resource(sample)["spec"].get("namespaces"))]
    assert {field for each in found for field in each} == set(Namespaces.model_fields)
    assert {} in [each.get("selector") for each in found]
    first = next(each for each in map(resource, FILES) if each["kind"] == CLUSTER)
    assert first["spec"]["namespaces"].keys() == {"selector"}
    assert first["spec"]["namespaces"]["selector"]


def test_all_can_be_applied_together() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert listed == [sample.name for sample in FILES]
    found = list(map(resource, FILES))
    assert len({(each["kind"], each["metadata"]["name"]) for each in found}) == len(found)
    # A ClusterSecret's Secrets are in the same namespaces as those of the others.
    assert len({each["spec"]["generated_secret_name"] for each in found}) == len(found)


@pytest.mark.parametrize("sample", FILES, ids=lambda sample: sample.name)
def test_a_sample_has_no_namespace_and_a_placeholder_for_the_account(sample: Path) -> None:
    assert not any("namespace" in each["metadata"] for each in manifests(sample))
    spec = resource(sample)["spec"]
    assert "ACCOUNT_ID" in (spec.get("ecr_registry") or spec["url"]) or sample.name == PUBLIC


@pytest.mark.parametrize("sample", sorted(OF_V060), ids=lambda sample: sample.name)
def test_the_samples_of_v0_6_0_have_its_fields_only(sample: Path) -> None:
    assert set(resource(sample)["spec"]) <= V0_6_0_FIELDS


def test_the_build_pulls_and_pushes_with_the_generated_secret() -> None:
    spec = BUILD["spec"]
    named = {spec["output"]["pushSecret"]["name"], spec["strategy"]["sourceStrategy"]["pullSecret"]["name"]}
    secret = resource(FOLDER / "ecr_v1alpha1_secret.yaml")["spec"]
    assert named == {secret["generated_secret_name"]}
    assert spec["output"]["to"]["name"].startswith(f"{secret['ecr_registry']}/")
