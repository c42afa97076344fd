"""WATCH_NAMESPACE: one, several, all; what is not watched is not touched."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from lab import audit
from lab.api import ECR_SECRETS, SECRETS, Api, Json
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import QUIET, Scene


@asynccontextmanager
async def _three(scene: Scene) -> AsyncIterator[list[str]]:
    """Make three namespaces with a resource each, the scene's own first."""
    names = [scene.namespace, await scene.api.create_namespace(), await scene.api.create_namespace()]
    for name in names:
        await scene.api.create(ecr_secret("pull"), name)
    yield names
    for name in names:
        await scene.api.delete_all(ECR_SECRETS, name)
        await scene.api.delete_all(SECRETS, name)


async def _all_served(api: Api, namespaces: Sequence[str]) -> None:
    async def served() -> bool:
        found = [await api.get(ECR_SECRETS, "pull", name) for name in namespaces]
        return all(each.get("status", {}).get("phase") == "Updated" for each in found)

    await wait_for(served, what=f"resources in {namespaces}")
    for name in namespaces:
        assert await api.get(SECRETS, "pull-login", name)


async def _untouched(api: Api, namespace: str) -> bool:
    resource: Json = await api.get(ECR_SECRETS, "pull", namespace)
    return "status" not in resource and not await api.list(SECRETS, namespace)


async def test_only_namespaces_that_are_named_are_served_and_asked_for(scene: Scene) -> None:
    async with _three(scene) as three:
        async with scene.operator(watch=f"{three[0]},{three[1]}"):
            await _all_served(scene.api, three[:2])
            await asyncio.sleep(QUIET)
        assert await _untouched(scene.api, three[2])
    assert _asked_for(scene) == set(three[:2])
    assert sum(number for request, number in scene.requests().items() if request.verb == "watch") == 3 * 2
    assert scene.aws.count() == 1


def _asked_for(scene: Scene) -> set[str]:
    entries = audit.entries(scene.plane.audit_log, scene.since, user=scene.user)
    mine = [entry.get("objectRef", {}) for entry in entries]
    return {target.get("namespace", "(all)") for target in mine if "resource" in target}


async def test_without_a_name_all_namespaces_are_served(whole: Scene) -> None:
    async with _three(whole) as three, whole.operator(watch=""):
        await _all_served(whole.api, three)
        another = await whole.api.create_namespace()
        await whole.api.create(ecr_secret("pull"), another)
        await _all_served(whole.api, [another])
    await whole.api.delete_all(ECR_SECRETS, another)


def _warned_of(operator: OperatorProcess) -> list[str]:
    lines = [json.loads(line) for line in operator.log.read_text().splitlines() if "WATCH_NAMESPACE" in line]
    return [line["namespace"] for line in lines]


async def test_a_namespace_that_comes_later_is_logged_and_served_from_then_on(scene: Scene) -> None:
    later = f"{scene.namespace}-later"
    async with scene.operator(watch=f"{scene.namespace},{later}") as operator:
        await scene.watching(6)
        await wait_for(lambda: _warned_of(operator) == [later], what="a warning that names it")
        await scene.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": later}})
        await scene.api.create(ecr_secret("pull"), later)
        await _all_served(scene.api, [later])
    await scene.api.delete_all(ECR_SECRETS, later)
