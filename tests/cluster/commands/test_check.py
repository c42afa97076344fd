"""`check`: ticks and crosses for AWS, the API server, the CRDs and the rights."""

from pathlib import Path

from ecr_operator.kube.access_review import NEEDS
from lab import commands
from lab.api import CRDS, Json
from lab.commands import Ended
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.commands.users import rule, user
from tests.cluster.ownership import v060
from tests.cluster.scene import Scene


def required_rules(*without: tuple[str, str]) -> list[Json]:
    """Make rules of what the table says that everybody needs in the namespaces that are served."""
    needs = [each for each in NEEDS if each.required and each.place == "served"]
    return [
        rule(
            each.group,
            [each.resource],
            *(verb for verb in each.verbs if (each.resource, verb) not in without),
        )
        for each in needs
    ]


async def check(scene: Scene, kubeconfig: Path, *arguments: str) -> Ended:
    return await commands.run("check", *arguments, kubeconfig=kubeconfig, aws=scene.aws.url)


def line_of(ended: Ended, topic: str) -> str:
    return next(line for line in ended.out.splitlines() if topic in line)


async def test_where_nothing_is_missing_all_has_ticks_and_no_token_is_shown(scene: Scene) -> None:
    ended = await check(scene, scene.kubeconfig, "--region", "us-east-1", "--leader-elect")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("All is well.\n")
    assert "✗" not in ended.out
    assert "○" not in ended.out
    assert "arn:aws:iam::123456789012:user/lab" in line_of(ended, "identity")
    assert "leases.coordination.k8s.io: get, create, update" in ended.out
    assert scene.user in line_of(ended, "API server")
    assert scene.aws.services.passwords
    assert not any(password in ended.out for password in scene.aws.services.passwords)
    assert "lab-secret-key" not in ended.out


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
        await wait_for(lambda: scene.find_secret("renamed"), 10, "the new Secret")

        async def swept() -> bool:
            return await scene.find_secret("pull-login") is None

        await wait_for(swept, 10, "the old Secret is gone")
        assert '"level": "warning"' not in operator.tail(1000)


async def test_one_verb_that_is_missing_is_named_with_what_grants_it(scene: Scene) -> None:
    lacking = await user(scene, "lacking", *required_rules(("secrets", "delete")))
    ended = await check(scene, lacking, "cluster", "-n", scene.namespace)
    assert ended.code == 1
    assert f"✗ rights        secrets: no delete in {scene.namespace}" in ended.out
    assert "→ grant what config/rbac/role.yaml grants" in ended.out
    assert ended.out.count("✗") == 1
    assert ended.out.endswith("1 thing is missing: see the lines with a cross.\n")


async def test_without_any_rights_each_of_them_is_named(scene: Scene) -> None:
    nobody = await user(scene, "nobody")
    ended = await check(scene, nobody, "cluster", "-n", scene.namespace, "--leader-elect")
    assert ended.code == 1
    for need in NEEDS:
        assert (
            f"{'✗' if need.required else '○'} rights        {need}: no {', '.join(need.verbs)} in"
            in ended.out
        )


async def test_a_namespaces_rights_are_not_enough_for_all(scene: Scene) -> None:
    least = await user(scene, "least", *required_rules())
    ended = await check(scene, least, "cluster")
    assert ended.code == 1
    assert "secrets: no get, list, watch, create, patch, delete in all namespaces" in ended.out


async def test_without_crds_it_says_what_to_apply(rough: Scene) -> None:
    for crd in await rough.api.list(CRDS):
        await rough.api.delete(CRDS, crd["metadata"]["name"])

    async def unknown() -> bool:
        ended = await check(rough, rough.kubeconfig, "cluster")
        crds = line_of(ended, "CRDs")
        return ended.code == 1 and "does not know Secret and ArgoHelmRepoSecret" in crds

    try:
        await wait_for(unknown, 20, "the kinds are gone")
    finally:
        await rough.api.install_crds()


async def test_with_the_crds_of_v0_6_0_it_says_what_newer_ones_bring(rough: Scene) -> None:
    for crd in v060.crds():
        await rough.api.apply(crd)

    async def old() -> bool:
        ended = await check(rough, rough.kubeconfig, "cluster")
        return ended.code == 0 and "as in v0.6.0" in line_of(ended, "CRDs")

    try:
        await wait_for(old, 20, "the old schemas are served")
    finally:
        await rough.api.install_crds()


async def test_a_server_that_is_not_there_is_a_cross_and_aws_is_looked_at_all_the_same(
    scene: Scene, tmp_path: Path
) -> None:
    broken = tmp_path / "config"
    broken.write_text(scene.kubeconfig.read_text().replace(f":{scene.plane.port}", ":1"))
    ended = await check(scene, broken)
    assert ended.code == 1
    assert "✓ token" in ended.out
    assert "✗ API server" in ended.out
    assert ended.out.count("✗") == 1


async def test_a_login_that_the_server_does_not_know_is_a_cross(scene: Scene) -> None:
    stranger = scene.plane.write_kubeconfig("stranger", token="not-a-token")  # noqa: S106 - made up
    ended = await check(scene, stranger, "cluster")
    assert ended.code == 1
    assert "Unauthorized" in line_of(ended, "API server")
    assert "not-a-token" not in ended.out


async def test_keys_that_aws_denies_are_a_cross_with_what_to_allow(scene: Scene) -> None:
    scene.aws.fail("AccessDeniedException", operation="GetAuthorizationToken")
    ended = await check(scene, scene.kubeconfig, "aws")
    assert ended.code == 1
    assert "✓ identity" in ended.out
    assert "✗ token" in ended.out
    assert "Allow ecr:GetAuthorizationToken on *" in ended.out


async def test_without_sts_the_token_alone_decides(scene: Scene) -> None:
    scene.aws.fail("AccessDenied", operation="GetCallerIdentity")
    ended = await check(scene, scene.kubeconfig, "aws")
    assert ended.code == 0
    assert "○ identity" in ended.out


async def test_without_any_keys_it_says_where_it_looked(scene: Scene) -> None:
    nothing = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    ended = await commands.run("check", "aws", aws=scene.aws.url, env=nothing)
    assert ended.code == 1
    assert "✗ credentials   CredentialsMissing" in ended.out
    assert "/nonexistent/.aws/credentials (absent)" in ended.out
    assert scene.aws.calls == []
