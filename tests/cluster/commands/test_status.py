"""`status`: what a user sees of the resources, by the user's own kubeconfig and rights."""

import asyncio
import json
import os
import re
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from lab import commands
from lab.api import ARGO_SECRETS, CRDS, ECR_SECRETS, Json
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.commands.users import GROUP, VIEW, admin, rule, user
from tests.cluster.scene import Scene


async def mixture(scene: Scene) -> None:
    """Have one resource of each state: two fine, one that AWS denies, one that makes no sense."""
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


async def test_a_mixture_is_told_the_most_urgent_first_and_is_exit_1(scene: Scene) -> None:
    await mixture(scene)
    ended = await commands.run("status", kubeconfig=admin(scene))
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


async def test_json_and_yaml_hold_what_the_status_says(scene: Scene) -> None:
    await mixture(scene)
    ended = await commands.run("status", "-o", "json", kubeconfig=admin(scene))
    rows: dict[str, Json] = {row["name"]: row for row in json.loads(ended.out)}
    told = (await scene.resource("pull"))["status"]
    expires_at = datetime.fromisoformat(told["expirationTime"])
    left = rows["pull"].pop("secondsLeft")
    assert 0 <= (expires_at - datetime.now(UTC)).total_seconds() - left + 30 <= 60
    assert rows["pull"] == {
        "kind": "Secret",
        "namespace": scene.namespace,
        "name": "pull",
        "ready": True,
        "reason": "Refreshed",
        "message": "",
        "registry": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "secret": "pull-login",
        "lastUpdatedTime": told["lastUpdatedTime"],
        "expirationTime": told["expirationTime"],
        "expirationEstimated": False,
        "nextRefreshTime": told["nextRefreshTime"],
    }
    assert (rows["denied"]["ready"], rows["denied"]["secondsLeft"]) == (False, None)
    again = await commands.run("status", "-o", "yaml", kubeconfig=admin(scene))
    assert [row["name"] for row in yaml.safe_load(again.out)] == [*rows]
    assert (ended.code, again.code) == (1, 1)


