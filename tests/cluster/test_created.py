"""From a custom resource to a live login: what is written, and at what cost."""

import asyncio
import base64
import subprocess
import sys
from pathlib import Path

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.scene import ARGO_STATUS_WRITE, SECRET_WRITE, STATUS_WRITE, Scene

KUBECTL = Path(sys.executable).with_name("kubectl")


async def test_a_resource_becomes_a_pull_secret_byte_for_byte(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", region="eu-west-1"))
    async with scene.operator():
        await scene.ready("pull")
    secret = await scene.secret("pull-login")
    password = reading.password(secret)
    auth = base64.b64encode(f"AWS:{password}".encode()).decode()
    expected = (
        '{"auths":{"123456789012.dkr.ecr.eu-west-1.amazonaws.com":'
        f'{{"username":"AWS","password":"{password}","auth":"{auth}"}}}}}}'
    )
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert reading.decoded(secret) == {".dockerconfigjson": expected}
    assert password in scene.aws.services.passwords
    assert reading.token(secret).region == "eu-west-1"


async def test_an_argo_resource_becomes_a_repository_secret_with_the_keys_of_old(scene: Scene) -> None:
    url = "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/charts"
    await scene.create(argo_secret("charts", region="eu-west-1", url=url))
    async with scene.operator():
        await scene.ready("charts", kind=ARGO_SECRETS)
    secret = await scene.secret("charts-login")
    assert reading.decoded(secret) == {
        "username": "AWS",
        "password": scene.aws.services.passwords[0],
        "url": url,
        "name": "charts-login",
        "type": "helm",
        "enableOCI": "true",
    }
    assert secret["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "ecr-secret-operator",
        "argocd.argoproj.io/secret-type": "repository",
    }


async def test_a_generated_secret_says_whose_it_is_and_how_long_it_lives(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        (resource,) = await scene.ready("pull")
    secret = await scene.secret("pull-login")
    token, metadata = reading.token(secret), secret["metadata"]
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "ecr.mobb.redhat.com/v1alpha1",
            "kind": "Secret",
            "name": "pull",
            "uid": resource["metadata"]["uid"],
            "controller": True,
        }
    ]
    annotations = metadata["annotations"]
    assert reading.exact_epoch(annotations[reading.EXPIRES_AT]) == pytest.approx(token.expires_at, abs=0.001)
    assert reading.exact_epoch(annotations[reading.ISSUED_AT]) == pytest.approx(token.issued_at, abs=2)


