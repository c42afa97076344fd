"""The samples, as a new user applies them: with an account's number filled in, and nothing else changed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from ecr_operator.api.kinds import ArgoHelmRepoSecretSpec, SecretSpec
from lab.api import NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Api, Json
from lab.aws import LocalAws, token_in
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster import reading

FOLDER = Path(__file__).parents[1] / "samples"
GROUP = "ecr.mobb.redhat.com"
OF_V060 = {FOLDER / "ecr_v1alpha1_secret.yaml", FOLDER / "ecr_v1alpha1_argohelmreposecret.yaml"}
BUILD = yaml.safe_load((FOLDER / "build-config.yaml").read_text())
FILES = sorted(FOLDER.glob("ecr_*.yaml"))
V0_6_0_FIELDS = {"generated_secret_name", "ecr_registry", "url", "frequency", "region"}
PUBLIC = "ecr_v1alpha1_secret_public.yaml"


def manifests(sample: Path) -> list[Json]:
    """Return all that a sample holds."""
    return list(yaml.safe_load_all(sample.read_text()))


def resource(sample: Path) -> Json:
    """Return the one resource of ours in a sample."""
    (found,) = (each for each in manifests(sample) if each["apiVersion"].startswith(GROUP))
    return found


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    async with LocalAws() as running:
        yield running


@pytest.fixture
async def operator(
    control_plane: ControlPlane, aws: LocalAws, namespace: str
) -> AsyncIterator[OperatorProcess]:
    """The operator, limited to the test's namespace."""
    kubeconfig, env = control_plane.kubeconfig, {"WATCH_NAMESPACE": namespace}
    async with OperatorProcess(kubeconfig=kubeconfig, aws_endpoint=aws.url, env=env) as running:
        yield running


@pytest.fixture
async def provided(api: Api, namespace: str) -> None:
    """What the samples' comments tell to do first, and the ServiceAccount that every namespace has."""
    permitted = {"ecr.mobb.redhat.com/permitted-roles": "arn:aws:iam::*:role/ecr-*"}
    await api.merge_patch(NAMESPACES, namespace, {"metadata": {"annotations": permitted}})
    keys = {"aws_access_key_id": "AKIATENANT0000000000", "aws_secret_access_key": "secret-of-the-tenant"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ecr-keys"}, "stringData": keys}
    await api.create(secret, namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await api.apply(account, namespace)


def _name(sample: Path) -> str:
    return sample.name


def test_there_is_a_sample_of_each_field() -> None:
    shown = {field for sample in FILES for field in resource(sample)["spec"]}
    assert shown == {*SecretSpec.model_fields, *ArgoHelmRepoSecretSpec.model_fields}


def test_all_may_be_applied_together() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert listed == [sample.name for sample in FILES]
    for field in ("metadata.name", "spec.generated_secret_name"):
        part, key = field.split(".")
        found = [(each["kind"], each[part][key]) for each in map(resource, FILES)]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("sample", FILES, ids=_name)
def test_it_names_no_namespace_and_no_account(sample: Path) -> None:
    assert not any("namespace" in each["metadata"] for each in manifests(sample))
    spec = resource(sample)["spec"]
    assert "ACCOUNT_ID" in (spec.get("ecr_registry") or spec["url"]) or sample.name == PUBLIC


@pytest.mark.parametrize("sample", sorted(OF_V060), ids=_name)
def test_v0_6_0_knows_it(sample: Path) -> None:
    assert set(resource(sample)["spec"]) <= V0_6_0_FIELDS


def test_the_build_pulls_and_pushes_with_the_generated_secret() -> None:
    spec = BUILD["spec"]
    named = {spec["output"]["pushSecret"]["name"], spec["strategy"]["sourceStrategy"]["pullSecret"]["name"]}
    secret = resource(FOLDER / "ecr_v1alpha1_secret.yaml")["spec"]
    assert named == {secret["generated_secret_name"]}
    assert spec["output"]["to"]["name"].startswith(f"{secret['ecr_registry']}/")


@pytest.mark.usefixtures("provided")
async def test_each_does_what_it_is_for(
    api: Api, aws: LocalAws, operator: OperatorProcess, namespace: str
) -> None:
    for sample in FILES:
        for manifest in yaml.safe_load_all(sample.read_text().replace("ACCOUNT_ID", aws.services.account)):
            await api.create(manifest, namespace)
    for sample in FILES:
        await _is_served(api, resource(sample), namespace, operator)
    held = await api.list(SECRETS, namespace)
    tokens = {each["metadata"]["name"]: token_in(each) for each in held}
    assert tokens["ecr-docker-secret"] is not None
    assert tokens["ecr-docker-secret"].region == "us-east-2"
    by = {name: aws.role_of(token) or token.access_key for name, token in tokens.items() if token}
    assert by["cross-account-login"].endswith("role/ecr-puller")
    assert by["service-account-login"].endswith("role/my-app-ecr")
    assert by["own-keys-login"] == "AKIATENANT0000000000"

    async def linked() -> bool:
        present = await api.get(SERVICE_ACCOUNTS, "default", namespace)
        return {"name": "ecr-linked-secret"} in present.get("imagePullSecrets", [])

    await wait_for(linked, 20, f"the link; the operator said:\n{operator.tail()}")


async def _is_served(api: Api, sample: Json, namespace: str, operator: OperatorProcess) -> None:
    kind, name = await api.resource_of(sample), sample["metadata"]["name"]
    desired = ("False", "Suspended") if sample["spec"].get("suspend") else ("True", "Refreshed")

    async def said() -> Json | None:
        present = await api.get(kind, name, namespace)
        return present if reading.verdict(present, "Ready") == desired else None

    what = f"{name} to say {' '.join(desired)}; the operator said:\n{operator.tail()}"
    present = await wait_for(said, 20, what)
    assert present["status"]["phase"] == ("Suspended" if desired[1] == "Suspended" else "Updated")
