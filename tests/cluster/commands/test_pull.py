"""`pull` against a real API server: what it needs of it, and what it says where that is missing."""

from pathlib import Path

from lab.commands import Ended
from tests.cli import running
from tests.cluster.builders import core_secret, ecr_secret
from tests.cluster.builders import registry as host_in
from tests.cluster.linked import account, pod
from tests.cluster.scene import Scene
from tests.cluster.users import admin, rule, user

IMAGE = f"{host_in()}/app:1"
# Nothing of these tests may reach a registry.
NO_WAY = "http://127.0.0.1:1"


async def pull(scene: Scene, *arguments: str, kubeconfig: Path | None = None) -> Ended:
    return await running.run("pull", *arguments, kubeconfig=kubeconfig or admin(scene), HTTPS_PROXY=NO_WAY)


async def test_what_does_not_exist_is_one_line(scene: Scene) -> None:
    for arguments, words in {
        (IMAGE,): f"There is no service account default in namespace {scene.namespace}.",
        (IMAGE, "--service-account", "builder"): "There is no service account builder",
        ("pod/web",): f"There is no pod web in namespace {scene.namespace}.",
        ("application/shop",): f"There is no Application shop in namespace {scene.namespace}.",
    }.items():
        ended = await pull(scene, *arguments)
        assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
        assert words in ended.err


async def test_a_pull_secret_says_what_is_wrong_with_it_and_its_resource(scene: Scene) -> None:
    scene.aws.fail("AccessDeniedException", region="eu-west-1")
    await scene.create(
        ecr_secret("denied", region="eu-west-1"),
        core_secret("opaque"),
        account("default", pull=("denied-login", "opaque", "absent", "")),
        pod("web", IMAGE, "Not/Valid:1"),
    )
    async with scene.operator():
        await scene.told("denied", "False", "AccessDenied")
    ended = await pull(scene, "pod/web")
    assert ended.code == 1
    assert "NO pull secrets  Secret denied-login does not exist\n" in ended.out
    assert "-> ecrsecret/denied: AccessDenied: AWS denies GetAuthorizationToken in eu-west-1" in ended.out
    assert "NO pull secrets  Secret opaque is of type Opaque, which the kubelet does not read" in ended.out
    assert 'NO image         "Not/Valid:1" is not a valid image' in ended.out


async def test_the_rights_it_needs_are_enough_and_a_missing_one_is_named(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"), account("default", pull=("pull-login",)), pod("web", IMAGE))
    accounts, secrets = rule("", ["serviceaccounts"], "get"), rule("", ["secrets"], "get")
    pods, ours = rule("", ["pods"], "get"), rule("ecr.mobb.redhat.com", ["secrets"], "list")
    async with scene.operator():
        await scene.ready("pull")
    enough = await user(scene, "enough", accounts, secrets, pods, ours)
    shown = await pull(scene, "pod/web", kubeconfig=enough)
    assert "a token of ecrsecret/pull, expires at" in shown.out
    assert shown.err == ""
    few = await pull(scene, "pod/web", kubeconfig=await user(scene, "few", pods, secrets))
    assert f"{host_in()} in Secret pull-login, a token of ecrsecret/pull, expires at" in few.out
    no_pods = await pull(scene, "pod/web", kubeconfig=await user(scene, "no-pods", accounts, secrets))
    words = f"You are not allowed to read pods in {scene.namespace}."
    assert (no_pods.code, no_pods.err) == (1, f"ecr-secret-operator: {words}\n")
    no_secrets = await pull(scene, "pod/web", kubeconfig=await user(scene, "no-secrets", pods, accounts))
    assert no_secrets.code == 1
    assert "Secret pull-login can't be read: You are not allowed to read Secrets" in no_secrets.out
