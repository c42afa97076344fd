"""`refresh`: asks for fresh tokens, waits for a running operator, and says what stands in the way."""

import asyncio

import pytest

from lab import audit, commands
from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.commands.users import VIEW, admin, user
from tests.cluster.scene import Scene

REQUESTED = "ecr.mobb.redhat.com/refresh-requested-at"
# AWS may be asked again after a quarter of it.
LIFE = 16


async def test_it_waits_until_the_operator_has_fetched_new_tokens_and_is_exit_0(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    await scene.create(ecr_secret("pull"), argo_secret("charts"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
        before = [await scene.token("pull-login"), await scene.token("charts-login")]
        ended = await commands.run("refresh", "pull", "argohelmrepo/charts", kubeconfig=admin(scene))
        after = [await scene.token("pull-login"), await scene.token("charts-login")]
    assert ended.code == 0
    assert all(new.serial > old.serial for old, new in zip(before, after, strict=True))
    assert sorted(line.partition(" that lives")[0] for line in ended.out.splitlines()) == [
        f"ArgoHelmRepoSecret {scene.namespace}/charts has a fresh token",
        f"Secret {scene.namespace}/pull has a fresh token",
    ]
    assert "its token is fresh still, AWS is asked again in" in ended.err


async def test_a_first_token_is_waited_for(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with commands.started("refresh", "pull", kubeconfig=admin(scene)) as process, scene.operator():
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"has a fresh token that lives until" in out


async def test_what_only_a_person_can_mend_is_told_at_once_and_is_exit_1(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        scene.aws.fail("AccessDeniedException")
        ended = await commands.run("refresh", "pull", kubeconfig=admin(scene))
    assert (ended.code, ended.out) == (1, "")
    assert f"Secret {scene.namespace}/pull: AccessDenied: AWS denies GetAuthorizationToken" in ended.err


async def test_without_an_operator_it_ends_in_time_and_asks_whether_one_runs(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    ended = await commands.run("refresh", "pull", "--timeout", "1s", kubeconfig=admin(scene))
    assert ended.code == 1
    assert "not within 1s: nothing has happened. Is the operator running" in ended.err
    assert REQUESTED in (await scene.resource("pull"))["metadata"]["annotations"]


async def test_where_both_kinds_have_the_name_the_kind_decides(scene: Scene) -> None:
    await scene.create(ecr_secret("both"), argo_secret("both"))
    ended = await commands.run("refresh", "both", kubeconfig=admin(scene))
    assert (ended.code, ended.out) == (1, "")
    assert "There are two resources called both: write ecrsecret/both or argohelmrepo/both." in ended.err
    arguments = ["refresh", "-k", "argohelmrepo", "both", "--timeout", "100ms"]
    await commands.run(*arguments, kubeconfig=admin(scene))
    assert "annotations" not in (await scene.resource("both"))["metadata"]
    assert REQUESTED in (await scene.resource("both", ARGO_SECRETS))["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pul", "did you mean pull?"),
        ("zzz", "`status -A` shows all"),
        ("argohelmrepo/pull", "no ArgoHelmRepo"),
    ],
    ids=["a slip", "nothing like it", "the other kind"],
)
async def test_a_name_that_is_not_there_is_one_line(scene: Scene, name: str, words: str) -> None:
    await scene.create(ecr_secret("pull"))
    ended = await commands.run("refresh", name, kubeconfig=admin(scene))
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert words in ended.err


async def test_what_is_suspended_is_not_asked_for(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", suspend=True))
    ended = await commands.run("refresh", "pull", kubeconfig=admin(scene))
    assert ended.code == 1
    assert "spec.suspend is true" in ended.err
    assert "annotations" not in (await scene.resource("pull"))["metadata"]


async def test_without_the_right_to_ask_it_says_which_role_helps(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    ended = await commands.run("refresh", "pull", kubeconfig=await user(scene, "viewer", VIEW))
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "ecr-secret-operator-secret-editor-role" in ended.err


async def test_a_resource_that_goes_meanwhile_is_told(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))

    async def asked() -> bool:
        return REQUESTED in (await scene.resource("pull"))["metadata"].get("annotations", {})

    async with commands.started("refresh", "pull", kubeconfig=admin(scene)) as process:
        await wait_for(asked, 20, "the request")
        await scene.api.delete(ECR_SECRETS, "pull", scene.namespace)
        async with asyncio.timeout(20):
            _, err = await process.communicate()
    assert process.returncode == 1
    assert b"it was deleted meanwhile" in err


async def test_all_of_a_namespace_are_refreshed_by_few_requests_and_what_is_suspended_is_left_out(
    scene: Scene,
) -> None:
    scene.aws.token_life = LIFE
    names = [f"r{number}" for number in range(12)]
    await scene.create(*map(ecr_secret, names), argo_secret("charts"))
    await scene.create(ecr_secret("asleep", suspend=True))
    other = await scene.api.create_namespace("other")
    await scene.api.create(ecr_secret("elsewhere"), other)
    async with scene.operator():
        await scene.ready(*names)
        await scene.ready("charts", kind=ARGO_SECRETS)
        before = {name: await scene.token(f"{name}-login") for name in (*names, "charts")}
        since = audit.position(scene.plane.audit_log)
        ended = await commands.run("refresh", "--all", kubeconfig=admin(scene))
        after = {name: await scene.token(f"{name}-login") for name in before}
    assert (ended.code, ended.out.count("has a fresh token")) == (0, 13)
    assert "Left out, because spec.suspend is true: 1." in ended.err
    assert all(after[name].serial > before[name].serial for name in before)
    found = audit.count_requests(scene.plane.audit_log, user=f"admin-of-{scene.namespace}", since=since)
    assert {request.verb for request in found} == {"list", "patch"}
    elsewhere = await scene.api.get(ECR_SECRETS, "elsewhere", other)
    assert REQUESTED not in elsewhere["metadata"].get("annotations", {})


async def test_all_of_one_kind_in_all_namespaces_are_asked_for(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"), argo_secret("charts"))
    other = await scene.api.create_namespace("other")
    await scene.api.create(argo_secret("elsewhere"), other)
    arguments = ["refresh", "--all", "-A", "-k", "argohelmrepo", "--timeout", "1s"]
    ended = await commands.run(*arguments, kubeconfig=admin(scene))
    assert ended.code == 1
    assert f"ArgoHelmRepoSecret {other}/elsewhere: not within 1s" in ended.err
    assert REQUESTED in (await scene.resource("charts", ARGO_SECRETS))["metadata"]["annotations"]
    assert "annotations" not in (await scene.resource("pull"))["metadata"]


async def test_all_of_nothing_is_said_to_be_nothing(scene: Scene) -> None:
    ended = await commands.run("refresh", "--all", kubeconfig=admin(scene))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.endswith(f"Nothing to refresh in namespace {scene.namespace}.\n")
