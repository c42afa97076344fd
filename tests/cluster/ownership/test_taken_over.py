"""A Secret of ours whose owner is gone is taken over as it stands by the resource that names it now.

On a plane without a garbage collector, which would delete such a Secret sooner or later.
"""

import asyncio
import uuid

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import OURS, owner_reference, refused
from tests.cluster.scene import QUIET, Scene

MANAGER = "ecr-secret-operator"
AT_ONCE = 5.0
SHARED = {"generated_secret_name": "shared"}


def _orphan(resource: Json) -> Json:
    """Make a Secret of ours as a restored backup holds it, owned by a resource that is no more."""
    secret = v060.generated_secret(resource, v060.new_password())
    names = {"apiVersion": resource["apiVersion"], "kind": resource["kind"], "name": "is-no-more"}
    metadata = {
        "name": secret["metadata"]["name"],
        "labels": OURS,
        "ownerReferences": [{**names, "uid": str(uuid.uuid4()), "controller": True}],
    }
    return {**secret, "metadata": metadata}


async def test_a_secret_of_ours_whose_owner_never_was_here_is_taken_over(rough: Scene) -> None:
    for resource in (ecr_secret("pull"), argo_secret("charts")):
        await rough.api.apply(_orphan(resource), rough.namespace, manager=MANAGER)
        await rough.create(resource)
    before = {name: await rough.secret(f"{name}-login") for name in ("pull", "charts")}
    async with rough.operator():
        resources = {
            "pull": (await rough.ready("pull"))[0],
            "charts": (await rough.ready("charts", kind=ARGO_SECRETS))[0],
        }
    for name, resource in resources.items():
        after = (await rough.secret(f"{name}-login"))["metadata"]
        assert after["ownerReferences"] == [owner_reference(resource)]
        assert after["uid"] == before[name]["metadata"]["uid"]
        assert (await rough.token(f"{name}-login")).serial == 1


async def test_a_secret_without_our_managers_fields_is_not_taken_over_though_its_owner_is_gone(
    rough: Scene,
) -> None:
    before = await v060.created_by(rough, "kubectl-edit", _orphan(ecr_secret("pull")))
    await rough.create(ecr_secret("pull"))
    async with rough.operator():
        await refused(rough, ecr_secret("pull"), "Secret is-no-more")
        await asyncio.sleep(QUIET)
    assert await rough.secret("pull-login") == before


async def test_a_resource_that_is_deleted_and_made_again_has_its_secret_back_without_aws(
    rough: Scene,
) -> None:
    await rough.create(ecr_secret("pull"), argo_secret("charts"))
    async with rough.operator():
        await rough.ready("pull")
        await rough.ready("charts", kind=ARGO_SECRETS)
        before = {name: await rough.secret(f"{name}-login") for name in ("pull", "charts")}
        await asyncio.gather(_remake(rough, ecr_secret("pull")), _remake(rough, argo_secret("charts")))
        resources = {
            "pull": (await rough.ready("pull", within=AT_ONCE))[0],
            "charts": (await rough.ready("charts", kind=ARGO_SECRETS, within=AT_ONCE))[0],
        }
    for name, resource in resources.items():
        after = await rough.secret(f"{name}-login")
        assert after["metadata"]["ownerReferences"] == [owner_reference(resource)]
        assert (after["metadata"]["uid"], after["data"]) == (
            before[name]["metadata"]["uid"],
            before[name]["data"],
        )
    assert rough.aws.count() == 1


async def _remake(scene: Scene, resource: Json) -> None:
    kind = ECR_SECRETS if resource["kind"] == "Secret" else ARGO_SECRETS
    await scene.delete(resource["metadata"]["name"], kind)
    await scene.create(resource)


async def test_another_resource_takes_over_at_once_when_the_owner_is_deleted_while_its_secret_stays(
    rough: Scene,
) -> None:
    await rough.create(ecr_secret("first", **SHARED))
    async with rough.operator():
        await rough.ready("first")
        await rough.create(argo_secret("second", **SHARED))
        await refused(rough, argo_secret("second"), "Secret first")
        await rough.delete("first", ECR_SECRETS)
        (second,) = await rough.ready("second", kind=ARGO_SECRETS, within=AT_ONCE)
    shared = await rough.secret("shared")
    assert shared["metadata"]["ownerReferences"] == [owner_reference(second)]
    assert shared["type"] == "Opaque"
    assert rough.aws.count() == 1
