"""What the policies permit and deny to the operator's ServiceAccount."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lab.api import SECRETS, SERVICE_ACCOUNTS, Api, ApiError, Json
from lab.control_plane import ControlPlane
from tests.cluster.ownership import v060
from tests.manifests.installation import token_of

DOCKER = "kubernetes.io/dockerconfigjson"
LOGIN = {".dockerconfigjson": "eyJhdXRocyI6e319"}
HOST = "123456789012.dkr.ecr.us-east-2.amazonaws.com"
GROUP = "ecr.mobb.redhat.com"
OURS = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
TYPES, NAMES_OWNER = "logins for registries and Argo CD", "must name one of its resources"
OWNER = {f"{GROUP}/owner": "Secret/pull", f"{GROUP}/owner-uid": "5f1e"}
CHART_OWNER = {f"{GROUP}/owner": "ArgoHelmRepoSecret/charts", f"{GROUP}/owner-uid": "5f1e"}
CLUSTER_OWNER = {f"{GROUP}/owner": "ClusterSecret/pull", f"{GROUP}/owner-uid": "5f1e"}


def reference(kind: str = "Secret", uid: str = "5f1e", group: str = GROUP) -> Json:
    """Make a controller ownerReference."""
    version = f"{group}/v1alpha1" if "/" not in group else group
    return {"apiVersion": version, "kind": kind, "name": "pull", "uid": uid, "controller": True}


def secret(**changes: Any) -> Json:
    """Make a Secret as the operator writes it, but for what is changed; metadata that is None goes."""
    kind, data = changes.pop("type", DOCKER), changes.pop("data", LOGIN)
    metadata = {"labels": OURS, "annotations": OWNER, "ownerReferences": [reference()], **changes}
    metadata = {"name": "login", **{key: value for key, value in metadata.items() if value is not None}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}


def chart_secret(**changes: Any) -> Json:
    """Make a Secret for Argo CD, but for what is changed."""
    usual = {
        "type": "Opaque",
        "data": {},
        "labels": OURS | {"argocd.argoproj.io/secret-type": "repository"},
        "annotations": CHART_OWNER,
        "ownerReferences": [reference("ArgoHelmRepoSecret")],
    }
    return secret(**(usual | changes))


def cluster_secret(**changes: Any) -> Json:
    """Make a Secret of a ClusterSecret, but for what is changed."""
    usual = {"annotations": CLUSTER_OWNER, "ownerReferences": [reference("ClusterSecret")]}
    return secret(**(usual | changes))


PLAIN: dict[str, Any] = {"labels": None, "annotations": None, "ownerReferences": None}
PULL: Json = {"kind": "Secret", "spec": {"generated_secret_name": "login", "ecr_registry": HOST}}
CHARTS: Json = {"kind": "ArgoHelmRepoSecret", "spec": {"generated_secret_name": "login", "url": HOST}}
BY_V060 = v060.generated_secret(PULL, v060.new_password())
CHARTS_BY_V060 = v060.generated_secret(CHARTS, v060.new_password())
FOREIGN = secret(**PLAIN, type="Opaque", data={})
# Of the two types that v0.6.0 wrote, but nothing that it wrote.
PULL_OF_OTHERS = secret(**PLAIN, data=v060.docker_data({"quay.io": v060.login("secret", "robot")}))
AWS = v060.login("x")
TWO_KEYS = secret(**PLAIN, data=BY_V060["data"] | {"more": "eA=="})
SPACED = secret(**PLAIN, data=v060.encoded({".dockerconfigjson": json.dumps({"auths": {HOST: AWS}})}))
CHARTS_OF_OTHERS = CHARTS_BY_V060 | {"data": CHARTS_BY_V060["data"] | v060.encoded({"username": "robot"})}
CHARTS_WITH_PROJECT = CHARTS_BY_V060 | {"data": CHARTS_BY_V060["data"] | v060.encoded({"project": "a"})}
OTHERS = secret(**PLAIN | {"ownerReferences": [reference("Deployment", group="apps/v1")]})
HANDED_OVER = secret(**PLAIN | {"annotations": {f"{GROUP}/adopt": "true"}}, type="Opaque", data={})
PULL_HANDED_OVER = secret(**PLAIN | {"annotations": {f"{GROUP}/adopt": "true"}}, data=LOGIN)
REPLACED = secret(**PLAIN | {"annotations": {f"{GROUP}/adopt": "replace"}}, type="Opaque", data={})
ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/app"}


@pytest.fixture
async def account(api: Api, namespace: str) -> str:
    """A namespace with a ServiceAccount `ci`, which has labels and annotations of its own."""
    metadata = {"name": "ci", "labels": {"team": "a"}, "annotations": ROLE}
    await api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, namespace)
    return namespace


@pytest.fixture
async def operator(installed: ControlPlane, token: str) -> AsyncIterator[Api]:
    """A client that is the operator's account."""
    async with Api(installed.url, token=token, authority=installed.authority) as client:
        yield client


