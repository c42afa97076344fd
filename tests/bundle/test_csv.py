"""The ClusterServiceVersion says what config, samples and package say, and what OLM and OperatorHub need."""

import base64
import json
import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Final

import pytest
import yaml

import ecr_operator
from lab.api import Json
from lab.rights import Right, rights_in
from tests.bundle import olm
from tests.manifests.installation import CONFIG, build
from tools.bundle.sources import pick, product_version

BUNDLE: Final = olm.load()
CSV: Final = BUNDLE.csv
STRATEGY: Final = CSV["spec"]["install"]["spec"]
VERSION: Final = product_version(ecr_operator.__version__)
ANNOTATIONS: Final = CSV["metadata"]["annotations"]
V0_6_0: Final = list(yaml.safe_load_all((olm.ROOT / "tests/manifests/v0.6.0.yaml").read_text()))


@pytest.fixture(scope="module")
def default() -> list[Json]:
    """What config/default builds."""
    return build(CONFIG / "default")


def _rights(roles: Iterable[Json]) -> set[Right]:
    return {right for role in roles for right in rights_in(role)}


def test_it_grants_what_config_rbac_grants_and_no_more(default: list[Json]) -> None:
    bindings = [each for each in default if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    account = pick(default, "ServiceAccount")["metadata"]["name"]
    assert {subject["name"] for each in bindings for subject in each["subjects"]} == {account}
    bound = [pick(default, each["roleRef"]["kind"], each["roleRef"]["name"]) for each in bindings]
    entries = [*STRATEGY["permissions"], *STRATEGY["clusterPermissions"]]
    assert _rights(entries) == _rights(bound)
    assert {each["serviceAccountName"] for each in entries} == {account}


def test_cluster_wide_is_only_what_no_namespace_can_hold() -> None:
    assert _rights(STRATEGY["clusterPermissions"]) == {
        Right("authorization.k8s.io", "subjectaccessreviews", "create"),
        Right("authentication.k8s.io", "tokenreviews", "create"),
    }


def test_roles_that_are_not_the_operators_are_manifests_of_their_own(default: list[Json]) -> None:
    bound = {each["roleRef"]["name"] for each in default if each["kind"] == "ClusterRoleBinding"}
    others = [
        each for each in default if each["kind"] == "ClusterRole" and each["metadata"]["name"] not in bound
    ]
    assert [each for each in BUNDLE.others if each["kind"] == "ClusterRole"] == others


def test_its_deployment_is_that_of_config_default_but_for_what_olm_needs(default: list[Json]) -> None:
    expected = pick(default, "Deployment")
    (found,) = deepcopy(STRATEGY["deployments"])
    assert found["name"] == expected["metadata"]["name"]
    assert found["label"] == expected["metadata"]["labels"]
    terms = found["spec"]["template"]["spec"].pop("affinity")["nodeAffinity"]
    assert _platforms(terms) == {"linux", "amd64", "arm64"} == _labelled()
    assert _without_watched(found["spec"]) == _without_watched(expected["spec"])


def _without_watched(spec: Json) -> Json:
    """Take out WATCH_NAMESPACE, and the order of the containers."""
    pod = spec["template"]["spec"]
    pod["containers"].sort(key=lambda each: str(each["name"]))
    for container in pod["containers"]:
        if "env" in container:
            container["env"] = [each for each in container["env"] if each["name"] != "WATCH_NAMESPACE"]
    return spec


def _platforms(affinity: Json) -> set[str]:
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return {value for each in term["matchExpressions"] for value in each["values"]}


def _labelled() -> set[str]:
    labels = CSV["metadata"]["labels"]
    return {name.rsplit(".", 1)[1] for name, value in labels.items() if value == "supported"}


def test_it_upgrades_v0_6_0_in_place() -> None:
    old = pick(V0_6_0, "Deployment")
    (new,) = STRATEGY["deployments"]
    assert new["name"] == old["metadata"]["name"]
    assert new["spec"]["selector"] == old["spec"]["selector"]
    accounts = [each["spec"]["template"]["spec"]["serviceAccountName"] for each in (new, old)]
    assert accounts == ["ecr-secret-operator-controller-manager"] * 2
    assert CSV["spec"]["replaces"] == "ecr-secret-operator.v0.6.0"
    assert ANNOTATIONS["olm.skipRange"] == f">=0.4.0 <{VERSION}"


def test_it_bears_the_packages_version() -> None:
    assert CSV["metadata"]["name"] == f"ecr-secret-operator.v{VERSION}"
    assert CSV["spec"]["version"] == VERSION
    image = f"quay.io/rh-mobb/ecr-secret-operator:v{VERSION}"
    assert ANNOTATIONS["containerImage"] == image
    assert olm.manager(STRATEGY["deployments"][0])["image"] == image


def test_its_related_images_are_all_that_it_runs() -> None:
    containers = STRATEGY["deployments"][0]["spec"]["template"]["spec"]["containers"]
    assert CSV["spec"]["relatedImages"] == [
        {"name": each["name"], "image": each["image"]} for each in containers
    ]
    assert {each["name"] for each in containers} == {"manager", "kube-rbac-proxy"}


def test_its_examples_are_the_samples_with_the_plainest_of_each_kind_first() -> None:
    texts = [path.read_text() for path in (olm.ROOT / "samples").glob("ecr_*.yaml")]
    manifests = [each for text in texts for each in yaml.safe_load_all(text)]
    examples = json.loads(ANNOTATIONS["alm-examples"])
    assert sorted(examples, key=str) == sorted(
        (each for each in manifests if each["apiVersion"] == "ecr.mobb.redhat.com/v1alpha1"), key=str
    )
    names = {each["kind"]: each["metadata"]["name"] for each in reversed(examples)}
    assert names == {"Secret": "ecr-secret", "ArgoHelmRepoSecret": "helm-repo", "ClusterSecret": "by-label"}
    assert examples[0]["kind"] == "Secret"


def test_its_icon_is_an_svg_that_loads_nothing() -> None:
    (icon,) = CSV["spec"]["icon"]
    assert icon["mediatype"] == "image/svg+xml"
    drawing = base64.b64decode(icon["base64data"], validate=True).decode()
    assert drawing.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert set(re.findall(r"<(\w+)", drawing)) <= {"svg", "g", "rect", "path", "circle"}
    assert "href" not in drawing


def test_a_kubernetes_older_than_1_29_is_refused() -> None:
    assert CSV["spec"]["minKubeVersion"] == "1.29.0"


def test_no_object_is_in_a_namespace_of_its_own_choice() -> None:
    assert [each for each in BUNDLE.others if "namespace" in each["metadata"]] == []


def test_the_crds_are_those_of_config() -> None:
    found = [each for each in BUNDLE.others if each["kind"] == "CustomResourceDefinition"]
    assert sorted(found, key=str) == sorted(build(CONFIG / "crd"), key=str)
