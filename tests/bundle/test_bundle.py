"""The bundle and its catalog agree with config, samples and models, and contain what OLM needs."""

import json
import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import ecr_operator
from ecr_operator.api.kinds import API_VERSION, GROUP, KINDS, VERSION
from ecr_operator.api.parsing import parse_resource
from lab.api import Json
from lab.rights import Right, rights_in
from tests.cluster.builders import argo_secret, ecr_secret
from tests.manifests.installation import CONFIG, build, pick
from tools import ROOT
from tools.bundle.csv import OPTIONS
from tools.bundle.files import CHANNELS, DEFAULT_CHANNEL, render, stale, write
from tools.bundle.sources import PACKAGE, product_version, read, release_date

CSV_FILE: Final = "bundle/manifests/ecr-secret-operator.clusterserviceversion.yaml"
SOURCES: Final = read()
FILES: Final = render(SOURCES)
MANIFESTS: Final = [
    yaml.safe_load(text) for name, text in FILES.items() if name.startswith("bundle/manifests")
]
CSV: Final = pick(MANIFESTS, "ClusterServiceVersion")
ANNOTATIONS: Final = CSV["metadata"]["annotations"]
STRATEGY: Final = CSV["spec"]["install"]["spec"]
PRODUCT_VERSION: Final = product_version(ecr_operator.__version__)
IMAGE: Final = f"quay.io/rh-mobb/ecr-secret-operator:v{PRODUCT_VERSION}"
DEFAULT: Final = build(CONFIG / "default")
V0_6_0: Final = list(yaml.safe_load_all((ROOT / "tests/manifests/v0.6.0.yaml").read_text()))


def containers(csv: Json) -> dict[str, Json]:
    """Return the containers of a ClusterServiceVersion by their names."""
    (deployment,) = csv["spec"]["install"]["spec"]["deployments"]
    return {each["name"]: each for each in deployment["spec"]["template"]["spec"]["containers"]}


def made(**changes: Any) -> Json:
    """Return the ClusterServiceVersion of changed sources."""
    csv: Json = yaml.safe_load(render(replace(SOURCES, **changes))[CSV_FILE])
    return csv


def test_the_committed_files_are_up_to_date() -> None:
    assert stale(FILES) == [], "run make bundle"


def test_a_file_that_differs_is_missing_or_left_over_is_stale(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    (tmp_path / CSV_FILE).write_text("edited")
    (tmp_path / "bundle.Dockerfile").unlink()
    (tmp_path / "bundle/manifests/old.yaml").write_text("left")
    assert stale(FILES, tmp_path) == ["bundle.Dockerfile", CSV_FILE, "bundle/manifests/old.yaml"]
    write(FILES, tmp_path)
    assert stale(FILES, tmp_path) == []


def test_a_given_image_is_used_everywhere() -> None:
    image = "registry.example.com/ecr@sha256:" + "0" * 64
    csv = made(image=image)
    images = {each["name"]: each["image"] for each in csv["spec"]["relatedImages"]}
    assert images == {name: each["image"] for name, each in containers(csv).items()}
    assert csv["metadata"]["annotations"]["containerImage"] == images["manager"] == image
    assert images["kube-rbac-proxy"].startswith("quay.io/brancz/kube-rbac-proxy:")


def test_only_a_release_has_a_date() -> None:
    assert made(released="2027-01-31")["metadata"]["annotations"]["createdAt"] == "2027-01-31T00:00:00Z"
    assert "createdAt" not in made(released=None)["metadata"]["annotations"]
    assert release_date("## [1.0.0] - 2027-01-31\n", "1.0.0") == "2027-01-31"
    for other in ("## [Unreleased]\n\n## [0.6.0] - 2024-01-01\n", "## [1.0.01] - 2027-01-31\n"):
        assert release_date(other, "1.0.0") is None


def test_the_version_is_the_release_of_the_package() -> None:
    for version in ("1.0.0", "1.0.0.dev0", "1.0.0rc1", "1.0.0+local"):
        assert product_version(version) == "1.0.0"
    with pytest.raises(ValueError, match="form"):
        product_version("1.0")
    assert CSV["metadata"]["name"] == f"{PACKAGE}.v{PRODUCT_VERSION}"
    assert CSV["spec"]["version"] == PRODUCT_VERSION
    assert containers(CSV)["manager"]["image"] == ANNOTATIONS["containerImage"] == IMAGE


TO_A_GROUP: Final = {"roleRef": {}, "subjects": [{"kind": "Group", "name": "system:authenticated"}]}


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("Secret", {}, "does not install Secret one"),
        ("NetworkPolicy", {}, "does not install NetworkPolicy one"),
        ("ClusterRoleBinding", TO_A_GROUP, "binds to others"),
    ],
    ids=["a Secret", "a kind that OLM ignores", "a binding to others"],
)
def test_an_object_that_olm_would_not_install_as_it_is_is_refused(
    kind: str, fields: Json, message: str
) -> None:
    manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "one"}, **fields}
    with pytest.raises(ValueError, match=message):
        made(objects=(*SOURCES.objects, manifest))


