"""Two resources that name one Secret: one has it, the other says so and takes over when it is free."""

import asyncio

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json, Resource
from lab.control_plane import ControlPlane
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import ADOPT, owner_reference, refused
from tests.cluster.scene import Scene

# The collector may just have been started, and looks for new kinds every 30 s.
COLLECTED = 45.0
MAKE = {"Secret": ecr_secret, "ArgoHelmRepoSecret": argo_secret}
PAIRS = {
    "ss": ("Secret", "Secret"),
    "sa": ("Secret", "ArgoHelmRepoSecret"),
    "as": ("ArgoHelmRepoSecret", "Secret"),
    "aa": ("ArgoHelmRepoSecret", "ArgoHelmRepoSecret"),
}


def _kind(resource: Json) -> Resource:
    return ECR_SECRETS if resource["kind"] == "Secret" else ARGO_SECRETS


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
    (found,) = await scene.ready(resource["metadata"]["name"], kind=_kind(resource))
    owners = (await scene.secret(secret))["metadata"]["ownerReferences"]
    assert owners == [owner_reference(found)]


def _words(resource: Json) -> str:
    return f"{resource['kind']} {resource['metadata']['name']}"


async def test_the_older_gets_the_secret_and_the_younger_takes_over_when_it_is_renamed(scene: Scene) -> None:
    pairs = {name: _pair(name, order) for name, order in PAIRS.items()}
    await _create_pairs(scene, list(pairs.values()))
    async with scene.operator():
        for name, (older, younger) in pairs.items():
            await _owns(scene, older, f"{name}-shared")
            await refused(scene, younger, _words(older))
        for name, (older, _) in pairs.items():
            spec = {"generated_secret_name": f"{name}-own"}
            await scene.change(older["metadata"]["name"], spec, _kind(older))
        for name, (older, younger) in pairs.items():
            await scene.ready(younger["metadata"]["name"], kind=_kind(younger), within=5)
            await _owns(scene, younger, f"{name}-shared")
            await _owns(scene, older, f"{name}-own")
    assert scene.aws.count() == 1


async def test_the_younger_takes_over_when_the_older_is_deleted_and_its_secret_collected(
    garbage_collector: ControlPlane, scene: Scene
) -> None:
    assert scene.plane is garbage_collector
    pairs = {name: _pair(name, order) for name, order in PAIRS.items()}
    await _create_pairs(scene, list(pairs.values()))
    async with scene.operator():
        for older, younger in pairs.values():
            await refused(scene, younger, _words(older))
            await scene.delete(older["metadata"]["name"], _kind(older))
        for name, (_, younger) in pairs.items():
            await scene.ready(younger["metadata"]["name"], kind=_kind(younger), within=COLLECTED)
            await _owns(scene, younger, f"{name}-shared")
    assert scene.aws.count() == 1


async def test_the_one_that_the_owner_reference_names_keeps_the_secret_from_an_older_one_also_after_a_restart(
    scene: Scene,
) -> None:
    pairs = {name: _pair(name, order) for name, order in PAIRS.items()}
    for older, _ in pairs.values():
        older["spec"]["generated_secret_name"] = f"{older['metadata']['name']}-own"
    await _create_pairs(scene, list(pairs.values()))
    async with scene.operator():
        for name, (older, younger) in pairs.items():
            await _owns(scene, younger, f"{name}-shared")
            spec = {"generated_secret_name": f"{name}-shared"}
            await scene.change(older["metadata"]["name"], spec, _kind(older))
        for older, younger in pairs.values():
            await refused(scene, older, _words(younger), within=5)
    before = {name: reading.essence(await scene.secret(f"{name}-shared")) for name in pairs}
    scene.mark()
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
    assert {name: reading.essence(await scene.secret(f"{name}-shared")) for name in pairs} == before


async def test_a_living_resource_keeps_its_orphan_from_an_older_one_also_where_adoption_was_allowed(
    scene: Scene,
) -> None:
    older, younger = _pair("pair", ("Secret", "Secret"))
    younger["spec"] |= {"deletion_policy": "Orphan"}
    older["spec"] |= {"generated_secret_name": "own"}
    await _create_pairs(scene, [(older, younger)])
    async with scene.operator():
        await scene.ready("pair-older", "pair-younger")
        marked = {"metadata": {"annotations": {ADOPT: "true"}}}
        await scene.api.merge_patch(SECRETS, "pair-shared", marked, scene.namespace)
        before = await scene.secret("pair-shared")
        await scene.change("pair-older", {"generated_secret_name": "pair-shared"})
        await refused(scene, older, "Secret pair-younger", within=5)
    assert await scene.secret("pair-shared") == before
