"""The samples of ClusterSecret, applied by the installed operator under the policies."""

from collections.abc import AsyncIterator

import pytest
import yaml

from ecr_operator.api.kinds import CLUSTER
from lab.api import CLUSTER_SECRETS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Api, Json
from tests.manifests.installation import ROOT, Installation

LABELS: dict[str, dict[str, str]] = {
    "shop": {"ecr-login": "enabled"},
    "builds": {},
    "team-a": {},
    "team-b-test": {},
}
SERVED = {
    "by-label": {"shop"},
    "linked": {"team-a", "team-b-test"},
    "named": {"builds", "team-a"},
    "everywhere": {*LABELS},
}


def _samples() -> list[Json]:
    texts = [path.read_text() for path in (ROOT / "samples").glob("ecr_*_clustersecret*.yaml")]
    return [yaml.safe_load(text.replace("ACCOUNT_ID", "123456789012")) for text in texts]


@pytest.fixture
async def places(stage: Installation) -> AsyncIterator[Installation]:
    """Namespaces, each with the ServiceAccount that a cluster makes there."""
    api = stage.api
    for name, labels in LABELS.items():
        await api.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        )
        await api.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, name
        )
    yield stage
    for sample in _samples():
        await api.delete(CLUSTER_SECRETS, sample["metadata"]["name"])
        for namespace in await _having(api, sample):
            await api.delete(SECRETS, sample["spec"]["generated_secret_name"], namespace)
    for name in LABELS:
        await api.end_namespace(name)


async def _having(api: Api, sample: Json) -> set[str]:
    """Return the namespaces that have the generated Secret."""
    name = sample["spec"]["generated_secret_name"]
    found = [each["metadata"] for each in await api.list(SECRETS)]
    return {each["namespace"] for each in found if each["name"] == name}


async def test_each_sample_becomes_ready_and_serves_the_namespaces_that_it_describes(
    places: Installation,
) -> None:
    api, samples = places.api, _samples()
    assert {each["metadata"]["name"] for each in samples} == SERVED.keys()
    assert {each["kind"] for each in samples} == {CLUSTER}
    for sample in samples:
        await api.create(sample)
    async with places.operator(watch=""):
        await places.ready(*SERVED, kind=CLUSTER_SECRETS)
    having = {each["metadata"]["name"]: await _having(api, each) for each in samples}
    others = {each["metadata"]["name"] for each in await api.list(NAMESPACES)} - {*LABELS}
    everywhere = having.pop("everywhere")
    assert having == {name: served for name, served in SERVED.items() if name != "everywhere"}
    assert everywhere == SERVED["everywhere"] | {each for each in others if not each.startswith("kube-")}
    assert "kube-system" in others
    for name in SERVED["linked"]:
        account = await api.get(SERVICE_ACCOUNTS, "default", name)
        assert account["imagePullSecrets"] == [{"name": "ecr-linked"}]
    assert places.refusals() == []
    assert places.aws.count() == 1