async def test_a_generated_secret_bears_one_entry_of_one_manager(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
    (entry,) = (await scene.secret("pull-login"))["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("ecr-secret-operator", "Apply")


async def test_labels_and_annotations_of_a_resource_are_not_copied(scene: Scene) -> None:
    manifest = ecr_secret("pull")
    manifest["metadata"] |= {"labels": {"argocd.argoproj.io/instance": "app"}, "annotations": {"of": "argo"}}
    await scene.create(manifest)
    async with scene.operator():
        await scene.ready("pull")
    metadata = (await scene.secret("pull-login"))["metadata"]
    assert "argocd.argoproj.io/instance" not in metadata["labels"]
    assert "of" not in metadata["annotations"]


async def test_the_status_tells_all_there_is_to_know_in_utc_with_seconds(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", frequency="2h"))
    async with scene.operator():
        (resource,) = await scene.ready("pull")
    status, token = resource["status"], await scene.token("pull-login")
    assert reading.epoch(status["lastUpdatedTime"]) == pytest.approx(token.issued_at, abs=2)
    assert reading.epoch(status["expirationTime"]) == int(token.expires_at)
    until_next = reading.epoch(status["nextRefreshTime"]) - reading.epoch(status["lastUpdatedTime"])
    assert 0.95 * 2 * 3600 - 1 <= until_next <= 2 * 3600
    assert status == {
        "phase": "Updated",
        "lastUpdatedTime": status["lastUpdatedTime"],
        "observedGeneration": 1,
        "secretName": "pull-login",
        "expirationTime": status["expirationTime"],
        "nextRefreshTime": status["nextRefreshTime"],
        "conditions": [_condition(resource, "Ready"), _condition(resource, "Refreshed")],
    }


def _condition(resource: Json, name: str) -> Json:
    """Return a good condition as it has to be, with words and time of the one that is there."""
    there = reading.condition(resource, name)
    assert reading.epoch(there["lastTransitionTime"])
    assert there["message"]
    return {
        "type": name,
        "status": "True",
        "observedGeneration": 1,
        "reason": "Refreshed",
        "message": there["message"],
        "lastTransitionTime": there["lastTransitionTime"],
    }


async def test_many_resources_cost_two_writes_each_and_one_call_to_aws_per_region(scene: Scene) -> None:
    regions = ("us-east-1", "us-east-2", "eu-west-1")
    names = [f"r{number}" for number in range(12)]
    for number, name in enumerate(names):
        kind = argo_secret if number % 4 == 0 else ecr_secret
        await scene.create(kind(name, region=regions[number % 3]))
    async with scene.operator():
        expected = {SECRET_WRITE: 12, STATUS_WRITE: 9, ARGO_STATUS_WRITE: 3}
        await scene.writes_are(expected)
    assert sorted(call.region for call in scene.aws.calls) == sorted(regions)
    tokens = [await scene.token(f"{name}-login") for name in names]
    assert [token.region for token in tokens] == [regions[number % 3] for number in range(12)]


async def test_a_resource_made_while_the_operator_runs_is_served_at_once(scene: Scene) -> None:
    async with scene.operator():
        await scene.watching()
        await scene.create(ecr_secret("pull"))
        await scene.ready("pull", within=1)


@pytest.mark.parametrize(
    ("spec", "region"),
    [
        pytest.param(
            {"region": None, "ecr_registry": registry("sa-east-1")}, "sa-east-1", id="region absent"
        ),
        pytest.param({"frequency": None}, "us-east-1", id="frequency absent"),
        pytest.param(
            {"ecr_registry": "https://123456789012.dkr.ecr.us-east-1.amazonaws.com/v2/"},
            "us-east-1",
            id="a host with scheme and path",
        ),
        pytest.param({"ecr_registry": "ecr.example.com:8443"}, "us-east-1", id="a proxy, with its region"),
        pytest.param({"ecr_registry": "public.ecr.aws", "region": None}, "us-east-1", id="ECR Public"),
    ],
)
async def test_a_registry_is_written_verbatim_with_the_token_of_its_region(
    scene: Scene, spec: dict[str, str | None], region: str
) -> None:
    manifest = ecr_secret("pull", **spec)
    await scene.create(manifest)
    async with scene.operator():
        await scene.ready("pull")
    secret = await scene.secret("pull-login")
    assert (
        f'{{"auths":{{"{manifest["spec"]["ecr_registry"]}":' in reading.decoded(secret)[".dockerconfigjson"]
    )
    token = reading.token(secret)
    assert (token.region, token.service.endswith("public")) == (region, "public" in str(manifest["spec"]))


async def test_kubectl_shows_both_kinds_with_what_one_asks_first(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"), argo_secret("charts"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
    shown = await asyncio.to_thread(_kubectl, scene, "get", "ecr")
    header, row = next(lines.splitlines() for lines in shown.split("\n\n") if "REGISTRY" in lines)
    columns = ["NAME", "READY", "REASON", "REGISTRY", "SECRET", "EXPIRES", "REFRESHED", "AGE"]
    assert header.split() == columns
    expires = (await scene.resource("pull", ECR_SECRETS))["status"]["expirationTime"]
    expected = ["secret.ecr.mobb.redhat.com/pull", "True", "Refreshed", registry(), "pull-login", expires]
    assert row.split()[:6] == expected
    assert "argohelmreposecret.ecr.mobb.redhat.com/charts" in shown


def _kubectl(scene: Scene, *arguments: str) -> str:
    command: list[str | Path] = [
        KUBECTL,
        "--kubeconfig",
        scene.kubeconfig,
        "--namespace",
        scene.namespace,
        *arguments,
    ]
    environment = {"HOME": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
