"""What OLM makes of the bundle in each install mode, and that the operator does its job with just that."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import yaml

from lab import rights
from lab.api import ARGO_SECRETS, CLUSTER_SECRETS, ECR_SECRETS, SECRETS, Api, Json
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.bundle import olm
from tests.cluster.builders import argo_secret, cluster_secret, ecr_secret
from tests.cluster.scene import Scene
from tests.manifests.installation import CONFIG, Installation, token_of

KEYS = {"aws_access_key_id": "AKIAOFTHESECRET00000", "aws_secret_access_key": "lab-secret-key"}
MODES = {
    "OwnNamespace": ("home",),
    "SingleNamespace": ("team-a",),
    "MultiNamespace": ("team-a", "team-b"),
    "AllNamespaces": olm.ALL_NAMESPACES,
}
ADDED = {
    right
    for path in (CONFIG / "rbac").glob("*/**/role.yaml")
    for right in rights.rights_in(yaml.safe_load(path.read_text()))
}
PLACES = ("home", "team-a", "team-b", "outside")


@dataclass(slots=True, kw_only=True)
class Installed(Installation):
    """A scene whose operator is what OLM installed in the scene's namespace.

    Attributes:
        objects: all that OLM created.
    """

    objects: list[Json]

    @property
    def deployment(self) -> Json:
        """The operator's Deployment."""
        (found,) = (each for each in self.objects if each["kind"] == "Deployment")
        return found

    @property
    def user(self) -> str:
        """The ServiceAccount's name as the API server knows it."""
        account = self.deployment["spec"]["template"]["spec"]["serviceAccountName"]
        return f"system:serviceaccount:{self.namespace}:{account}"

    def refusals(self) -> list[str]:
        """Tell what the operator asked for and was refused, but for what it may do by additions only."""
        refused = rights.refused(self.plane, self.user, self.begun)
        return [rights.in_words(entry) for entry in refused if not rights.used([entry]) & ADDED]

    @property
    def flags(self) -> list[str]:
        """The operator's own, but for the addresses: others run beside it here."""
        return [each for each in olm.manager(self.deployment)["args"] if "-bind-address=" not in each]


@pytest.fixture
async def places(api: Api) -> AsyncIterator[dict[str, str]]:
    """The namespaces of a test, by what they are."""
    names = {place: await api.create_namespace(place) for place in PLACES}
    yield names
    for name in names.values():
        for resource in (ECR_SECRETS, ARGO_SECRETS, SECRETS):
            await api.delete_all(resource, name)
        await api.end_namespace(name)


@pytest.fixture
async def installed(
    mode: str, control_plane: ControlPlane, api: Api, aws: LocalAws, places: dict[str, str]
) -> AsyncIterator[Installed]:
    """The bundle as OLM installs it in the mode that the test has as a parameter."""
    home = places["home"]
    objects = olm.installation(olm.load(), home, [places.get(place, place) for place in MODES[mode]])
    for each in objects:
        await api.apply(each, manager="olm")
    account = next(each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount")
    token = await token_of(api, home, account)
    yield Installed(
        plane=control_plane, api=api, aws=aws, namespace=home, objects=objects, account_token=token
    )
    for each in objects:
        if each["kind"].startswith("ClusterRole"):
            await api.delete(await api.resource_of(each), each["metadata"]["name"])


async def _has_rights_in_its_mode_only(installed: Installed, places: dict[str, str], mode: str) -> None:
    having = {place for place, name in places.items() if await _may_write_secrets(installed, name)}
    assert having == ({*places} if mode == "AllNamespaces" else {"home", *MODES[mode]})
    assert await installed.api.list(SECRETS, installed.namespace) == []


@pytest.mark.parametrize("mode", ["OwnNamespace", "SingleNamespace"])
async def test_it_has_rights_in_its_own_namespace_and_its_target_only_and_brings_no_secret(
    installed: Installed, places: dict[str, str], mode: str
) -> None:
    await _has_rights_in_its_mode_only(installed, places, mode)


@pytest.fixture
async def cluster(api: Api, places: dict[str, str]) -> AsyncIterator[str]:
    """A ClusterSecret for the namespaces of the test."""
    name = f"everywhere-{places['home']}"
    await api.create(cluster_secret(name, *places.values()))
    yield name
    await api.delete(CLUSTER_SECRETS, name)


# In the other two modes it does the same in one namespace.
@pytest.mark.parametrize("mode", ["MultiNamespace", "AllNamespaces"])
async def test_the_operator_serves_what_the_mode_targets_and_wants_no_more(
    installed: Installed, places: dict[str, str], cluster: str, mode: str
) -> None:
    await _has_rights_in_its_mode_only(installed, places, mode)
    targets = list(places) if mode == "AllNamespaces" else MODES[mode]
    stages = {place: _stage(installed, name) for place, name in places.items()}
    for stage in stages.values():
        await stage.create(ecr_secret("pull"), argo_secret("charts"))
    variables = olm.environment(installed.deployment, {"aws-ecr-cloud-credentials": KEYS})
    assert variables["POD_NAMESPACE"] == installed.namespace
    async with installed.operator(*installed.flags, watch=variables.pop("WATCH_NAMESPACE"), env=variables):
        for place in targets:
            await stages[place].ready("pull")
            await stages[place].ready("charts", kind=ARGO_SECRETS)
            assert (await stages[place].token("pull-login")).access_key == KEYS["aws_access_key_id"]
            await stages[place].delete("pull-login")
            await stages[place].appears("pull-login")
        if mode == "AllNamespaces":
            await installed.ready(cluster, kind=CLUSTER_SECRETS)
    served = {place for place in places if await stages[place].find_secret(f"{cluster}-login")}
    assert served == ({*places} if mode == "AllNamespaces" else set())
    assert ("status" in await installed.resource(cluster, CLUSTER_SECRETS)) is (mode == "AllNamespaces")
    for place in set(places) - set(targets):
        assert "status" not in await stages[place].resource("pull")
        assert await stages[place].find_secret("pull-login") is None
    assert installed.refusals() == []


def _stage(installed: Installed, namespace: str) -> Scene:
    return Scene(plane=installed.plane, api=installed.api, aws=installed.aws, namespace=namespace)


async def _may_write_secrets(installed: Installed, namespace: str) -> bool:
    attributes = {"verb": "patch", "resource": "secrets", "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {"name": ""},
        "spec": {"user": installed.user, "resourceAttributes": attributes},
    }
    answer = await installed.api.request(
        "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review
    )
    return bool(answer["status"]["allowed"])
