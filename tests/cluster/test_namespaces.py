"""WATCH_NAMESPACE on the real API server: a namespace that does not exist yet."""

import json

from lab.api import SECRETS
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene


def _warned_of(operator: OperatorProcess) -> list[str]:
    lines = [json.loads(line) for line in operator.log.read_text().splitlines() if "WATCH_NAMESPACE" in line]
    return [line["namespace"] for line in lines]


async def test_a_namespace_that_comes_later_is_logged_and_served_from_then_on(scene: Scene) -> None:
    later = f"{scene.namespace}-later"
    async with scene.operator(watch=f"{scene.namespace},{later}") as operator:
        await wait_for(lambda: _warned_of(operator) == [later], what="a warning that names it")
        await scene.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": later}})
        await scene.api.create(ecr_secret("pull"), later)
        await wait_for(lambda: scene.api.find(SECRETS, "pull-login", later), what="its Secret")
    await scene.clear(later)
    await scene.api.end_namespace(later)
