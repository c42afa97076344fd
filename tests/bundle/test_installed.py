"""The operator works in each install mode with exactly the objects that OLM creates from the bundle.

Rules of OLM that matter here: `permissions` are a Role in the installation's namespace and in each target
namespace, or a ClusterRole when all are targeted; `clusterPermissions` are a ClusterRole always; of the other
manifests the kind is read without its group. Left out: OperatorGroups, conditions and upgrades.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import pytest
import yaml

from lab import audit, rights
from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api, Json
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene
from tests.manifests.installation import CONFIG, pick, token_of
from tools import ROOT

KEYS: Final = {"aws_access_key_id": "AKIAOFTHESECRET00000", "aws_secret_access_key": "lab-secret-key"}
ALL_NAMESPACES: Final = ("",)
MODES: Final = {
    "OwnNamespace": ("home",),
    "SingleNamespace": ("team-a",),
    "MultiNamespace": ("team-a", "team-b"),
    "AllNamespaces": ALL_NAMESPACES,
}
PLACES: Final = ("home", "team-a", "team-b", "outside")
# Rights that only additions to the bundle grant.
ADDED: Final = {
    right
    for path in (CONFIG / "rbac").glob("*/**/role.yaml")
    for right in rights.rights_in(yaml.safe_load(path.read_text()))
}
RBAC: Final = "rbac.authorization.k8s.io"
SEES_NAMESPACES: Final = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]}


def installation(namespace: str, targets: Sequence[str]) -> Iterator[Json]:
    """Yield what OLM creates in a namespace for an OperatorGroup with these targets."""
    manifests = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "bundle/manifests").iterdir())]
    csv = pick(manifests, "ClusterServiceVersion")
    for each in manifests:
        if each is not csv:
            cluster_scoped = each["kind"] in {"CustomResourceDefinition", "ClusterRole"}
            placed = {} if cluster_scoped else {"namespace": namespace}
            yield {**each, "metadata": {**each["metadata"], **placed}}
    strategy = csv["spec"]["install"]["spec"]
    entries = [*strategy["permissions"], *strategy["clusterPermissions"]]
    for name in {each["serviceAccountName"] for each in entries}:
        metadata = {"name": name, "namespace": namespace}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    for number, entry in enumerate(strategy["clusterPermissions"]):
        yield from _granted(entry, f"everywhere-{number}", namespace, None)
    for number, entry in enumerate(strategy["permissions"]):
        if tuple(targets) == ALL_NAMESPACES:
            lifted = {**entry, "rules": [*entry["rules"], SEES_NAMESPACES]}
            yield from _granted(lifted, f"lifted-{number}", namespace, None)
        for place in {namespace, *targets} - {""}:
            yield from _granted(entry, f"own-{number}", namespace, place)
    yield _deployment(csv, namespace, targets)


def _granted(entry: Json, name: str, namespace: str, where: str | None) -> Iterator[Json]:
    """Yield a role and its binding, in a namespace or, where that is None, everywhere."""
    prefix, placed = ("Cluster", {}) if where is None else ("", {"namespace": where})
    about = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": f"{namespace}-{name}", **placed}}
    subject = {"kind": "ServiceAccount", "name": entry["serviceAccountName"], "namespace": namespace}
    role = {"apiGroup": RBAC, "kind": f"{prefix}Role", "name": about["metadata"]["name"]}
    yield {**about, "kind": f"{prefix}Role", "rules": entry["rules"]}
    yield {**about, "kind": f"{prefix}RoleBinding", "roleRef": role, "subjects": [subject]}


def _deployment(csv: Json, namespace: str, targets: Sequence[str]) -> Json:
    (found,) = deepcopy(csv["spec"]["install"]["spec"]["deployments"])
    annotations = {"olm.targetNamespaces": ",".join(targets), "olm.operatorNamespace": namespace}
    found["spec"]["template"]["metadata"].setdefault("annotations", {}).update(annotations)
    metadata = {"name": found["name"], "namespace": namespace, "labels": found["label"]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": found["spec"]}


def variable(source: Json, metadata: Json, secrets: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return the value of a container's variable; `secrets` are what `secretKeyRef` reads."""
    if "valueFrom" not in source:
        return str(source.get("value", ""))
    if reference := source["valueFrom"].get("secretKeyRef"):
        return secrets.get(reference["name"], {}).get(reference["key"])
    path: str = source["valueFrom"]["fieldRef"]["fieldPath"].removeprefix("metadata.")
    if path.startswith("annotations["):
        return str(metadata["annotations"][path.removeprefix("annotations['").removesuffix("']")])
    return str(metadata[path])


