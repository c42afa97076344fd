"""`refresh` with a running operator, and with real names, rights and requests."""

from lab import audit
from lab.api import ARGO_SECRETS, ECR_SECRETS
from tests.cli import running
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene
from tests.cluster.test_cluster_secrets import Many, many
from tests.cluster.users import GROUP, VIEW, admin, rule, user

REQUESTED = "ecr.mobb.redhat.com/refresh-requested-at"
# AWS may be asked again after a quarter of it.
LIFE = 16


async def test_named_resources_have_new_tokens_when_it_ends_and_a_denied_one_is_reported(
    scene: Scene,
) -> None:
    scene.aws.token_life = LIFE
    await scene.create(ecr_secret("pull"), argo_secret("charts"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
        before = [await scene.token("pull-login"), await scene.token("charts-login")]
        ended = await running.run("refresh", "pull", "argohelmrepo/charts", kubeconfig=admin(scene))
        after = [await scene.token("pull-login"), await scene.token("charts-login")]
        scene.aws.fail("AccessDeniedException")
        denied = await running.run("refresh", "pull", kubeconfig=admin(scene))
    assert ended.code == 0
    assert all(new.serial > old.serial for old, new in zip(before, after, strict=True))
    assert sorted(line.partition(" that expires at")[0] for line in ended.out.splitlines()) == [
        f"ArgoHelmRepoSecret {scene.namespace}/charts has a new token",
        f"Secret {scene.namespace}/pull has a new token",
    ]
    assert (denied.code, denied.out) == (1, "")
    assert f"Secret {scene.namespace}/pull: AccessDenied: AWS denies GetAuthorizationToken" in denied.err


async def test_all_of_a_namespace_are_refreshed_by_few_requests(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    names = [f"r{number}" for number in range(12)]
    await scene.create(*map(ecr_secret, names), argo_secret("charts"))
    other = await scene.api.create_namespace("other")
    await scene.api.create(ecr_secret("elsewhere"), other)
    async with scene.operator():
        await scene.ready(*names)
        await scene.ready("charts", kind=ARGO_SECRETS)
        before = {name: await scene.token(f"{name}-login") for name in (*names, "charts")}
        since = audit.mark(scene.plane.audit_log)
        ended = await running.run("refresh", "--all", kubeconfig=admin(scene))
        after = {name: await scene.token(f"{name}-login") for name in before}
    assert (ended.code, ended.out.count("has a new token")) == (0, 13)
    assert all(after[name].serial > before[name].serial for name in before)
    found = audit.count_requests(scene.plane.audit_log, user=f"admin-of-{scene.namespace}", since=since)
    assert {request.verb for request in found} == {"list", "patch"}
    elsewhere = await scene.api.get(ECR_SECRETS, "elsewhere", other)
    assert REQUESTED not in elsewhere["metadata"].get("annotations", {})


async def serials(there: Many) -> set[int]:
    """Return the numbers of the tokens that the namespaces have."""
    return {reading.token(each).serial for each in await there.have_it(there.namespaces)}


async def test_a_cluster_secret_has_a_new_token_in_each_namespace_when_it_ends(whole: Scene) -> None:
    whole.aws.token_life = LIFE
    async with many(whole, 3) as there, whole.operator(watch=""):
        name = await there.create()
        await there.ready(name, 3)
        before = await serials(there)
        named = await running.run("refresh", f"ecrclustersecret/{name}", kubeconfig=admin(whole))
        after = await serials(there)
    assert (named.code, named.out.partition(" that")[0]) == (0, f"ClusterSecret {name} has a new token")
    assert len(after) == 1
    assert min(after) > max(before)


async def test_an_editor_has_the_rights_it_needs_and_a_missing_one_names_the_role(scene: Scene) -> None:
    await scene.create(argo_secret("charts"))
    viewer = await user(scene, "viewer", VIEW)
    ended = await running.run("refresh", "charts", kubeconfig=viewer)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "ecr-secret-operator-argohelmreposecret-editor-role" in ended.err
    editor = await user(scene, "editor", rule(GROUP, ["argohelmreposecrets"], "get", "patch"))
    ended = await running.run("refresh", "argohelmrepo/charts", "--timeout", "1s", kubeconfig=editor)
    assert f"ArgoHelmRepoSecret {scene.namespace}/charts: no new token within 1s: nothing" in ended.err
    assert REQUESTED in (await scene.resource("charts", ARGO_SECRETS))["metadata"]["annotations"]