def _rights(roles: Iterable[Json]) -> set[Right]:
    return {right for role in roles for right in rights_in(role)}


def test_it_grants_the_rights_of_config_rbac_and_cluster_wide_only_reviews() -> None:
    bindings = [each for each in DEFAULT if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    bound = [pick(DEFAULT, each["roleRef"]["kind"], each["roleRef"]["name"]) for each in bindings]
    entries = [*STRATEGY["permissions"], *STRATEGY["clusterPermissions"]]
    assert _rights(entries) == _rights(bound)
    account = pick(DEFAULT, "ServiceAccount")["metadata"]["name"]
    assert {each["serviceAccountName"] for each in entries} == {account}
    assert _rights(STRATEGY["clusterPermissions"]) == {
        Right("authorization.k8s.io", "subjectaccessreviews", "create"),
        Right("authentication.k8s.io", "tokenreviews", "create"),
    }


def test_its_other_manifests_are_those_of_config_without_a_namespace() -> None:
    bound = {each["roleRef"]["name"] for each in DEFAULT if each["kind"] == "ClusterRoleBinding"}
    for kind in ("ClusterRole", "CustomResourceDefinition"):
        expected = [e for e in DEFAULT if e["kind"] == kind and e["metadata"]["name"] not in bound]
        found = [each for each in MANIFESTS if each["kind"] == kind]
        assert sorted(found, key=str) == sorted(expected, key=str)
    assert [each for each in MANIFESTS if each is not CSV and "namespace" in each["metadata"]] == []


def test_its_deployment_is_that_of_config_except_for_affinity_and_watch_namespace() -> None:
    expected = pick(DEFAULT, "Deployment")
    (found,) = deepcopy(STRATEGY["deployments"])
    assert (found["name"], found["label"]) == (expected["metadata"]["name"], expected["metadata"]["labels"])
    affinity = found["spec"]["template"]["spec"].pop("affinity")["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    platforms = {value for each in term["matchExpressions"] for value in each["values"]}
    labelled = {name.rsplit(".", 1)[1] for name, it in CSV["metadata"]["labels"].items() if it == "supported"}
    assert platforms == labelled == {"linux", "amd64", "arm64"}
    assert _without_watched(found["spec"]) == _without_watched(expected["spec"])


def _without_watched(spec: Json) -> Json:
    """Remove WATCH_NAMESPACE and the order of the containers."""
    spec = deepcopy(spec)
    spec["template"]["spec"]["containers"].sort(key=lambda each: str(each["name"]))
    for container in spec["template"]["spec"]["containers"]:
        variables = container.get("env", [])
        container["env"] = [each for each in variables if each["name"] != "WATCH_NAMESPACE"]
    return spec


def test_it_upgrades_v0_6_0_in_place() -> None:
    old, (new,) = pick(V0_6_0, "Deployment"), STRATEGY["deployments"]
    assert new["name"] == old["metadata"]["name"]
    assert new["spec"]["selector"] == old["spec"]["selector"]
    accounts = {each["spec"]["template"]["spec"]["serviceAccountName"] for each in (new, old)}
    assert accounts == {"ecr-secret-operator-controller-manager"}
    assert CSV["spec"]["replaces"] == "ecr-secret-operator.v0.6.0"
    assert ANNOTATIONS["olm.skipRange"] == f">=0.4.0 <{PRODUCT_VERSION}"


def test_it_watches_the_target_namespaces_of_its_operator_group() -> None:
    variables = {each["name"]: each for each in containers(CSV)["manager"]["env"]}
    source = {"fieldRef": {"fieldPath": "metadata.annotations['olm.targetNamespaces']"}}
    assert variables["WATCH_NAMESPACE"]["valueFrom"] == source


def test_it_supports_all_install_modes_from_kubernetes_1_29() -> None:
    modes = {each["type"]: each["supported"] for each in CSV["spec"]["installModes"]}
    names = ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
    assert modes == dict.fromkeys(names, True)
    assert CSV["spec"]["minKubeVersion"] == "1.29.0"


def test_its_examples_are_the_samples_with_the_plainest_of_each_kind_first() -> None:
    texts = [path.read_text() for path in (ROOT / "samples").glob("ecr_*.yaml")]
    samples = [each for text in texts for each in yaml.safe_load_all(text)]
    samples = [each for each in samples if each["apiVersion"] == API_VERSION]
    examples = json.loads(ANNOTATIONS["alm-examples"])
    assert sorted(examples, key=str) == sorted(samples, key=str)
    first = {each["kind"]: each["metadata"]["name"] for each in reversed(examples)}
    assert first == {"Secret": "ecr-secret", "ArgoHelmRepoSecret": "helm-repo"}
    assert examples[0]["kind"] == "Secret"


of_each_kind = pytest.mark.parametrize("kind", KINDS)
OWNED: Final = {each["kind"]: each for each in CSV["spec"]["customresourcedefinitions"]["owned"]}
UI: Final = "urn:alm:descriptor:com.tectonic.ui:"
K8S: Final = "urn:alm:descriptor:io.kubernetes"


def schema_of(kind: str) -> Json:
    """Return the schemas of spec and status in the CRD."""
    crds = (each for each in MANIFESTS if each["kind"] == "CustomResourceDefinition")
    (crd,) = (each for each in crds if each["spec"]["names"]["kind"] == kind)
    schema: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return schema


def field_schema(properties: Json, path: str) -> Json:
    """Return the schema of a field; `[0]` in its path is any item of a list."""
    first, _, rest = path.partition(".")
    found: Json = properties[first.removesuffix("[0]")]
    found = found["items"] if first.endswith("[0]") else found
    return field_schema(found["properties"], rest) if rest else found


def widgets_of(kind: str) -> dict[str, list[str]]:
    """Return the widgets of the console's form by the fields' paths, in its order."""
    return {each["path"]: each.get("x-descriptors", []) for each in OWNED[kind]["specDescriptors"]}


@of_each_kind
def test_the_form_has_every_field_with_its_own_name_and_the_text_of_the_model(kind: str) -> None:
    properties = schema_of(kind)["spec"]["properties"]
    described = {each["path"]: each for each in OWNED[kind]["specDescriptors"]}
    assert set(properties) == {path for path in described if "." not in path}
    for path, each in described.items():
        assert each["description"] == field_schema(properties, path)["description"]
        assert each["displayName"][0].isupper()
        assert "_" not in each["displayName"]
    names = [each["displayName"] for path, each in described.items() if "." not in path]
    assert len(set(names)) == len(names)


@of_each_kind
def test_the_form_has_the_widget_of_each_type(kind: str) -> None:
    properties, widgets = schema_of(kind)["spec"]["properties"], widgets_of(kind)
    for path, each in widgets.items():
        own = [widget for widget in each if widget != f"{UI}advanced"]
        expected = {"string": "text", "boolean": "booleanSwitch"}.get(field_schema(properties, path)["type"])
        if not own or not own[0].startswith((f"{UI}select:", K8S)):
            assert own == ([f"{UI}{expected}"] if expected else [])
    assert widgets["generated_secret_name"] == [f"{UI}text"]
    assert widgets["aws_iam_secret.name"] == [f"{K8S}:Secret"]
    assert widgets["service_account.name"] == [f"{K8S}:ServiceAccount"]


@of_each_kind
def test_the_form_begins_with_required_fields_and_folds_away_rare_ones(kind: str) -> None:
    widgets = widgets_of(kind)
    plain = [path for path, each in widgets.items() if "." not in path and f"{UI}advanced" not in each]
    assert plain == [*schema_of(kind)["spec"]["required"], "region", "frequency"]
    assert list(widgets)[: len(plain)] == plain


@pytest.mark.parametrize(
    ("path", "option"), [(path, option) for path, options in OPTIONS.items() for option in options]
)
def test_every_option_of_the_form_is_valid(path: str, option: str) -> None:
    for kind, builder in (("Secret", ecr_secret), ("ArgoHelmRepoSecret", argo_secret)):
        if path in widgets_of(kind):
            assert f"{UI}select:{option}" in widgets_of(kind)[path]
            resource = builder(**{path: option})
            resource["metadata"] |= {"namespace": "default", "uid": "1", "resourceVersion": "1"}
            assert parse_resource(kind, resource).problem is None


@of_each_kind
def test_the_console_shows_every_field_of_the_status_and_the_secret(kind: str) -> None:
    described = {each["path"]: each for each in OWNED[kind]["statusDescriptors"]}
    assert set(described) == set(schema_of(kind)["status"]["properties"])
    shown = {path: described[path]["x-descriptors"] for path in ("phase", "conditions", "secretName")}
    assert shown == {
        "phase": [f"{K8S}.phase"],
        "conditions": [f"{K8S}.conditions"],
        "secretName": [f"{K8S}:Secret"],
    }
    assert {"kind": "Secret", "name": "", "version": "v1"} in OWNED[kind]["resources"]
    assert OWNED[kind]["displayName"] != kind


def test_the_catalog_upgrades_v0_6_0_in_every_channel_to_this_bundle() -> None:
    documents = list(yaml.safe_load_all(FILES["catalog/ecr-secret-operator/catalog.yaml"]))
    package, *channels, bundle = documents
    assert (package["schema"], package["name"]) == ("olm.package", PACKAGE)
    assert package["defaultChannel"] == DEFAULT_CHANNEL
    assert [(each["schema"], each["name"]) for each in channels] == [("olm.channel", it) for it in CHANNELS]
    entry = {
        "name": CSV["metadata"]["name"],
        "replaces": CSV["spec"]["replaces"],
        "skipRange": ANNOTATIONS["olm.skipRange"],
    }
    assert all(each["entries"] == [entry] for each in channels)
    assert (bundle["schema"], bundle["name"]) == ("olm.bundle", CSV["metadata"]["name"])
    image = f"quay.io/rh-mobb/ecr-secret-operator-bundle:v{PRODUCT_VERSION}"
    assert bundle["image"] == image
    assert bundle["relatedImages"] == [{"name": "", "image": image}, *CSV["spec"]["relatedImages"]]
    properties = {(each["type"], each["value"].get("kind")): each["value"] for each in bundle["properties"]}
    for kind in KINDS:
        assert properties["olm.gvk", kind] == {"group": GROUP, "version": VERSION, "kind": kind}
    assert properties["olm.package", None] == {"packageName": PACKAGE, "version": PRODUCT_VERSION}
    assert properties["olm.csv.metadata", None]["installModes"] == CSV["spec"]["installModes"]


def test_the_guide_installs_this_package_from_its_catalog_in_the_suggested_namespace() -> None:
    text = (ROOT / "docs/install-olm.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    objects = {each["kind"]: each for block in blocks for each in yaml.safe_load_all(block) if "kind" in each}
    subscription, extension = objects["Subscription"]["spec"], objects["ClusterExtension"]["spec"]
    catalog, source = extension["source"]["catalog"], objects["CatalogSource"]["metadata"]
    assert subscription["name"] == catalog["packageName"] == PACKAGE
    assert {subscription["channel"], *catalog["channels"]} <= set(CHANNELS)
    assert (subscription["source"], subscription["sourceNamespace"]) == (source["name"], source["namespace"])
    places = {objects[kind]["metadata"]["namespace"] for kind in ("OperatorGroup", "Subscription")}
    places |= {objects["Namespace"]["metadata"]["name"], extension["namespace"]}
    assert places == {ANNOTATIONS["operatorframework.io/suggested-namespace"]}
    tags = re.findall(r"quay\.io/rh-mobb/ecr-secret-operator(?:-bundle|-catalog):(\S+)", text)
    assert tags == [f"v{PRODUCT_VERSION}"] * 3
    assert all((ROOT / it / "kustomization.yaml").is_file() for it in re.findall(r"config/[\w/-]+", text))
