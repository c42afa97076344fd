"""`check` against a real API server: the rights that it names are those that the operator needs."""

from pathlib import Path

from ecr_operator.kube.access_review import NEEDS
from lab import commands
from lab.api import Json
from lab.commands import Ended
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene
from tests.cluster.users import rule, user


def required_rules() -> list[Json]:
    """Rules for what every installation needs in the namespaces that it serves."""
    needs = [each for each in NEEDS if each.required and each.place == "served"]
    return [rule(each.group, [each.resource], *each.verbs) for each in needs]


async def check(scene: Scene, kubeconfig: Path, *arguments: str) -> Ended:
    return await commands.run("check", *arguments, kubeconfig=kubeconfig, aws=scene.aws.url)


async def test_with_the_installed_rights_every_check_passes(scene: Scene) -> None:
    ended = await check(scene, scene.kubeconfig, "--region", "us-east-1", "--leader-elect")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("All required checks passed.\n")
    assert not {"✗", "○"} & set(ended.out)
    assert "leases.coordination.k8s.io: get, create, update" in ended.out
    assert f", as {scene.user}\n" in ended.out


async def test_the_required_rights_are_enough_for_check_and_for_the_operator(scene: Scene) -> None:
    least = await user(scene, "least", *required_rules())
    ended = await check(scene, least, "-n", scene.namespace)
    assert ended.code == 0
    assert "○ rights        events.events.k8s.io: no create" in ended.out
    scene.kubeconfig = least
    await scene.create(ecr_secret("pull"))
    async with scene.operator() as operator:
        await scene.ready("pull")
        await scene.change("pull", {"generated_secret_name": "renamed"})
        await wait_for(lambda: scene.find_secret("renamed"), what="the new Secret")

        async def deleted() -> bool:
            return await scene.find_secret("pull-login") is None

        await wait_for(deleted, what="the old Secret is deleted")
        # On a busy machine AWS may be so slow that the resource is Pending first, which is an Event then.
        lines = [line for line in operator.tail(1000).splitlines() if "Event" not in line]
        assert not [line for line in lines if '"level": "warning"' in line]
