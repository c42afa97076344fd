"""The chart renders what kustomize builds, by Helm 3 and 4, and refuses values that it does not know."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ecr_operator.settings import parse_settings
from lab import programs
from lab.api import Json
from lab.rights import rights_in
from tests.manifests.installation import CONFIG, NAMESPACE, build
from tests.programs.chart import CHART, Key, indexed, lint, render
from tests.programs.client import ProgramFailed, run_program
from tests.programs.conftest import Program
from tools.bundle.sources import pick

ENABLED: Final = {"enabled": True}
WITHOUT_POLICY: Final = {"enabled": True, "policy": False}
PLAIN: Final = {"proxy": {"enabled": False}}
MONITORED: Final = {"serviceMonitor": ENABLED, "alerts": ENABLED}
EVERYTHING: Final[Json] = {
    "replicas": 2,
    "serviceAccountTokens": ENABLED,
    "serviceAccountLinks": ENABLED,
    "secretWritesPolicy": True,
    "aggregateRoles": True,
    "metrics": MONITORED,
    "networkPolicy": ENABLED,
}
# Values, and the folders of config that build the same; components are known by their place.
SAME: Final[dict[str, tuple[Json, tuple[str, ...]]]] = {
    "the defaults": ({}, ("default",)),
    "two replicas": ({"replicas": 2}, ("default", "components/high-availability")),
    "roles aggregated": ({"aggregateRoles": True}, ("default", "components/aggregate-roles")),
    "plain metrics": ({"metrics": PLAIN}, ("default", "components/plain-metrics")),
    "a network policy": ({"networkPolicy": ENABLED}, ("default", "components/network-policy")),
    "monitored": ({"metrics": MONITORED}, ("default", "prometheus")),
    "plain metrics, monitored": (
        {"metrics": PLAIN | MONITORED},
        ("default", "prometheus", "components/plain-metrics"),
    ),
    "tokens": ({"serviceAccountTokens": ENABLED}, ("default", "rbac/service-account")),
    "tokens without a policy": (
        {"serviceAccountTokens": WITHOUT_POLICY},
        ("default", "rbac/service-account/rules"),
    ),
    "links": ({"serviceAccountLinks": ENABLED}, ("default", "rbac/link-service-accounts")),
    "links without a policy": (
        {"serviceAccountLinks": WITHOUT_POLICY},
        ("default", "rbac/link-service-accounts/rules"),
    ),
    "only own Secrets": ({"secretWritesPolicy": True}, ("default", "policies/secret-writes")),
    "everything": (
        EVERYTHING,
        (
            "default",
            "rbac/service-account",
            "rbac/link-service-accounts",
            "policies/secret-writes",
            "prometheus",
            "components/high-availability",
            "components/aggregate-roles",
            "components/network-policy",
        ),
    ),
    "two namespaces": ({"namespaces": ["team-a", "team-b"]}, ("crd", "namespaced/example")),
}

# Values, and the flags that set the same.
FLAGS: Final[dict[str, tuple[Any, str]]] = {
    "resourceMetrics": (False, "--resource-metrics=false"),
    "permittedRoles": (
        ["arn:aws:iam::123456789012:role/ecr-*", "arn:aws:iam::210987654321:role/*"],
        "--permitted-roles=arn:aws:iam::123456789012:role/ecr-*,arn:aws:iam::210987654321:role/*",
    ),
    "externalId": ("my-cluster", "--external-id=my-cluster"),
    "sessionTags": (True, "--session-tags"),
    "ambientCredentials": ("team=platform", "--ambient-credentials=team=platform"),
    "allowedRegistryHosts": (
        ["*.amazonaws.com", "public.ecr.aws"],
        "--allowed-registry-hosts=*.amazonaws.com,public.ecr.aws",
    ),
    "zapLogLevel": ("debug", "--zap-log-level=debug"),
    "zapEncoder": ("console", "--zap-encoder=console"),
    "zapDevel": (True, "--zap-devel"),
}


@pytest.fixture(params=[programs.HELM_3, programs.HELM])
def helm(request: pytest.FixtureRequest, program: Program) -> Path:
    """Helm 3, then Helm 4."""
    return program(request.param)


@pytest.fixture
def helm_4(program: Program) -> Path:
    """Helm 4, where both versions do the same."""
    return program(programs.HELM)


def built(folder: Path, names: tuple[str, ...]) -> dict[Key, Json]:
    """Return what kustomize builds from folders of config, without the Namespace, which is Helm's."""
    paths = [os.path.relpath(CONFIG / name, folder.resolve()) for name in names]
    content = {
        "resources": [path for path in paths if "/components/" not in path],
        "components": [path for path in paths if "/components/" in path],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return indexed(each for each in build(folder) if each["kind"] != "Namespace")


def container(objects: list[Json], name: str = "manager") -> Json:
    """Return a container of the Deployment."""
    containers = pick(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return next(dict(each) for each in containers if each["name"] == name)


@pytest.mark.parametrize("name", SAME)
def test_the_chart_renders_what_kustomize_builds(name: str, helm: Path, tmp_path: Path) -> None:
    values, folders = SAME[name]
    rendered = indexed(render(helm, values))
    for (kind, _, crd), manifest in rendered.items():
        if kind == "CustomResourceDefinition":
            assert manifest["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}, crd
    assert rendered == built(tmp_path, folders)


@pytest.mark.parametrize("values", [{}, EVERYTHING, SAME["two namespaces"][0]], ids=["", "all", "namespaces"])
def test_helm_reports_nothing_about_the_chart(values: Json, helm: Path) -> None:
    assert not re.search(r"\[(ERROR|WARNING|INFO)\]", lint(helm, values))


def test_crds_are_left_out_and_deleted_only_if_the_values_say_so(helm: Path) -> None:
    crds = [each for each in render(helm) if each["kind"] == "CustomResourceDefinition"]
    others = render(helm, {"crds": {"enabled": False}})
    assert not [each for each in others if each["kind"] == "CustomResourceDefinition"]
    for crd in crds:
        kept = pick(render(helm, {"crds": {"keep": False}}), crd["kind"], crd["metadata"]["name"])
        assert "annotations" not in kept["metadata"]


@pytest.mark.parametrize("value", ["serviceAccountTokens", "serviceAccountLinks"])
def test_with_namespaces_the_permissions_for_a_field_are_the_same_in_roles(value: str, helm_4: Path) -> None:
    everywhere = render(helm_4, {value: ENABLED})
    objects = render(helm_4, {value: ENABLED, "namespaces": ["team-a", "team-b"]})
    assert not [each for each in objects if each["kind"].startswith("ClusterRole")]
    default = indexed(render(helm_4))
    (role,) = (
        each for key, each in indexed(everywhere).items() if key[0] == "ClusterRole" and key not in default
    )
    found = indexed(objects)
    for namespace in ("team-a", "team-b"):
        name = role["metadata"]["name"]
        assert rights_in(found["Role", namespace, name]) == rights_in(role)
        binding = found["RoleBinding", namespace, name.removesuffix("role") + "rolebinding"]
        assert binding["roleRef"]["kind"] == "Role"
        assert [each["namespace"] for each in binding["subjects"]] == [NAMESPACE]


@pytest.mark.parametrize("name", FLAGS)
def test_the_operator_accepts_each_flag_as_a_value_sets_it(name: str, helm_4: Path) -> None:
    value, flag = FLAGS[name]
    unset = container(render(helm_4))["args"]
    settings = parse_settings(container(render(helm_4, {"flags": {name: value}}))["args"], {})
    assert settings == parse_settings([*unset, flag], {})
    assert settings != parse_settings(unset, {})


def test_each_flag_is_a_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert FLAGS.keys() == schema["$defs"]["Flags"]["properties"].keys()


def test_an_empty_flag_is_passed_only_where_it_means_something(helm_4: Path) -> None:
    flags: Json = {"permittedRoles": [], "externalId": None, "ambientCredentials": ""}
    added = set(container(render(helm_4, {"flags": flags}))["args"]) - set(container(render(helm_4))["args"])
    assert added == {"--ambient-credentials="}


# What of the values goes into the pod as it is, and where.
POD: Final[Json] = {
    "imagePullSecrets": [{"name": "my-registry"}],
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "control-plane", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
ADDED: Final[Json] = {
    "env": [{"name": "AWS_CA_BUNDLE", "value": "/ca/bundle.pem"}],
    "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
}


def test_what_the_values_hold_of_the_pod_is_in_the_deployment_and_in_the_pod_of_helm_test(helm: Path) -> None:
    values = {
        **POD,
        **ADDED,
        "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "credentials": {"secretName": "my-keys"},
        "image": {
            "repository": "example.com/a",
            "tag": "v9",
            "digest": f"sha256:{'0' * 64}",
            "pullPolicy": "Always",
        },
        "resources": {"limits": {"memory": "1Gi"}},
        "podLabels": {"team": "a"},
        "podAnnotations": {"example.com/a": "b"},
        "topologySpreadConstraints": [{"topologyKey": "rack"}],
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/a"}},
    }
    objects = render(helm, values, tests=True)
    template = pick(objects, "Deployment")["spec"]["template"]
    for spec in (template["spec"], pick(objects, "Pod")["spec"]):
        assert POD.items() <= spec.items()
        assert values["volumes"][0] in spec["volumes"]
        manager = next(each for each in spec["containers"] if each["name"] == "manager")
        assert all(value[0] in manager[name] for name, value in ADDED.items())
        assert manager["image"] == f"example.com/a:v9@sha256:{'0' * 64}"
        assert manager["imagePullPolicy"] == "Always"
        assert manager["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
        assert str(spec).count("my-keys") == 3
    assert template["spec"]["topologySpreadConstraints"] == values["topologySpreadConstraints"]
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["annotations"]["example.com/a"] == "b"
    account = pick(objects, "ServiceAccount")["metadata"]
    assert account["annotations"] == values["serviceAccount"]["annotations"]


def test_the_pod_of_helm_test_is_restricted_and_no_endpoint_of_the_metrics(helm_4: Path) -> None:
    objects = render(helm_4, tests=True)
    pod, deployment = pick(objects, "Pod"), pick(objects, "Deployment")["spec"]["template"]
    assert pod["metadata"]["annotations"] == {"helm.sh/hook": "test"}
    selector = pick(objects, "Service")["spec"]["selector"]
    assert not selector.items() <= pod["metadata"]["labels"].items()
    assert pod["spec"]["securityContext"] == deployment["spec"]["securityContext"]
    (checking,) = pod["spec"]["containers"]
    assert checking["securityContext"] == container(objects)["securityContext"]
    assert checking["args"] == ["check", "aws", "cluster", "--leader-elect"]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": "two"}, "/replicas"),
        ({"flags": {"permittedRole": []}}, "permittedRole"),
        ({"flags": {"sessionTags": "yes"}}, "/flags/sessionTags"),
        ({"namespaces": ["Team"]}, "/namespaces/0"),
        ({"namespaces": ["team", "team"]}, "/namespaces"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"credentials": {"secretName": ""}}, "/credentials/secretName"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_value_that_the_chart_does_not_know_is_refused_by_name(
    values: Json, named: str, helm: Path
) -> None:
    with pytest.raises(ProgramFailed, match=f"'?{named}"):
        render(helm, values)


def test_the_chart_can_be_packaged_and_be_a_dependency_of_another(helm: Path, tmp_path: Path) -> None:
    printed = run_program(
        helm, ["package", CHART, "--destination", tmp_path], cwd=tmp_path, env={"HOME": str(tmp_path)}
    )
    archive = Path(printed.rsplit(": ", 1)[1].strip())
    assert render(helm, chart=archive) == render(helm)
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    shutil.copy(archive, parent / "charts")
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: parent\nversion: 0.1.0\n")
    values: dict[str, Any] = {"ecr-secret-operator": {"enabled": True, "replicas": 3}, "global": {"a": "b"}}
    assert pick(render(helm, values, chart=parent), "Deployment")["spec"]["replicas"] == 3
