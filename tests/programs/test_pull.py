"""`pull` against a real API server and a real registry that has ECR's names, with tokens of the local AWS."""

import base64
import json
import time
from pathlib import Path

import pytest

from lab import commands
from lab.api import ARGO_SECRETS, SERVICE_ACCOUNTS, Api, Json
from lab.commands import Ended
from lab.secrecy import shows
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret, foreign_crd
from tests.cluster.builders import registry as host_in
from tests.cluster.linked import account, pod
from tests.cluster.scene import Scene
from tests.cluster.users import admin
from tests.programs.client import Skopeo, write_login
from tests.programs.image import write_image
from tests.programs.registry import EcrRegistry

EAST, WEST = host_in("us-east-1"), host_in("eu-west-1")
IMAGE = f"{EAST}/app:1"
IMAGES = (IMAGE, f"{EAST}/app:2")
CHART = f"{EAST}/charts/demo:0.1.0_1"


class Puller:
    """Runs the command as an admin of the scene's namespace, with a way to the registry."""

    def __init__(self, scene: Scene, registry: EcrRegistry) -> None:
        self.scene = scene
        self.registry = registry

    async def run(self, *arguments: str) -> Ended:
        """Run it; no token may be in what it prints."""
        env = {"HTTPS_PROXY": self.registry.proxy, "SSL_CERT_FILE": str(self.registry.authority)}
        ended = await commands.run("pull", *arguments, kubeconfig=admin(self.scene), env=env)
        assert shows(ended.out + ended.err, self.scene.aws.services.passwords) == []
        assert ended.err == ""
        return ended

    async def answer(self, *arguments: str) -> tuple[int, str, list[str]]:
        """The exit code, what the registry answers last, and all texts that are marked bad."""
        ended = await self.run(*arguments, "-o", "json")
        [report] = json.loads(ended.out)
        bad = [each["text"] for each in report["results"] if each["verdict"] == "bad"]
        return ended.code, report["attempts"][-1]["answer"], bad


@pytest.fixture
async def puller(scene: Scene, registry: EcrRegistry, skopeo: Skopeo, tmp_path: Path) -> Puller:
    """An image and a chart are in the registry, and the resource `pull` has a login for them, not linked."""
    await scene.create(ecr_secret(region=None), account("default"))
    async with scene.operator():
        await scene.ready("pull")
    login = await write_login(scene, tmp_path / "auth.json")
    write_image(tmp_path / "image", "hello")
    for image in (IMAGE, CHART):
        await skopeo.push(tmp_path / "image", image, login)
    return Puller(scene, registry)


async def link(scene: Scene, *names: str) -> None:
    """Have the service account name these pull secrets."""
    linked = {"imagePullSecrets": [{"name": name} for name in names]}
    await scene.api.merge_patch(SERVICE_ACCOUNTS, "default", linked, scene.namespace)


def dockerconfig(name: str, key: str, login: str) -> Json:
    """Make a pull secret of somebody else."""
    auths = {"auths": {key: {"auth": base64.b64encode(login.encode()).decode()}}}
    data = base64.b64encode(json.dumps(auths).encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": data},
    }


async def test_a_linked_login_pulls_and_without_a_link_the_advice_is_to_add_it(puller: Puller) -> None:
    unlinked = await puller.run(IMAGE)
    assert unlinked.code == 1
    assert "✗ pull secrets  none: service account default names none" in unlinked.out
    assert "{name: default, for: [pull]} to link_service_accounts of ecrsecret/pull" in unlinked.out
    await link(puller.scene, "pull-login")
    linked = await puller.run(IMAGE)
    assert linked.code == 0
    assert "a token of ecrsecret/pull, expires at" in linked.out
    assert linked.out.endswith("It can be pulled.\n")
    digest = await puller.answer(f"{EAST}/app@sha256:{'0' * 64}")
    assert digest == (1, "missing", [f"{EAST} has no digest sha256:{'0' * 64} in repository app"])
    tag = await puller.answer(f"{EAST}/app:2")
    assert tag == (1, "missing", [f"{EAST} has no tag 2 in repository app"])
    code, answer, bad = await puller.answer(f"{WEST}/app:1")
    assert (code, answer) == (1, "unauthorized")
    assert bad[0].startswith(f"no key serves this image; the keys are {EAST};")


