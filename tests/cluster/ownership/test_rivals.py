"""Two resources that name one Secret: the older has it, and the younger when it is free."""

import asyncio

from lab.api import Json
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import kind_of, owner_reference, refused
from tests.cluster.scene import Scene

COLLECTED = 90.0
MAKE = {"s": ecr_secret, "a": argo_secret}


def _pair(kinds: str) -> tuple[Json, Json]:
    """Make two resources of these kinds that name one Secret; the first is to be the older."""
    first, second = (
        MAKE[kind](f"{kinds}-{age}", generated_secret_name=f"{kinds}-shared")
        for kind, age in zip(kinds, ("older", "younger"), strict=True)
    )
    return first, second


async def _owns(scene: Scene, resource: Json, secret: str) -> None:
    """Check that a resource is Ready and that the Secret names it and it alone."""
    name = resource["metadata"]["name"]
    (found,) = await scene.ready(name, kind=kind_of(resource), within=COLLECTED)
    owners = (await scene.secret(secret))["metadata"]["ownerReferences"]
    assert owners == [owner_reference(found)]


async def test_the_younger_takes_over_when_the_older_is_renamed_or_deleted_and_its_secret_collected(
    collected: Scene,
) -> None:
    pairs = {kinds: _pair(kinds) for kinds in ("ss", "sa", "as", "aa")}
    await collected.create(*(older for older, _ in pairs.values()))
    await asyncio.sleep(1.1)  # creationTimestamp has seconds
    await collected.create(*(younger for _, younger in pairs.values()))
    async with collected.operator():
        for kinds, (older, younger) in pairs.items():
            await _owns(collected, older, f"{kinds}-shared")
            await refused(collected, younger, f"{older['kind']} {kinds}-older")
            if kinds in ("ss", "aa"):
                await collected.change(
                    f"{kinds}-older", {"generated_secret_name": f"{kinds}-own"}, kind_of(older)
                )
            else:
                await collected.delete(f"{kinds}-older", kind_of(older))
        for kinds, (_, younger) in pairs.items():
            await _owns(collected, younger, f"{kinds}-shared")
    assert collected.aws.count() == 1
