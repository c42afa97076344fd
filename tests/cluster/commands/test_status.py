"""`status` against a real API server, by the user's own kubeconfig and rights."""

import asyncio
import json
import re
import signal

from lab import commands
from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from tests.cli import running
from tests.cluster.builders import argo_secret, core_secret, ecr_secret
from tests.cluster.scene import Scene
from tests.cluster.test_cluster_secrets import LOGIN, many
from tests.cluster.users import GROUP, VIEW, admin, rule, user, user_everywhere


async def mixture(scene: Scene) -> None:
    """Create two ready resources, one that AWS denies, and one with a mistake."""
    scene.aws.fail("AccessDeniedException", region="eu-west-1")
    await scene.create(
        ecr_secret("pull"),
        argo_secret("charts"),
        ecr_secret("denied", region="eu-west-1"),
        ecr_secret("x" * 60),
    )
    await scene.change("x" * 60, {"region": "nowhere"})
    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
        await scene.told("denied", "False", "AccessDenied")
        await scene.told("x" * 60, "False", "InvalidSpec")


async def test_the_most_urgent_come_first_and_exit_code_1_reports_them(scene: Scene) -> None:
    await mixture(scene)
    ended = await running.run("status", kubeconfig=admin(scene))
    lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (1, "")
    assert lines[0].split() == ["RESOURCE", "STATE", "REASON", "TIME", "LEFT", "NEXT", "REFRESH", "SECRET"]
    names = [line.split()[0] for line in lines[1:5]]
    assert names[:2] == ["ecrsecret/denied", f"ecrsecret/{'x' * 60}"]
    assert set(names[2:]) == {"argohelmrepo/charts", "ecrsecret/pull"}
    assert max(map(len, lines)) > 100, "a line was cut for a terminal that is not there"
    assert any(line.startswith("ecrsecret/denied: AWS denies") for line in lines)
    assert lines[-1] == "4 resources: 2 ready, 2 not ready"
    assert ended.out.isascii()
    data = await running.run("status", "-o", "json", kubeconfig=admin(scene))
    rows: dict[str, Json] = {row["name"]: row for row in json.loads(data.out)}
    status = (await scene.resource("pull"))["status"]
    assert (rows["pull"]["ready"], rows["pull"]["expirationTime"]) == (True, status["expirationTime"])
    assert data.code == 1


async def test_what_the_user_is_allowed_to_list_is_shown_and_the_rest_named(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"), argo_secret("charts"))
    nobody = await running.run("status", kubeconfig=await user(scene, "nobody"))
    assert (nobody.code, nobody.out) == (1, "")
    assert f"You are not allowed to list secrets.{GROUP} in namespace {scene.namespace}" in nobody.err
    half_user = await user(scene, "half", rule(GROUP, ["secrets"], "list"))
    half = await running.run("status", kubeconfig=half_user)
    assert (half.code, half.err.count("\n")) == (1, 1)
    assert ("ecrsecret/pull" in half.out, "charts" in half.out) == (True, False)
    assert "ecr-secret-operator-argohelmreposecret-viewer-role" in half.err
    viewer = await user(scene, "viewer", VIEW)
    assert "argohelmrepo/charts" in (await running.run("status", kubeconfig=viewer)).out
    everywhere = await running.run("status", "-A", kubeconfig=viewer)
    assert (everywhere.code, "or select a namespace with -n" in everywhere.err) == (1, True)


async def test_a_cluster_secret_is_listed_with_all_namespaces_and_by_whoever_may(whole: Scene) -> None:
    async with many(whole, 2) as there:
        taken, served = there.namespaces
        await whole.api.create(core_secret(LOGIN), taken)
        name = await there.create()
        await whole.create(ecr_secret("pull"))
        async with whole.operator(watch=""):
            await there.have_it([served])
            await there.status(name, {"namespaces": {"served": 2, "ready": 1}, "failingCount": 1})
            await whole.ready("pull")
        shown = await running.run("status", "-A", kubeconfig=admin(whole))
        rows = [line.split()[:4] for line in shown.out.splitlines()]
        assert ["1/2", f"ecrclustersecret/{name}", "Not", "ready"] in rows
        assert (shown.code, f"\necrclustersecret/{name}: Namespace {taken}: " in shown.out) == (1, True)
        inside = await running.run("status", "-n", whole.namespace, kubeconfig=admin(whole))
        assert (inside.code, "ecrclustersecret" in inside.out) == (0, False)
        viewer = await user_everywhere(whole, "viewer", VIEW)
        calm = await running.run("status", "-A", kubeconfig=viewer)
        assert (calm.code, calm.err.count("\n")) == (0, 1)
        assert "ClusterSecrets are not listed. You are not allowed to list clustersecrets" in calm.err
        assert "ecrsecret/pull" in calm.out


async def test_watch_on_a_pipe_appends_changes_until_ctrl_c(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with commands.started("status", "-w", "-o", "json", kubeconfig=admin(scene)) as process:
        await until(process, "Pending")
        async with scene.operator():
            await scene.ready("pull")
        await until(process, "Refreshed")
        await scene.delete("pull", ECR_SECRETS)
        await until(process, "Deleted")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            rest, err = await process.communicate()
    assert (process.returncode, rest, err) == (130, b"", b"")


async def until(process: asyncio.subprocess.Process, reason: str) -> None:
    """Read lines up to one with that reason."""
    assert process.stdout
    async with asyncio.timeout(60):
        while json.loads(await process.stdout.readline())["reason"] != reason:
            pass


async def test_on_a_terminal_the_table_has_bars_and_colours_and_is_redrawn_until_a_signal(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
    kubeconfig = admin(scene)
    shown = await commands.run_on_terminal("status", kubeconfig=kubeconfig)
    assert shown.code == 0
    assert "\x1b[32mReady" in shown.out
    assert "━━━━━━━━━━" in shown.out
    plain = await commands.run_on_terminal("status", kubeconfig=kubeconfig, env={"NO_COLOR": "1"})
    assert "Ready" in plain.out
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain.out)
    for then, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        watched = await commands.run_on_terminal(
            "status", "-w", kubeconfig=kubeconfig, until="1 resource:", then=then
        )
        assert watched.code == code
        assert watched.out.rindex("\x1b[?25h") > watched.out.rindex("\x1b[?25l"), "the cursor is hidden"