def with_type(kind: str) -> Json:
    """Return labels of the operator and of a type of Argo CD's."""
    return OURS | {"argocd.argoproj.io/secret-type": kind}


CONFIG = v060.encoded({"config.json": "{}"})
BASIC = v060.encoded({"username": "AWS", "password": "x"})
OWN = {
    "a pull secret": secret(),
    "a pull secret that outlives its resource": secret(ownerReferences=None),
    "Docker's configuration": secret(type="Opaque", data=CONFIG),
    "a username and password": secret(type="kubernetes.io/basic-auth", data=BASIC),
    "a pull secret of a ClusterSecret": cluster_secret(),
    "Docker's configuration of a ClusterSecret": cluster_secret(type="Opaque", data=CONFIG),
    "a username and password of a ClusterSecret": cluster_secret(type="kubernetes.io/basic-auth", data=BASIC),
    "one that outlives its ClusterSecret": cluster_secret(ownerReferences=None),
    "an Argo CD repository": chart_secret(),
    "Argo CD credentials for a prefix": chart_secret(labels=with_type("repo-creds")),
}


async def test_the_operator_creates_changes_and_deletes_its_own_secrets(
    operator: Api, namespace: str, subtests: pytest.Subtests
) -> None:
    for name, manifest in OWN.items():
        with subtests.test(name):
            await operator.create(manifest, namespace)
            await operator.merge_patch(SECRETS, "login", {"data": {"more": "eA=="}}, namespace)
            await operator.delete(SECRETS, "login", namespace)


ACCOUNT_OF_TOKEN = {"kubernetes.io/service-account.name": "default"}
ACCOUNT_TOKEN = secret(
    type="kubernetes.io/service-account-token", data={}, annotations=OWNER | ACCOUNT_OF_TOKEN
)
DEPLOYMENT = reference("Deployment", group="apps/v1")
NOT_OWN = {
    "a token of another ServiceAccount": (ACCOUNT_TOKEN, TYPES),
    "another type": (secret(type="Opaque", data={}), TYPES),
    "an Opaque Secret that is not for Argo CD": (chart_secret(labels=OURS), TYPES),
    "a cluster of Argo CD": (chart_secret(labels=with_type("cluster")), TYPES),
    "a cluster of Argo CD by a Secret": (
        secret(type="Opaque", labels=with_type("cluster"), data=CONFIG),
        TYPES,
    ),
    "an Argo CD repository of a ClusterSecret": (
        cluster_secret(type="Opaque", labels=with_type("repository"), data=CONFIG),
        TYPES,
    ),
    "a token of another ServiceAccount for a ClusterSecret": (
        cluster_secret(type=ACCOUNT_TOKEN["type"], data={}, annotations=ACCOUNT_OF_TOKEN | CLUSTER_OWNER),
        TYPES,
    ),
    "another kind of controller than the owner": (
        cluster_secret(ownerReferences=[reference("Secret")]),
        NAMES_OWNER,
    ),
    "an owner of another kind": (
        secret(annotations=OWNER | {f"{GROUP}/owner": "Deployment/pull"}),
        TYPES,
    ),
    "no label": (secret(labels={"app": "x"}), "must have its label"),
    "no owner": (secret(annotations=None), TYPES),
    "no uid of the owner": (secret(annotations={f"{GROUP}/owner": "Secret/pull"}), NAMES_OWNER),
    "another uid than the owner's": (secret(ownerReferences=[reference(uid="other")]), NAMES_OWNER),
    "another controller": (secret(ownerReferences=[DEPLOYMENT]), NAMES_OWNER),
}


