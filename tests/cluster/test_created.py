"""From a custom resource to a live login on the real API server, and to what kubectl prints of it."""

from pathlib import Path

import pytest

from lab.kubectl import kubectl
from tests.cluster import reading
from tests.cluster.builders import ecr_secret, registry
from tests.cluster.ownership.conflicts import OURS, owner_reference
from tests.cluster.scene import Scene


async def test_a_resource_becomes_a_pull_secret_a_status_and_a_row_of_kubectl(
    scene: Scene, tmp_path: Path
) -> None:
    pull = ecr_secret("pull", region="eu-west-1", frequency="2h")
    pull["metadata"] |= {"labels": {"argocd.argoproj.io/instance": "app"}, "annotations": {"of": "argo"}}
    await scene.create(pull)
    async with scene.operator():
        (resource,) = await scene.ready("pull")
    secret = await scene.secret("pull-login")
    token, metadata, status = reading.token(secret), secret["metadata"], resource["status"]
    assert (secret["type"], token.region) == ("kubernetes.io/dockerconfigjson", "eu-west-1")
    # Nothing is copied from the resource.
    assert metadata["labels"] == OURS
    assert "of" not in metadata["annotations"]
    assert metadata["ownerReferences"] == [owner_reference(resource)]
    (entry,) = metadata["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("ecr-secret-operator", "Apply")
    expires = reading.exact_epoch(metadata["annotations"][reading.EXPIRES_AT])
    assert expires == pytest.approx(token.expires_at, abs=0.001)
    assert reading.epoch(status["expirationTime"]) == int(token.expires_at)
    assert reading.epoch(status["lastUpdatedTime"]) == pytest.approx(token.issued_at, abs=5)
    arguments = ("get", "ecr", "-n", scene.namespace)
    shown = await kubectl(*arguments, kubeconfig=scene.plane.kubeconfig, home=tmp_path)
    header, row = (line.split() for line in shown.splitlines()[:2])
    assert header == ["NAME", "READY", "REASON", "REGISTRY", "SECRET", "EXPIRES", "REFRESHED", "AGE"]
    expected = ["True", "Refreshed", registry("eu-west-1"), "pull-login", status["expirationTime"]]
    assert row[1:6] == expected