@dataclass(slots=True, kw_only=True)
class Installed(Scene):
    """A scene whose operator is what OLM installed in the scene's namespace.

    Attributes:
        deployment: the operator's Deployment.
        account_token: of the operator's ServiceAccount.
    """

    deployment: Json
    account_token: str = field(repr=False)

    def __post_init__(self) -> None:
        self.kubeconfig = self.plane.write_kubeconfig("olm", token=self.account_token)
        self.since = self.begun = audit.position(self.plane.audit_log)

    @property
    def user(self) -> str:
        """The ServiceAccount's name as the API server knows it."""
        account = self.deployment["spec"]["template"]["spec"]["serviceAccountName"]
        return f"system:serviceaccount:{self.namespace}:{account}"

    @property
    def container(self) -> Json:
        """The operator's container."""
        containers = self.deployment["spec"]["template"]["spec"]["containers"]
        return next(dict(each) for each in containers if each["name"] == "manager")

    def environment(self) -> dict[str, str]:
        """Return the container's variables, with the keys that the Cloud Credential Operator writes."""
        metadata = {
            **self.deployment["spec"]["template"]["metadata"],
            "name": "operator-0",
            "namespace": self.namespace,
        }
        secrets = {"aws-ecr-cloud-credentials": KEYS}
        found = {each["name"]: variable(each, metadata, secrets) for each in self.container["env"]}
        return {name: value for name, value in found.items() if value is not None}

    def refusals(self) -> list[str]:
        """Return the operator's refused requests, except those that additions to the bundle permit."""
        refused = rights.refused(self.plane, self.user, self.begun)
        return [rights.in_words(entry) for entry in refused if not rights.used([entry]) & ADDED]

    async def may_write_secrets(self, namespace: str) -> bool:
        """Whether the operator's ServiceAccount may patch Secrets in a namespace."""
        attributes = {"verb": "patch", "resource": "secrets", "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {"name": ""},
            "spec": {"user": self.user, "resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool((await self.api.request("POST", path, body=review))["status"]["allowed"])


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS of the test's own."""
    async with LocalAws() as local:
        yield local


@pytest.fixture
async def places(api: Api) -> AsyncIterator[dict[str, str]]:
    """The namespaces of a test, by what they are."""
    names = {place: await api.create_namespace(place) for place in PLACES}
    yield names
    for name in names.values():
        for resource in (ECR_SECRETS, ARGO_SECRETS, SECRETS):
            await api.delete_all(resource, name)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """The install mode."""
    return str(request.param)


@pytest.fixture
async def installed(
    mode: str, control_plane: ControlPlane, api: Api, aws: LocalAws, places: dict[str, str]
) -> AsyncIterator[Installed]:
    """The bundle as OLM installs it in the mode of the test."""
    home = places["home"]
    objects = list(installation(home, [places.get(place, place) for place in MODES[mode]]))
    for each in objects:
        await api.apply(each, manager="olm")
    assert await api.list(SECRETS, home) == []
    token = await token_of(api, home, pick(objects, "ServiceAccount")["metadata"]["name"])
    yield Installed(
        plane=control_plane,
        api=api,
        aws=aws,
        namespace=home,
        deployment=pick(objects, "Deployment"),
        account_token=token,
    )
    for each in objects:
        if each["kind"].startswith("ClusterRole"):
            await api.delete(await api.resource_of(each), each["metadata"]["name"])


async def test_the_operator_serves_the_targets_of_the_mode_and_needs_no_further_rights(
    installed: Installed, places: dict[str, str], mode: str
) -> None:
    targets = set(places) if mode == "AllNamespaces" else set(MODES[mode])
    writable = {place for place, name in places.items() if await installed.may_write_secrets(name)}
    assert writable == targets | {"home"}
    scenes = {
        place: Scene(plane=installed.plane, api=installed.api, aws=installed.aws, namespace=name)
        for place, name in places.items()
    }
    for scene in scenes.values():
        await scene.create(ecr_secret("pull"), argo_secret("charts"))
    variables = installed.environment()
    assert variables["POD_NAMESPACE"] == installed.namespace
    # Not the addresses: others listen there on this machine.
    flags = [each for each in installed.container["args"] if "-bind-address=" not in each]
    async with installed.operator(*flags, watch=variables.pop("WATCH_NAMESPACE"), env=variables):
        for place in targets:
            await scenes[place].ready("pull")
            await scenes[place].ready("charts", kind=ARGO_SECRETS)
            assert (await scenes[place].token("pull-login")).access_key == KEYS["aws_access_key_id"]
            await scenes[place].delete("pull-login")
            await wait_for(partial(scenes[place].find_secret, "pull-login"), 5, f"the repair in {place}")
    for place in set(places) - targets:
        assert "status" not in await scenes[place].resource("pull")
        assert await scenes[place].find_secret("pull-login") is None
    assert installed.refusals() == []