async def test_when_all_are_ready_it_is_exit_0(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
    ended = await commands.run("status", "-n", scene.namespace, "-o", "wide", kubeconfig=scene.kubeconfig)
    assert ended.code == 0
    assert "123456789012.dkr.ecr.us-east-1.amazonaws.com" in ended.out
    everywhere = await commands.run("status", "-A", kubeconfig=scene.kubeconfig)
    assert any(
        line.split()[:2] == [scene.namespace, "ecrsecret/pull"] for line in everywhere.out.splitlines()
    )


async def test_where_no_operator_is_at_work_resources_are_not_ready(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    ended = await commands.run("status", kubeconfig=admin(scene))
    assert ended.code == 1
    assert "Is the operator running, and does it watch this namespace?" in ended.out


async def test_an_empty_namespace_says_where_to_look(scene: Scene) -> None:
    ended = await commands.run("status", kubeconfig=admin(scene))
    assert (ended.code, ended.out) == (0, "")
    assert f"No resources in namespace {scene.namespace}. -A looks everywhere." in ended.err
    machine = await commands.run("status", "-o", "json", kubeconfig=admin(scene))
    assert (machine.code, json.loads(machine.out), machine.err) == (0, [], "")


async def test_a_status_of_v0_6_0_is_shown_with_a_time_that_is_reckoned(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    fetched = datetime.now(UTC) - timedelta(hours=2, minutes=1)
    legacy = {"phase": "Updated", "lastUpdatedTime": f"{fetched:%Y-%m-%dT%H:%M:%SZ}"}
    await scene.api.patch_status(ECR_SECRETS, "pull", legacy, scene.namespace)
    ended = await commands.run("status", kubeconfig=admin(scene))
    assert ended.code == 0
    assert "~9h5" in ended.out


async def test_without_rights_it_says_which_role_helps(scene: Scene) -> None:
    nobody = await user(scene, "nobody")
    ended = await commands.run("status", kubeconfig=nobody)
    assert (ended.code, ended.out) == (1, "")
    assert f"You may not list secrets.{GROUP} in namespace {scene.namespace}" in ended.err
    assert "ecr-secret-operator-secret-viewer-role" in ended.err
    assert "ecr-secret-operator-argohelmreposecret-viewer-role" in ended.err


async def test_the_rights_of_one_namespace_suffice_for_it(scene: Scene) -> None:
    viewer = await user(scene, "viewer", VIEW)
    await scene.create(ecr_secret("pull"))
    assert "ecrsecret/pull" in (await commands.run("status", kubeconfig=viewer)).out
    everywhere = await commands.run("status", "-A", kubeconfig=viewer)
    assert everywhere.code == 1
    assert "or name a namespace with -n" in everywhere.err


async def test_with_the_right_to_one_kind_that_is_shown_and_the_other_told(scene: Scene) -> None:
    half = await user(scene, "half", rule(GROUP, ["secrets"], "list"))
    await scene.create(ecr_secret("pull"), argo_secret("charts"))
    ended = await commands.run("status", kubeconfig=half)
    assert ended.code == 1
    assert "ecrsecret/pull" in ended.out
    assert "charts" not in ended.out
    assert ended.err.count("\n") == 1
    assert "argohelmreposecret-viewer-role" in ended.err


async def test_without_crds_it_says_what_to_apply(rough: Scene) -> None:
    for crd in await rough.api.list(CRDS):
        await rough.api.delete(CRDS, crd["metadata"]["name"])

    async def unknown() -> bool:
        ended = await commands.run("status", "-A", kubeconfig=rough.kubeconfig)
        return ended.code == 1 and "kubectl apply -k config/crd" in ended.err

    try:
        await wait_for(unknown, 20, "the kinds are gone")
    finally:
        await rough.api.install_crds()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--context", "other"], 'no usable context "other"'),
        (["--kubeconfig", "/nonexistent/x"], "no such file: /nonexistent/x"),
    ],
    ids=["an unknown context", "a file that is not there"],
)
async def test_a_kubeconfig_that_can_t_be_used_is_one_line(
    scene: Scene, arguments: list[str], words: str
) -> None:
    ended = await commands.run("status", *arguments, kubeconfig=scene.kubeconfig)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert words in ended.err


async def test_on_a_pipe_watch_appends_what_changes_until_ctrl_c(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with commands.started("status", "-w", "-o", "json", kubeconfig=admin(scene)) as process:
        assert process.stdout
        first = await next_line(process)
        async with scene.operator():
            await scene.ready("pull")
        second = await next_line(process)
        await scene.delete("pull", ECR_SECRETS)
        third = await next_line(process)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            rest, err = await process.communicate()
    assert [row["reason"] for row in (first, second, third)] == ["Pending", "Refreshed", "Deleted"]
    assert (process.returncode, rest, err) == (130, b"", b"")


async def next_line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout
    async with asyncio.timeout(20):
        return json.loads(await process.stdout.readline())


async def test_on_a_terminal_it_is_a_picture_with_bars_and_colours(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
    ended = await commands.run_on_terminal("status", kubeconfig=admin(scene))
    assert ended.code == 0
    assert "\x1b[32mReady" in ended.out
    assert "━━━━━━━━━━" in ended.out
    plain = await commands.run_on_terminal("status", kubeconfig=admin(scene), env={"NO_COLOR": "1"})
    assert "Ready" in plain.out
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain.out)


@pytest.mark.parametrize(
    ("then", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
async def test_on_a_terminal_watch_redraws_until_a_signal_and_leaves_the_terminal_in_order(
    scene: Scene, then: signal.Signals, code: int
) -> None:
    await scene.create(ecr_secret("pull"))
    kubeconfig = admin(scene)
    ended = await commands.run_on_terminal(
        "status", "-w", kubeconfig=kubeconfig, until="1 resource:", then=then
    )
    assert ended.code == code
    assert ended.out.rindex("\x1b[?25h") > ended.out.rindex("\x1b[?25l"), "the cursor was left hidden"


async def test_a_reader_that_leaves_is_no_traceback(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    reader, writer = os.pipe()
    os.close(reader)
    ended = await commands.run("status", kubeconfig=admin(scene), out=writer)
    os.close(writer)
    assert (ended.code, ended.err) == (141, "")


async def test_an_encoding_without_signs_gets_letters(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", ecr_registry="hóst"))
    env = {"PYTHONIOENCODING": "ascii"}
    ended = await commands.run("status", "-o", "wide", kubeconfig=admin(scene), env=env)
    assert "h?st" in ended.out