async def test_the_operator_creates_no_other_secret(
    operator: Api, namespace: str, subtests: pytest.Subtests
) -> None:
    for name, (manifest, why) in NOT_OWN.items():
        with subtests.test(name), pytest.raises(ApiError, match=why):
            await operator.create(manifest, namespace)


def pull_by_v060(host: str) -> Json:
    """Return the pull secret that v0.6.0 wrote for a host."""
    return v060.generated_secret(PULL | {"spec": PULL["spec"] | {"ecr_registry": host}}, "token")


ADOPTABLE = {
    "one whose label was removed": (secret(labels=None), secret()),
    "v0.6.0's pull secret": (BY_V060, secret()),
    "v0.6.0's pull secret for China": (pull_by_v060(f"{HOST}.cn"), secret()),
    "v0.6.0's pull secret for any account": (pull_by_v060("1.dkr.ecr.us-east-1.amazonaws.com"), secret()),
    "v0.6.0's Argo CD repository": (CHARTS_BY_V060, chart_secret()),
    "one that was handed over": (HANDED_OVER, chart_secret()),
    "one that was handed over, to be replaced": (REPLACED, chart_secret()),
    "one that was handed over to a ClusterSecret": (PULL_HANDED_OVER, cluster_secret()),
    "that of a Secret, by a ClusterSecret": (secret(), cluster_secret()),
    "that of a ClusterSecret, by a Secret": (cluster_secret(), secret()),
}


@asynccontextmanager
async def present(api: Api, manifest: Json, namespace: str) -> AsyncIterator[Json]:
    """Have a Secret for a while."""
    yield await api.create(manifest, namespace)
    await api.delete(SECRETS, "login", namespace)


async def test_the_operator_changes_what_is_its_own_or_adopted(
    api: Api, operator: Api, namespace: str, subtests: pytest.Subtests
) -> None:
    for name, (manifest, desired) in ADOPTABLE.items():
        async with present(api, manifest, namespace):
            with subtests.test(name):
                await operator.apply(desired, namespace)


@pytest.mark.parametrize("desired", [secret(), cluster_secret()], ids=["Secret", "ClusterSecret"])
async def test_a_secret_that_was_handed_over_to_be_replaced_is_recreated_where_its_type_differs(
    api: Api, operator: Api, namespace: str, desired: Json
) -> None:
    await api.create(REPLACED, namespace)
    await operator.delete(SECRETS, "login", namespace)
    assert (await operator.create(desired, namespace))["type"] == DOCKER


LARGE = secret(**PLAIN, data=v060.docker_data({"quay.io": v060.login("x" * 300_000, "robot")}))
THEIRS = {
    "somebody's Opaque Secret": (FOREIGN, chart_secret()),
    "one with another controller": (OTHERS, secret()),
    "somebody's pull secret": (PULL_OF_OTHERS, secret()),
    "a pull secret with another key": (TWO_KEYS, secret()),
    "a pull secret for AWS that v0.6.0 did not write": (SPACED, secret()),
    "somebody's Argo CD repository": (CHARTS_OF_OTHERS, chart_secret()),
    "an Argo CD repository of a project": (CHARTS_WITH_PROJECT, chart_secret()),
    "a pull secret of 800 kB": (LARGE, secret()),
}


async def test_the_operator_can_neither_change_nor_delete_another_secret(
    api: Api, operator: Api, namespace: str, subtests: pytest.Subtests
) -> None:
    for name, (manifest, desired) in THEIRS.items():
        async with present(api, manifest, namespace) as before:
            with subtests.test(name):
                await _is_refused(operator, before, desired)
                assert await api.get(SECRETS, "login", namespace) == before


