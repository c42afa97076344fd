"""The bundle is made from its sources alone; `make check` makes it once more and compares."""

from dataclasses import replace
from typing import Final

import pytest
import yaml

from lab.api import Json
from tests.bundle import olm
from tools.bundle.files import annotations, render
from tools.bundle.sources import Sources, product_version, release_date

CSV_FILE: Final = "bundle/manifests/ecr-secret-operator.clusterserviceversion.yaml"
MONITOR: Final = {"apiVersion": "v1", "metadata": {"name": "one"}}


def _csv(files: dict[str, str]) -> Json:
    found: Json = yaml.safe_load(files[CSV_FILE])
    return found


def test_an_image_that_is_given_is_named_everywhere(sources: Sources) -> None:
    image = "registry.example.com/ecr@sha256:" + "0" * 64
    csv = _csv(render(replace(sources, image=image)))
    (deployment,) = csv["spec"]["install"]["spec"]["deployments"]
    images = {each["name"]: each["image"] for each in csv["spec"]["relatedImages"]}
    assert olm.manager(deployment)["image"] == images["manager"] == image
    assert csv["metadata"]["annotations"]["containerImage"] == image
    assert images["kube-rbac-proxy"].startswith("quay.io/brancz/kube-rbac-proxy:")


def test_a_release_bears_the_date_of_the_changelog_and_no_other_time(sources: Sources) -> None:
    made = _csv(render(replace(sources, released="2027-01-31")))
    assert made["metadata"]["annotations"]["createdAt"] == "2027-01-31T00:00:00Z"
    made = _csv(render(replace(sources, released=None)))
    assert "createdAt" not in made["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## [1.0.0] - 2027-01-31\n", "2027-01-31"),
        ("## [Unreleased]\n\n## [0.6.0] - 2024-01-01\n", None),
        ("## [1.0.01] - 2027-01-31\n", None),
    ],
    ids=["released", "not yet", "another version"],
)
def test_the_date_is_that_of_the_versions_heading(text: str, expected: str | None) -> None:
    assert release_date(text, "1.0.0") == expected


@pytest.mark.parametrize("version", ["1.0.0", "1.0.0.dev0", "1.0.0rc1", "1.0.0+local"])
def test_the_products_version_is_the_release_that_the_packages_leads_to(version: str) -> None:
    assert product_version(version) == "1.0.0"


def test_a_version_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="form"):
        product_version("1.0")


@pytest.mark.parametrize("kind", ["Secret", "NetworkPolicy", "ValidatingAdmissionPolicy"])
def test_what_olm_does_not_install_or_mistakes_is_refused(sources: Sources, kind: str) -> None:
    with pytest.raises(ValueError, match=f"does not install {kind} one"):
        render(replace(sources, objects=(*sources.objects, {**MONITOR, "kind": kind})))


def test_a_binding_to_somebody_else_is_refused(sources: Sources) -> None:
    subject = {"kind": "Group", "name": "system:authenticated"}
    binding = {**MONITOR, "kind": "ClusterRoleBinding", "roleRef": {}, "subjects": [subject]}
    with pytest.raises(ValueError, match="binds to others"):
        render(replace(sources, objects=(*sources.objects, binding)))


def test_the_image_says_the_same_of_itself_as_the_metadata(files: dict[str, str]) -> None:
    said = yaml.safe_load(files["bundle/metadata/annotations.yaml"])["annotations"]
    labels = (
        line.removeprefix("LABEL ") for line in files["bundle.Dockerfile"].splitlines() if "LABEL" in line
    )
    assert dict(label.split("=", 1) for label in labels) == said == annotations()
    assert said["com.redhat.openshift.versions"] == "v4.16"
    assert said["operators.operatorframework.io.bundle.channels.v1"] == "alpha,stable"


def test_all_that_the_image_copies_is_there(files: dict[str, str]) -> None:
    copies = [line.split()[1] for line in files["bundle.Dockerfile"].splitlines() if line.startswith("COPY")]
    assert copies == ["bundle/manifests/", "bundle/metadata/", "bundle/tests/scorecard/"]
    assert all(any(path.startswith(copied) for path in files) for copied in copies)
