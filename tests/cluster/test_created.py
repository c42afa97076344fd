"""From a custom resource to a live login: what is written, and at what cost."""

import base64
from pathlib import Path

import pytest

from lab.api import ARGO_SECRETS, Json
from lab.kubectl import kubectl
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.scene import ARGO_STATUS_WRITE, SECRET_WRITE, STATUS_WRITE, Scene


async def test_a_resource_becomes_a_pull_secret_and_a_status(scene: Scene, tmp_path: Path) -> None:
    pull = ecr_secret("pull", region="eu-west-1", frequency="2h")
    pull["metadata"] |= {"labels": {"argocd.argoproj.io/instance": "app"}, "annotations": {"of": "argo"}}
    await scene.create(pull)
    async with scene.operator():
        (resource,) = await scene.ready("pull")
    secret = await scene.secret("pull-login")
    _check_content(scene, secret)
    _check_metadata(resource, secret)
    _check_status(resource, secret)
    shown = await kubectl(
        "get", "ecr", "-n", scene.namespace, kubeconfig=scene.plane.kubeconfig, home=tmp_path
    )
    header, row = shown.splitlines()[:2]
    columns = ["NAME", "READY", "REASON", "REGISTRY", "SECRET", "EXPIRES", "REFRESHED", "AGE"]
    assert header.split() == columns
    expected = [
        "True",
        "Refreshed",
        registry("eu-west-1"),
        "pull-login",
        resource["status"]["expirationTime"],
    ]
    assert row.split()[1:6] == expected


def _check_content(scene: Scene, secret: Json) -> None:
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


def _check_metadata(resource: Json, secret: Json) -> None:
    token, metadata = reading.token(secret), secret["metadata"]
    # Nothing is copied from the resource.
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
    assert "of" not in metadata["annotations"]
    owner = {"apiVersion": resource["apiVersion"], "kind": "Secret", "name": "pull", "controller": True}
    assert metadata["ownerReferences"] == [{**owner, "uid": resource["metadata"]["uid"]}]
    annotations = metadata["annotations"]
    assert reading.exact_epoch(annotations[reading.EXPIRES_AT]) == pytest.approx(token.expires_at, abs=0.001)
    assert reading.exact_epoch(annotations[reading.ISSUED_AT]) == pytest.approx(token.issued_at, abs=5)
    (entry,) = metadata["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("ecr-secret-operator", "Apply")


def _check_status(resource: Json, secret: Json) -> None:
    status, token = resource["status"], reading.token(secret)
    assert reading.epoch(status["lastUpdatedTime"]) == pytest.approx(token.issued_at, abs=5)
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
    """Return a good condition as it has to be, with message and time of the one that is there."""
    there = reading.condition(resource, name)
    assert reading.epoch(there["lastTransitionTime"])
    assert there["message"]
    return there | {"type": name, "status": "True", "observedGeneration": 1, "reason": "Refreshed"}


async def test_an_argo_resource_becomes_a_repository_secret(scene: Scene) -> None:
    url = "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/charts"
    empty = argo_secret("empty", frequency="", project="", credential_scope="", repo_type="")
    await scene.create(argo_secret("charts", region="eu-west-1", url=url), empty)
    async with scene.operator():
        await scene.ready("charts", "empty", kind=ARGO_SECRETS)
    secret = await scene.secret("charts-login")
    keys = {"username": "AWS", "url": url, "name": "charts-login", "type": "helm", "enableOCI": "true"}
    assert reading.decoded(secret) == {**keys, "password": reading.password(secret)}
    assert secret["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "ecr-secret-operator",
        "argocd.argoproj.io/secret-type": "repository",
    }
    data = reading.decoded(await scene.secret("empty-login"))
    assert (data["type"], "project" in data) == ("helm", False)


async def test_many_resources_cost_two_writes_each_and_one_call_to_aws_per_region(scene: Scene) -> None:
    regions = ("us-east-1", "us-east-2", "eu-west-1")
    names = [f"r{number}" for number in range(12)]
    async with scene.operator():
        await scene.watching()
        for number, name in enumerate(names):
            kind = argo_secret if number % 4 == 0 else ecr_secret
            await scene.create(kind(name, region=regions[number % 3]))
        expected = {SECRET_WRITE: 12, STATUS_WRITE: 9, ARGO_STATUS_WRITE: 3}
        await scene.writes_are(expected)
    assert sorted(call.region for call in scene.aws.calls) == sorted(regions)
    tokens = [await scene.token(f"{name}-login") for name in names]
    assert [token.region for token in tokens] == [regions[number % 3] for number in range(12)]