async def _is_refused(operator: Api, present: Json, desired: Json) -> None:
    """Try to change and delete it, also in two steps, of which the first makes it look like its own."""
    namespace, marks = present["metadata"]["namespace"], desired["metadata"]
    handed_over = {"annotations": marks["annotations"] | {f"{GROUP}/adopt": "true"}}
    disguises: list[Json] = [marks, marks | {"managedFields": [{}]}, marks | handed_over]
    for patch in (desired, *({"metadata": metadata} for metadata in disguises)):
        with pytest.raises(ApiError, match="may change only its own Secrets"):
            await operator.merge_patch(SECRETS, "login", patch, namespace)
    with pytest.raises(ApiError, match="may change only its own Secrets"):
        await operator.apply(desired | {"type": present["type"]}, namespace, manager="ecr-secret-operator")
    with pytest.raises(ApiError, match="may delete only its own Secrets"):
        await operator.delete(SECRETS, "login", namespace)


async def test_a_secret_of_v0_6_0_can_be_deleted_only_once_adopted(
    api: Api, operator: Api, namespace: str
) -> None:
    """The policy can't prevent the adoption itself, as its comment says."""
    await api.create(BY_V060, namespace)
    with pytest.raises(ApiError, match="may delete only its own Secrets"):
        await operator.delete(SECRETS, "login", namespace)
    await operator.merge_patch(SECRETS, "login", secret(), namespace)
    await operator.delete(SECRETS, "login", namespace)


async def test_other_users_are_not_restricted(api: Api, namespace: str) -> None:
    await api.create(FOREIGN, namespace)
    await api.merge_patch(SECRETS, "login", {"data": {"key": "eA=="}}, namespace)
    await api.delete(SECRETS, "login", namespace)


async def test_the_operator_gets_tokens_for_sts_only(api: Api, operator: Api, account: str) -> None:
    async def ask(audiences: list[str], seconds: int = 3600) -> Json:
        spec = {"audiences": audiences, "expirationSeconds": seconds}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return await operator.request("POST", SERVICE_ACCOUNTS.path("ci", account, "token"), body=request)

    assert (await ask(["sts.amazonaws.com"]))["status"]["token"]
    for audiences in ([], ["https://kubernetes.default.svc"], ["sts.amazonaws.com", "vault"]):
        with pytest.raises(ApiError, match=r"only for sts\.amazonaws\.com"):
            await ask(audiences)
    with pytest.raises(ApiError, match="of at most an hour"):
        await ask(["sts.amazonaws.com"], 7200)
    assert await token_of(api, account, "ci")


CHANGES: dict[str, tuple[Json, str]] = {
    "another role": ({"metadata": {"annotations": dict.fromkeys(ROLE, "x")}}, "own label"),
    "a removed role": ({"metadata": {"annotations": dict.fromkeys(ROLE)}}, "own label"),
    "another annotation": ({"metadata": {"annotations": {"more": "x"}}}, "own label"),
    "another label": ({"metadata": {"labels": {"team": "b"}}}, "own label"),
    "a finalizer": ({"metadata": {"finalizers": ["example.com/x"]}}, "imagePullSecrets"),
    "no token for its pods": ({"automountServiceAccountToken": False}, "imagePullSecrets"),
}


async def test_the_operator_links_and_unlinks_a_service_account_and_changes_nothing_else(
    api: Api, operator: Api, account: str, subtests: pytest.Subtests
) -> None:
    marks = {"labels": {f"{GROUP}/linked": "true"}, "annotations": {f"{GROUP}/links": "x"}}
    links = [{"name": "login"}]
    linked = {"metadata": marks, "imagePullSecrets": links, "secrets": links}
    unlinked = {"metadata": {"labels": {f"{GROUP}/linked": None}}, "imagePullSecrets": []}
    for change in (linked, unlinked):
        await operator.merge_patch(SERVICE_ACCOUNTS, "ci", change, account)
    for name, (change, why) in CHANGES.items():
        with subtests.test(name):
            with pytest.raises(ApiError, match=why):
                await operator.merge_patch(SERVICE_ACCOUNTS, "ci", change, account)
            await api.merge_patch(SERVICE_ACCOUNTS, "ci", change, account)
