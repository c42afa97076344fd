"""`check` against a real API server: its rights, its CRDs, and users whom it knows or not."""

from pathlib import Path

from ecr_operator.kube.access_review import NEEDS
from lab import commands
from lab.api import CRDS, Json
from lab.commands import Ended
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.scene import Scene
from tests.cluster.users import rule, user


def required_rules(*without: tuple[str, str]) -> list[Json]:
    """Rules for what every installation needs in the namespaces that it serves."""
    needs = [each for each in NEEDS if each.required and each.place == "served"]
    return [
        rule(each.group, [each.resource], *(v for v in each.verbs if (each.resource, v) not in without))
        for each in needs
    ]


async def check(scene: Scene, kubeconfig: Path, *arguments: str) -> Ended:
    return await commands.run("check", *arguments, kubeconfig=kubeconfig, aws=scene.aws.url)


def line_of(ended: Ended, topic: str) -> str:
    return next(line for line in ended.out.splitlines() if topic in line)


async def test_with_the_installed_rights_every_check_passes(scene: Scene) -> None:
    ended = await check(scene, scene.kubeconfig, "--region", "us-east-1", "--leader-elect")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("All required checks passed.\n")
    assert not {"✗", "○"} & set(ended.out)
    assert "leases.coordination.k8s.io: get, create, update" in ended.out
    assert scene.user in line_of(ended, "API server")


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
        assert '"level": "warning"' not in operator.tail(1000)


async def test_a_missing_verb_fails_the_check_and_in_all_namespaces_every_verb_is_missing(
    scene: Scene,
) -> None:
    lacking = await user(scene, "lacking", *required_rules(("secrets", "delete")))
    ended = await check(scene, lacking, "cluster", "-n", scene.namespace)
    assert (ended.code, ended.out.count("✗ rights")) == (1, 1)
    assert f"✗ rights        secrets: no delete in {scene.namespace}" in ended.out
    assert "→ grant what config/rbac/role.yaml grants" in ended.out
    everywhere = await check(scene, lacking, "cluster")
    assert everywhere.code == 1
    assert "secrets: no get, list, watch, create, patch, delete in all namespaces" in everywhere.out


async def test_without_crds_or_with_those_of_v0_6_0_the_command_to_apply_is_shown(rough: Scene) -> None:
    for crd in await rough.api.list(CRDS):
        await rough.api.delete(CRDS, crd["metadata"]["name"])

    async def shows(code: int, words: str) -> bool:
        ended = await check(rough, rough.kubeconfig, "cluster")
        crds = line_of(ended, "CRDs")
        return ended.code == code and words in crds and "kubectl apply -k config/crd" in ended.out

    try:
        missing = "not installed: Secret and ArgoHelmRepoSecret"
        await wait_for(lambda: shows(1, missing), what="the CRDs are gone")
        status = await commands.run("status", "-A", kubeconfig=rough.kubeconfig)
        assert (status.code, "kubectl apply -k config/crd" in status.err) == (1, True)
        for crd in v060.crds():
            await rough.api.apply(crd)
        await wait_for(lambda: shows(0, "of v0.6.0"), what="the old schemas are served")
        ended = await check(rough, rough.kubeconfig, "cluster")
        assert "○ CRDs          not installed: ClusterSecret" in ended.out
        one = await check(rough, rough.kubeconfig, "cluster", "-n", rough.namespace)
        assert (one.code, "ClusterSecret" in one.out) == (0, False)

        async def listed() -> bool:
            status = await commands.run("status", "-A", kubeconfig=rough.kubeconfig)
            nothing = status.err.endswith("No resources in any namespace.\n")
            return status.code == 0 and nothing and status.err.count("\n") == 1

        await wait_for(listed, what="the old kinds are listed, and no word about the other")
    finally:
        await rough.api.install_crds()


async def test_without_an_api_server_or_with_unknown_credentials_that_check_fails(
    scene: Scene, tmp_path: Path
) -> None:
    broken = tmp_path / "config"
    broken.write_text(scene.kubeconfig.read_text().replace(f":{scene.plane.port}", ":1"))
    ended = await check(scene, broken)
    assert (ended.code, ended.out.count("✗ ")) == (1, 1)
    assert "✓ token" in ended.out
    assert "✗ API server" in ended.out
    stranger = scene.plane.write_kubeconfig("stranger", token="not-a-token")  # noqa: S106 - made up
    ended = await check(scene, stranger, "cluster")
    assert ended.code == 1
    assert "Unauthorized" in line_of(ended, "API server")
    assert "not-a-token" not in ended.out
