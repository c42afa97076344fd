"""While a resource is being deleted nothing is written for it; with Orphan its Secret stays."""

import asyncio

from lab.api import ARGO_SECRETS, ECR_SECRETS, Resource
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import accepted, kept, owner_reference, secret_writes
from tests.cluster.scene import QUIET, Scene

COLLECTED = 90.0
MANY = [f"pull{number}" for number in range(10)]
LOGINS = [f"{name}-login" for name in MANY]


async def _delete(scene: Scene, name: str, propagation: str, kind: Resource = ECR_SECRETS) -> None:
    path = kind.path(name, scene.namespace)
    await scene.api.request("DELETE", path, query={"propagationPolicy": propagation})


async def _resources_are_gone(scene: Scene) -> None:
    async def look() -> bool:
        return not await scene.api.list(ECR_SECRETS, scene.namespace)

    await wait_for(look, COLLECTED, "the resources gone")


async def test_with_cascade_orphan_every_secret_stays_while_tokens_are_renewed_and_is_taken_back(
    collected: Scene,
) -> None:
    collected.aws.token_life = 6
    await collected.create(*map(ecr_secret, MANY))
    async with collected.operator():
        await collected.ready(*MANY)
        for name in MANY:
            await _delete(collected, name, "Orphan")
            await asyncio.sleep(0.1)
        await _resources_are_gone(collected)
        # What the collector would delete it deletes now.
        await asyncio.sleep(2 * QUIET)
        left = await collected.secrets(*LOGINS)
        assert not any("ownerReferences" in secret["metadata"] for secret in left)
        collected.aws.token_life = 3600
        await collected.create(*map(ecr_secret, MANY))
        resources = await collected.ready(*MANY)
    after = await collected.secrets(*LOGINS)
    assert [kept(each)[0] for each in after] == [kept(each)[0] for each in left]
    owners = [each["metadata"]["ownerReferences"] for each in after]
    assert owners == [[owner_reference(each)] for each in resources]


async def test_what_the_collector_deletes_is_never_made_again(collected: Scene) -> None:
    await collected.create(*map(ecr_secret, MANY), argo_secret("charts"))
    async with collected.operator() as operator:
        await collected.ready(*MANY)
        await collected.ready("charts", kind=ARGO_SECRETS)
        collected.mark()
        await _delete(collected, "charts", "Foreground", ARGO_SECRETS)
        await asyncio.gather(
            *(_delete(collected, name, ("Foreground", "Background")[at % 2]) for at, name in enumerate(MANY))
        )
        await _resources_are_gone(collected)
        await collected.gone(*LOGINS, "charts-login", within=COLLECTED)
        await asyncio.sleep(QUIET)
        await collected.gone(*LOGINS, "charts-login", within=0)
        assert secret_writes(collected) == []
        assert not accepted(collected)
        assert '"level": "warning"' not in operator.log.read_text()
        # One created again while the Secret of the former one is collected gets its own.
        await collected.create(ecr_secret("pull"))
        await collected.ready("pull")
        await collected.delete("pull", ECR_SECRETS)
        await collected.create(ecr_secret("pull"))
        (resource,) = await collected.ready("pull", within=COLLECTED)

        async def is_owned() -> bool:
            secret = await collected.find_secret("pull-login")
            return secret is not None and secret["metadata"]["ownerReferences"] == [owner_reference(resource)]

        await wait_for(is_owned, COLLECTED, "a Secret of its own")
    assert collected.aws.count() <= 2


async def test_an_orphan_stays_when_its_resource_goes_and_is_taken_back_when_it_comes_again(
    collected: Scene,
) -> None:
    logins = ("pull-login", "charts-login")
    orphans = [ecr_secret("pull", deletion_policy="Orphan"), argo_secret("charts", deletion_policy="Orphan")]
    await collected.create(*orphans, ecr_secret("other"))
    async with collected.operator():
        await collected.ready("pull", "other")
        await collected.ready("charts", kind=ARGO_SECRETS)
    collected.mark()
    async with collected.operator():
        await collected.watching()
        await collected.writes_are({})
        # It is known after a restart, and repaired like any other.
        for login in logins:
            await collected.delete(login)
            assert "ownerReferences" not in (await collected.appears(login))["metadata"]
        before = await collected.secrets(*logins)
        for name, kind in {"pull": ECR_SECRETS, "charts": ARGO_SECRETS, "other": ECR_SECRETS}.items():
            await collected.delete(name, kind)
        await collected.gone("other-login", within=COLLECTED)
        assert await collected.secrets(*logins) == before
        await collected.create(*orphans)
        await collected.ready("pull")
        await collected.ready("charts", kind=ARGO_SECRETS)
    assert [kept(each) for each in await collected.secrets(*logins)] == [kept(each) for each in before]
    # One at first, and one for the repairs after the restart.
    assert collected.aws.count() == 2
