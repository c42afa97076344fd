"""What kustomize builds from each folder, without a server."""

from pathlib import Path
from typing import Any

import pytest

from lab.api import Json
from lab.rights import Right, rights_in
from tests.manifests.installation import ACCOUNT, CONFIG, EVERYTHING, NAMESPACE, build
from tools.bundle.sources import pick

PLAIN = Path(__file__).parent / "plain"
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
DEFAULT, NAMESPACED, TEAMS = CONFIG / "default", CONFIG / "namespaced", CONFIG / "namespaced" / "example"


def _folders() -> list[Path]:
    """Return every folder that can be built by itself."""
    files = CONFIG.rglob("kustomization.yaml")
    return sorted(file.parent for file in files if "kind: Component" not in file.read_text())


def _container(objects: list[Json], name: str = "manager") -> Json:
    containers = pick(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    found: Json = next(each for each in containers if each["name"] == name)
    return found


def _env(container: Json) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom", "")) for each in container["env"]}


@pytest.mark.parametrize("folder", _folders(), ids=lambda folder: str(folder.relative_to(CONFIG)))
def test_each_folder_builds(folder: Path) -> None:
    assert build(folder)


def test_every_object_has_the_namespace_prefix_and_label() -> None:
    for manifest in build(EVERYTHING):
        metadata = manifest["metadata"]
        assert metadata.get("namespace", NAMESPACE) == NAMESPACE
        if manifest["kind"] != "CustomResourceDefinition":
            assert metadata["name"].startswith("ecr-secret-operator"), manifest["kind"]
            assert metadata["labels"]["app.kubernetes.io/name"] == "ecr-secret-operator", metadata["name"]


@pytest.mark.parametrize("folder", [NAMESPACED, TEAMS], ids=["one namespace", "two namespaces"])
def test_the_namespaced_variant_has_nothing_cluster_wide(folder: Path) -> None:
    assert not {each["kind"] for each in build(folder)} & CLUSTER_WIDE


def _serves_clusters(right: Right) -> bool:
    """Whether a right is for ClusterSecrets, which belong to no namespace."""
    lists_namespaces = right.resource == "namespaces" and right.verb in {"list", "watch"}
    return lists_namespaces or right.resource.startswith("clustersecrets")


def test_the_rights_in_a_watched_namespace_are_those_of_the_cluster_role_but_for_clustersecrets() -> None:
    everywhere = pick(build(DEFAULT), "ClusterRole", f"{NAMESPACE}-manager-role")
    watched = build(NAMESPACED / "watched")
    of_clusters = {right for right in rights_in(everywhere) if _serves_clusters(right)}
    assert {right.resource for right in of_clusters} == {
        "clustersecrets",
        "clustersecrets/status",
        "namespaces",
    }
    assert rights_in(pick(watched, "Role")) == rights_in(everywhere) - of_clusters
    (subject,) = pick(watched, "RoleBinding")["subjects"]
    assert (subject["namespace"], subject["name"]) == (NAMESPACE, ACCOUNT)


def test_the_namespaced_variant_watches_where_it_has_rights() -> None:
    own = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert _env(_container(build(NAMESPACED)))["WATCH_NAMESPACE"] == own
    objects = build(TEAMS)
    bound = [
        each["metadata"]["namespace"]
        for kind in ("Role", "RoleBinding")
        for each in objects
        if each["kind"] == kind and each["metadata"]["name"].startswith(f"{NAMESPACE}-manager-")
    ]
    assert bound == ["team-a", "team-b"] * 2
    assert _env(_container(objects))["WATCH_NAMESPACE"] == "team-a,team-b"


@pytest.mark.parametrize(
    "folder", [DEFAULT, NAMESPACED, EVERYTHING], ids=["default", "namespaced", "everything"]
)
def test_each_container_is_restricted(folder: Path) -> None:
    pod = pick(build(folder), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        assert not container["image"].endswith(":latest")


def test_metrics_are_served_behind_the_proxy() -> None:
    objects = build(DEFAULT)
    assert "--metrics-bind-address=127.0.0.1:8080" in _container(objects)["args"]
    proxy = _container(objects, "kube-rbac-proxy")
    assert proxy["image"].startswith("quay.io/brancz/kube-rbac-proxy:v0.21.0@sha256:")
    assert [port["containerPort"] for port in proxy["ports"]] == [8443]
    (port,) = pick(objects, "Service")["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("https", 8443, "https")


def test_a_component_removes_the_proxy() -> None:
    objects = build(PLAIN)
    names = {each["metadata"]["name"] for each in objects}
    assert not {name for name in names if "proxy" in name or "metrics-reader" in name}
    (manager,) = pick(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert manager["args"] == [
        "--health-probe-bind-address=:8081",
        "--metrics-bind-address=:8080",
        "--leader-elect",
    ]
    (port,) = pick(objects, "Service")["spec"]["ports"]
    ports = {each["name"]: each["containerPort"] for each in manager["ports"]}
    assert ports[port["targetPort"]] == port["port"] == 8080


def test_two_replicas_are_spread_and_never_block_a_drain() -> None:
    objects = build(EVERYTHING)
    spec = pick(objects, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert "--leader-elect" in _container(objects)["args"]
    topologies = [each["topologyKey"] for each in spec["template"]["spec"]["topologySpreadConstraints"]]
    assert topologies == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    budget = pick(objects, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    labels = spec["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    ("folder", "types", "metrics"),
    [
        (EVERYTHING, ["Ingress", "Egress"], 8443),
        (PLAIN, ["Ingress"], 8080),
        (NAMESPACED, ["Ingress"], 8080),
        (TEAMS, ["Ingress"], 8080),
    ],
    ids=["everything", "plain", "namespaced", "two namespaces"],
)
def test_the_network_policy_admits_probes_and_metrics_from_labelled_namespaces(
    folder: Path, types: list[str], metrics: int
) -> None:
    objects = build(folder)
    policy = pick(objects, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == types
    labels = pick(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    sources = {rule["ports"][0]["port"]: rule.get("from") for rule in policy["ingress"]}
    assert sources.keys() == {8081, metrics}
    assert sources[8081] is None
    assert sources[metrics][0] == {"namespaceSelector": {"matchLabels": {"metrics": "enabled"}}}


def _aggregated(folder: Path) -> dict[str, set[str]]:
    """Return the default roles that each role is aggregated to."""
    return {
        each["metadata"]["name"].removeprefix(f"{NAMESPACE}-"): found
        for each in build(folder)
        if each["kind"] == "ClusterRole"
        and (found := {key.partition("aggregate-to-")[2] for key in each["metadata"]["labels"]} - {""})
    }


def test_only_a_component_adds_rights_to_the_default_roles_and_none_on_clustersecrets() -> None:
    assert _aggregated(DEFAULT) == {}
    assert _aggregated(EVERYTHING) == {
        "secret-viewer-role": {"view"},
        "secret-editor-role": {"edit", "admin"},
        "argohelmreposecret-viewer-role": {"view"},
        "argohelmreposecret-editor-role": {"edit", "admin"},
    }


@pytest.mark.parametrize("kind", ["secret", "argohelmreposecret", "clustersecret"])
def test_viewers_can_read_and_editors_can_change_resources(kind: str) -> None:
    reads, changes = {"get", "list", "watch"}, {"create", "delete", "patch", "update"}
    for role, verbs in (("viewer", reads), ("editor", reads | changes)):
        rules = pick(build(DEFAULT), "ClusterRole", f"{NAMESPACE}-{kind}-{role}-role")["rules"]
        assert rules[0]["resources"] == [f"{kind}s"]
        assert set(rules[0]["verbs"]) == verbs