async def test_a_dead_token_and_a_repository_policy_are_told_apart(puller: Puller) -> None:
    scene = puller.scene
    await link(scene, "pull-login")
    puller.registry.deny("app")
    denied = await puller.run(IMAGE)
    assert denied.code == 1
    assert "accepts the login, but denies the pull: User: arn:aws:iam::123456789012:user/ecr" in denied.out
    assert "the identity of ecrsecret/pull (the operator) ecr:BatchGetImage" in denied.out
    scene.aws.token_life = 3
    await scene.create(ecr_secret("short"))
    async with scene.operator():
        await scene.ready("short")
    await link(scene, "short-login")
    expires_at = (await scene.token("short-login")).expires_at
    await wait_for(lambda: time.time() > expires_at, what="the token's expiry")
    dead = await puller.run(IMAGE)
    assert dead.code == 1
    assert "a token of ecrsecret/short, expired at" in dead.out
    assert "→ TokenExpired: The token expired at" in dead.out
    assert f"{EAST} does not accept this login: Your authorization token has expired." in dead.out


async def test_the_kubelet_goes_on_after_the_login_of_somebody_else(puller: Puller) -> None:
    await puller.scene.create(dockerconfig("other", f"{EAST}/app", "AWS:guessed"))
    await link(puller.scene, "other")
    refused = f"{EAST} does not accept this login: Your Authorization Token is invalid."
    assert await puller.answer(IMAGE) == (1, "unauthorized", [refused])
    await link(puller.scene, "pull-login", "other", "absent")
    both = await puller.run(IMAGE)
    assert both.code == 0
    tried = [line for line in both.out.splitlines() if "login  " in line]
    assert ["/app in Secret other, not generated" in line for line in tried] == [True, False]


async def test_a_pod_that_is_older_than_the_link_has_to_be_recreated(puller: Puller) -> None:
    await puller.scene.create(pod("early", *IMAGES))
    await link(puller.scene, "pull-login")
    early = await puller.run("pod/early")
    assert early.code == 1
    missing = "✗ pull secrets  service account default names pull-login, and the pod does not"
    assert early.out.count(missing) == len(IMAGES)
    assert "→ recreate the pod: it was created before the link" in early.out


@pytest.fixture
async def applications(api: Api) -> None:
    """The API server knows Applications."""
    crd = foreign_crd("argoproj.io", "v1alpha1", "Application")
    await api.apply(crd)
    await api.crds_served([crd["metadata"]["name"]])


def application(name: str, url: str) -> Json:
    """Make an Application with one source of the chart, and one in Git."""
    source = {"repoURL": url, "chart": "demo", "targetRevision": "0.1.0+1"}
    git = {"repoURL": "https://git.example.com/x", "path": "."}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name},
        "spec": {"project": "default", "sources": [source, git]},
    }


@pytest.mark.usefixtures("applications")
async def test_an_applications_source_is_pulled_with_its_repositorys_login_which_no_other_host_gets(
    puller: Puller,
) -> None:
    scene = puller.scene
    await scene.create(
        argo_secret("charts", url=f"{EAST}/charts"),
        argo_secret("all", credential_scope="repo-creds"),
        application("found", f"{EAST}/charts"),
        application("elsewhere", f"{EAST}.example.com/charts"),
    )
    async with scene.operator():
        for name in ("charts", "all"):
            await scene.ready(name, kind=ARGO_SECRETS)
    found = await puller.run("application/found", "-n", scene.namespace)
    assert found.code == 0
    assert f"{EAST}/charts in Secret charts-login, a token of argohelmrepo/charts, expires" in found.out
    assert "https://git.example.com/x\n  ○ source        not in an OCI registry\nNot checked." in found.out
    before = len(puller.registry.verdicts)
    elsewhere = await puller.run("application/elsewhere")
    assert elsewhere.code == 1
    assert f"Secret all-login, url {EAST}, is for another host" in elsewhere.out
    assert len(puller.registry.verdicts) == before
