"""What v0.6.0 wrote is adopted with its token, at once or as soon as it can be."""

import asyncio
from typing import Any

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import OURS, kept, owner_reference, unable_to_delete
from tests.cluster.scene import ARGO_STATUS_WRITE, QUIET, SECRET_WRITE, STATUS_WRITE, Scene

REGIONS = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
RESOURCES = {"pull": (ecr_secret("pull"), ECR_SECRETS), "charts": (argo_secret("charts"), ARGO_SECRETS)}


async def test_many_are_adopted_with_one_patch_each_and_without_aws(scene: Scene) -> None:
    pulls = {f"r{number}": ecr_secret(f"r{number}", region=REGIONS[number % 4]) for number in range(24)}
    charts = {f"a{number}": argo_secret(f"a{number}", region=REGIONS[number % 4]) for number in range(16)}
    old = await asyncio.gather(
        *(v060.left_behind(scene, each, said=v060.status()) for each in (*pulls.values(), *charts.values()))
    )
    before = {secret["metadata"]["name"]: secret for secret in old}
    resources = {each["metadata"]["name"]: each for each in await _resources(scene)}
    scene.mark()
    async with scene.operator():
        await scene.ready(*pulls)
        await scene.ready(*charts, kind=ARGO_SECRETS)
        await scene.writes_are({SECRET_WRITE: 40, STATUS_WRITE: 24, ARGO_STATUS_WRITE: 16})
        assert await scene.events("r0") == await scene.events("a0") == ["Adopted"]
    for resource in await _resources(scene):
        name = resource["metadata"]["name"]
        _is_adopted(
            resources[name], resource["status"], before[f"{name}-login"], await scene.secret(f"{name}-login")
        )
    scene.mark()
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
    assert scene.aws.count() == 0


async def _resources(scene: Scene) -> list[Json]:
    return [
        each for kind in (ECR_SECRETS, ARGO_SECRETS) for each in await scene.api.list(kind, scene.namespace)
    ]


def _is_adopted(resource: Json, status: Json, before: Json, after: Json) -> None:
    """Check that a Secret is what it was, and the resource's."""
    old, new = before["metadata"], after["metadata"]
    assert kept(after) == kept(before)
    assert new["labels"] == {**old.get("labels", {}), **OURS}
    owner = {"apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": new["ownerReferences"][0]["kind"]}
    assert new["ownerReferences"] == [owner_reference({**owner, **resource})]
    updated = resource["status"]["lastUpdatedTime"]
    assert (status["phase"], status["lastUpdatedTime"]) == ("Updated", updated)
    assert reading.exact_epoch(new["annotations"][reading.ISSUED_AT]) == reading.epoch(updated)
    assert reading.exact_epoch(new["annotations"][reading.EXPIRES_AT]) == reading.epoch(updated) + v060.LIFE


async def test_an_adoption_that_kubernetes_refuses_is_reported_and_made_once_it_is_allowed(
    scene: Scene,
) -> None:
    before = await _left_behind(scene)
    allowed = scene.kubeconfig
    # Who may not delete a Secret may not give it an owner either.
    scene.kubeconfig = await unable_to_delete(scene)
    async with scene.operator() as operator:
        await wait_for(lambda: scene.requests()[SECRET_WRITE] >= 2, what="refused adoptions")
        await wait_for(lambda: '"level": "warning"' in operator.log.read_text(), what="a warning")
        first = next(line for line in operator.log.read_text().splitlines() if "warning" in line)
    assert '"KubernetesForbidden"' in first
    assert "Add the missing rule to its role" in first
    scene.kubeconfig = allowed
    async with scene.operator():
        await _are_adopted(scene, before)


async def test_a_resource_that_is_suspended_through_the_upgrade_is_adopted_when_it_resumes(
    scene: Scene,
) -> None:
    before = await _left_behind(scene, suspend=True)
    async with scene.operator():
        await scene.watching()
        await asyncio.sleep(QUIET)
        assert [kept(each) for each in await scene.secrets(*before)] == [
            kept(each) for each in before.values()
        ]
        for name, (_, kind) in RESOURCES.items():
            await scene.change(name, {"suspend": False}, kind)
        await _are_adopted(scene, before)


async def _left_behind(scene: Scene, **spec: Any) -> dict[str, Json]:
    """Create a resource of each kind with v0.6.0's Secret, and return the Secrets by name."""
    return {
        f"{name}-login": await v060.left_behind(scene, {**resource, "spec": resource["spec"] | spec})
        for name, (resource, _) in RESOURCES.items()
    }


async def _are_adopted(scene: Scene, before: dict[str, Json]) -> None:
    """Wait until Secrets are adopted with the tokens that v0.6.0 left in them."""
    for name, (_, kind) in RESOURCES.items():
        await scene.ready(name, kind=kind)
    assert [kept(each) for each in await scene.secrets(*before)] == [kept(each) for each in before.values()]
    assert scene.aws.count() == 0
