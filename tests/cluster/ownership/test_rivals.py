"""Two resources that name one Secret: one has it, the other reports it and takes over when it is free."""

import asyncio

from lab.api import Json
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import ADOPT, kind_of, owner_reference, refused
from tests.cluster.scene import Scene

COLLECTED = 90.0
MAKE = {"Secret": ecr_secret, "ArgoHelmRepoSecret": argo_secret}
PAIRS = {
    "ss": ("Secret", "Secret"),
    "sa": ("Secret", "ArgoHelmRepoSecret"),
    "as": ("ArgoHelmRepoSecret", "Secret"),
    "aa": ("ArgoHelmRepoSecret", "ArgoHelmRepoSecret"),
}


def _pair(name: str, order: tuple[str, str]) -> tuple[Json, Json]:
    """Make two resources of these kinds that name one Secret; the first is to be the older."""
    first, second = (
        MAKE[kind](f"{name}-{age}", generated_secret_name=f"{name}-shared")
        for kind, age in zip(order, ("older", "younger"), strict=True)
    )
    return first, second


async def _create_pairs(scene: Scene, pairs: list[tuple[Json, Json]]) -> None:
    await scene.create(*(older for older, _ in pairs))
    await asyncio.sleep(1.1)  # creationTimestamp has seconds
    await scene.create(*(younger for _, younger in pairs))


async def _owns(scene: Scene, resource: Json, secret: str) -> None:
    """Check that a resource is Ready and that the Secret names it and it alone."""
    (found,) = await scene.ready(resource["metadata"]["name"], kind=kind_of(resource))
    owners = (await scene.secret(secret))["metadata"]["ownerReferences"]
    assert owners == [owner_reference(found)]


def _words(resource: Json) -> str:
    return f"{resource['kind']} {resource['metadata']['name']}"


async def test_the_older_gets_the_secret_and_the_younger_when_it_is_free_and_keeps_it(scene: Scene) -> None:
    pairs = {name: _pair(name, order) for name, order in PAIRS.items()}
    await _create_pairs(scene, list(pairs.values()))
    async with scene.operator():
        for name, (older, younger) in pairs.items():
            await _owns(scene, older, f"{name}-shared")
            await refused(scene, younger, _words(older))
        await scene.delete("ss-shared")
        await scene.appears("ss-shared")
        await _owns(scene, pairs["ss"][0], "ss-shared")
        for name, (older, younger) in pairs.items():
            await _rename(scene, older, f"{name}-own")
            await _owns(scene, younger, f"{name}-shared")
            await _owns(scene, older, f"{name}-own")
        # The one that the ownerReference names keeps it from an older one, also after a restart.
        for name, (older, younger) in pairs.items():
            await _rename(scene, older, f"{name}-shared")
            await refused(scene, older, _words(younger))
    before = [reading.essence(await scene.secret(f"{name}-shared")) for name in pairs]
    scene.mark()
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
    assert [reading.essence(await scene.secret(f"{name}-shared")) for name in pairs] == before
    assert scene.aws.count() == 1


async def _rename(scene: Scene, resource: Json, name: str) -> None:
    await scene.change(resource["metadata"]["name"], {"generated_secret_name": name}, kind_of(resource))


async def test_the_younger_takes_over_when_the_older_is_deleted_and_its_secret_collected(
    collected: Scene,
) -> None:
    pairs = {name: _pair(name, order) for name, order in PAIRS.items()}
    await _create_pairs(collected, list(pairs.values()))
    async with collected.operator():
        for older, younger in pairs.values():
            await refused(collected, younger, _words(older))
            await collected.delete(older["metadata"]["name"], kind_of(older))
        for name, (_, younger) in pairs.items():
            await collected.ready(younger["metadata"]["name"], kind=kind_of(younger), within=COLLECTED)
            await _owns(collected, younger, f"{name}-shared")
    assert collected.aws.count() == 1


async def test_a_living_resource_keeps_its_orphan_from_an_older_one_also_where_adoption_was_allowed(
    scene: Scene,
) -> None:
    older, younger = _pair("pair", ("Secret", "Secret"))
    younger["spec"] |= {"deletion_policy": "Orphan"}
    older["spec"] |= {"generated_secret_name": "own"}
    await _create_pairs(scene, [(older, younger)])
    async with scene.operator():
        await scene.ready("pair-older", "pair-younger")
        before = await scene.patch_secret("pair-shared", {"metadata": {"annotations": {ADOPT: "true"}}})
        await _rename(scene, older, "pair-shared")
        await refused(scene, older, "Secret pair-younger")
    assert await scene.secret("pair-shared") == before
