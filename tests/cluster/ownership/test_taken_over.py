"""A Secret of ours whose owner is gone is taken over as it stands by the resource that names it now.

On a plane without a garbage collector, which would delete such a Secret sooner or later.
"""

import uuid

from lab.api import ARGO_SECRETS, Json
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import OURS, kept, kind_of, owner_reference, refused
from tests.cluster.scene import Scene

MANAGER = "ecr-secret-operator"


def _orphan(resource: Json) -> Json:
    """Make a Secret of ours as a restored backup holds it, owned by a deleted resource."""
    secret = v060.generated_secret(resource, v060.new_password())
    names = {"apiVersion": resource["apiVersion"], "kind": resource["kind"], "name": "is-no-more"}
    metadata = {
        "name": secret["metadata"]["name"],
        "labels": OURS,
        "ownerReferences": [{**names, "uid": str(uuid.uuid4()), "controller": True}],
    }
    return {**secret, "metadata": metadata}


async def test_a_secret_of_ours_is_taken_over_when_its_owner_is_gone(rough: Scene) -> None:
    for resource in (ecr_secret("pull"), argo_secret("charts")):
        await rough.api.apply(_orphan(resource), rough.namespace, manager=MANAGER)
        await rough.create(resource)
    # Without our manager's fields it stays.
    foreign = await v060.created_by(rough, "kubectl-edit", _orphan(ecr_secret("foreign")))
    await rough.create(ecr_secret("foreign"))
    before = await rough.secrets("pull-login", "charts-login")
    async with rough.operator():
        await refused(rough, ecr_secret("foreign"), "Secret is-no-more")
        await _are_taken_over(rough, [each["metadata"]["uid"] for each in before])
        before = await rough.secrets("pull-login", "charts-login")
        # Deleted and created again, a resource has its Secret back.
        for resource in (ecr_secret("pull"), argo_secret("charts")):
            await rough.delete(resource["metadata"]["name"], kind_of(resource))
            await rough.create(resource)
        await _are_taken_over(rough, [each["metadata"]["uid"] for each in before])
    after = await rough.secrets("pull-login", "charts-login")
    assert [kept(each) for each in after] == [kept(each) for each in before]
    assert await rough.secret("foreign-login") == foreign
    assert rough.aws.count() == 1


async def _are_taken_over(scene: Scene, uids: list[str]) -> None:
    (pull,) = await scene.ready("pull")
    (charts,) = await scene.ready("charts", kind=ARGO_SECRETS)
    for resource, uid in zip((pull, charts), uids, strict=True):
        login = f"{resource['metadata']['name']}-login"
        after = (await scene.secret(login))["metadata"]
        assert (after["uid"], after["ownerReferences"]) == (uid, [owner_reference(resource)])
        assert (await scene.token(login)).serial == 1
