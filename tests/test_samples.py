"""The samples, as a new user applies them: with an account's number filled in, and nothing else changed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.lab.api import SECRETS, SERVICE_ACCOUNTS, Api, Json
from tests.lab.aws import LocalAws
from tests.lab.control_plane import ControlPlane
from tests.lab.demo_rows import held_token
from tests.lab.operator import OperatorProcess
from tests.lab.waiting import wait_for

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.yaml"))
V0_6_0_FIELDS = {"generated_secret_name", "ecr_registry", "url", "frequency", "region"}
LATER_FIELDS = {"ecr_v1alpha1_secret_linked.yaml": {"link_service_accounts"}}


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


def _name(sample: Path) -> str:
    return sample.name


def test_there_is_a_sample_of_each_kind() -> None:
    kinds = [yaml.safe_load(sample.read_text())["kind"] for sample in SAMPLES]
    assert sorted(kinds) == ["ArgoHelmRepoSecret", "Secret", "Secret"]


@pytest.mark.parametrize("sample", SAMPLES, ids=_name)
def test_it_names_no_namespace_and_only_what_v0_6_0_knows_but_for_what_it_shows(sample: Path) -> None:
    manifest = yaml.safe_load(sample.read_text())
    assert "namespace" not in manifest["metadata"]
    assert set(manifest["spec"]) - V0_6_0_FIELDS == LATER_FIELDS.get(sample.name, set())
    assert "ACCOUNT_ID" in (manifest["spec"].get("ecr_registry") or manifest["spec"]["url"])


@pytest.mark.parametrize("sample", SAMPLES, ids=_name)
async def test_it_becomes_ready(
    sample: Path, api: Api, aws: LocalAws, operator: OperatorProcess, namespace: str
) -> None:
    manifest = yaml.safe_load(sample.read_text().replace("ACCOUNT_ID", aws.services.account))
    created = await api.create(manifest, namespace)
    resource = await api.resource_of(manifest)

    async def ready() -> Json | None:
        present = await api.get(resource, created["metadata"]["name"], namespace)
        return present if _condition(present, "Ready").get("status") == "True" else None

    present = await wait_for(ready, 20, f"{sample.name} Ready; the operator said:\n{operator.tail()}")
    secret = await api.get(SECRETS, manifest["spec"]["generated_secret_name"], namespace)
    token = held_token(secret)
    assert token is not None
    assert (token.region, token.service) == ("us-east-2", "ecr")
    assert present["status"]["phase"] == "Updated"


async def test_the_linked_one_links(
    api: Api, aws: LocalAws, operator: OperatorProcess, namespace: str
) -> None:
    path = SAMPLES[0].with_name("ecr_v1alpha1_secret_linked.yaml")
    # Every namespace of a cluster has it; here nobody has made it yet.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await api.apply(account, namespace)
    await api.create(yaml.safe_load(path.read_text().replace("ACCOUNT_ID", aws.services.account)), namespace)

    async def linked() -> bool:
        present = await api.get(SERVICE_ACCOUNTS, "default", namespace)
        return {"name": "ecr-linked-secret"} in present.get("imagePullSecrets", [])

    await wait_for(linked, 20, f"the link; the operator said:\n{operator.tail()}")


def _condition(resource: Json, wanted: str) -> Json:
    conditions: list[Json] = resource.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == wanted), {})
