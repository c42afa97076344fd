"""The chart on a real API server, by Helm 3 and 4: install, upgrade, rollback, uninstall, take over, test."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from lab import commands, programs
from lab.api import ARGO_SECRETS, CRDS, ECR_SECRETS, SECRETS, Api, ApiError, Json, Resource
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.operator import AWS_KEYS
from lab.waiting import wait_for
from tests.bundle import olm
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.docs.blocks import blocks
from tests.manifests.installation import (
    ACCOUNT,
    CONFIG,
    LOOK_FOR_LINKS,
    NAMESPACE,
    ROOT,
    apply,
    build,
    install_v060,
    present,
    token_of,
)
from tests.programs.chart import CHART, RELEASE, Key, Release, indexed
from tests.programs.client import ProgramFailed, run_program
from tests.programs.conftest import Program

DEFAULT: Final = [each for each in build(CONFIG / "default") if each["kind"] != "Namespace"]
_WITHOUT_CRDS: Final = [each for each in DEFAULT if each["kind"] != "CustomResourceDefinition"]
# Everything but what needs the CRDs of the Prometheus operator.
MUCH: Final[Json] = {
    "replicas": 2,
    "serviceAccountTokens": {"enabled": True},
    "serviceAccountLinks": {"enabled": True},
    "secretWritesPolicy": True,
    "aggregateRoles": True,
    "networkPolicy": {"enabled": True},
    "flags": {"sessionTags": True},
}
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
PODS: Final = Resource("v1", "pods")
_OF_THE_SERVER: Final = {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"}


@pytest.fixture(params=[programs.HELM_3, programs.HELM])
def release(request: pytest.FixtureRequest, program: Program, bare_plane: ControlPlane) -> Release:
    """A release by Helm 3, then one by Helm 4."""
    # With server-side apply kubectl would stay an owner of the fields, and the next upgrade a conflict.
    flags = ("--take-ownership", *(["--server-side=false"] if request.param == programs.HELM else []))
    return Release(helm=program(request.param), plane=bare_plane, taking_over=flags)


@pytest.fixture
async def bare_api(bare_plane: ControlPlane) -> AsyncIterator[Api]:
    """A client with all rights."""
    async with bare_plane.api() as client:
        yield client


async def seen(api: Api, manifests: list[Json] = DEFAULT) -> dict[Key, Json]:
    """Return what the server has of objects, without what it or a program adds to each change."""
    return indexed([_content(await present(api, each)) for each in manifests])


def _content(manifest: Json) -> Json:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _OF_THE_SERVER}
    theirs = ("meta.helm.sh/", "kubectl.kubernetes.io/", "deployment.kubernetes.io/")
    annotations = metadata.pop("annotations", {})
    metadata["annotations"] = {key: each for key, each in annotations.items() if not key.startswith(theirs)}
    content = {key: value for key, value in manifest.items() if key != "status"}
    # Chosen by the server.
    spec = {key: each for key, each in content.get("spec", {}).items() if not key.startswith("clusterIP")}
    return {**content, **({"spec": spec} if spec else {}), "metadata": metadata}


async def uids(api: Api) -> list[str]:
    """Return the identities of all objects."""
    return [(await present(api, each))["metadata"]["uid"] for each in DEFAULT]


async def absent(api: Api, manifests: list[Json]) -> bool:
    """Whether the server has none of these objects."""
    for each in manifests:
        try:
            await present(api, each)
        except ApiError:
            continue
        return False
    return True


def older_chart(folder: Path) -> Path:
    """Return a copy of the chart as an earlier version could be: without the field `suspend`."""
    chart = Path(shutil.copytree(CHART, folder / "chart"))
    metadata = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(metadata.replace("version: 1.", "version: 0.", 1))
    for path in (chart / "templates" / "crd").iterdir():
        head, _, rest = path.read_text().partition("spec:\n")
        crd = yaml.safe_load(f"spec:\n{rest.removesuffix('{{- end }}' + chr(10))}")
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["suspend"]
        path.write_text(f"{head}{yaml.safe_dump(crd)}{{{{- end }}}}\n")
    return chart


async def has_suspend(api: Api) -> bool:
    """Whether both CRDs have the field."""
    versions = [each["spec"]["versions"][0] for each in await api.list(CRDS)]
    schemas = [each["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] for each in versions]
    (answer,) = {"suspend" in each for each in schemas}
    return answer


async def test_crds_upgrade_and_roll_back_with_the_chart(
    release: Release, bare_api: Api, tmp_path: Path
) -> None:
    await release.install(chart=older_chart(tmp_path))
    assert not await has_suspend(bare_api)
    await release.upgrade()
    assert await has_suspend(bare_api)
    await release.rollback(1)
    assert not await has_suspend(bare_api)


async def test_a_rollback_restores_every_object_and_removes_what_the_upgrade_added(
    release: Release, bare_api: Api
) -> None:
    printed = await release.install()
    assert f"helm test {RELEASE} -n {NAMESPACE}" in printed
    before = await seen(bare_api)
    await release.upgrade(**MUCH)
    assert await seen(bare_api) != before
    added = build(CONFIG / "rbac" / "service-account")
    assert len(await seen(bare_api, added)) == 4
    await release.rollback(1)
    assert await seen(bare_api) == before
    assert await absent(bare_api, added)


async def test_namespaces_replace_every_cluster_wide_permission(release: Release, bare_api: Api) -> None:
    teams = ["team-a", "team-b"]
    for name in teams:
        await bare_api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await release.install()
    await release.upgrade(namespaces=teams)
    assert await absent(bare_api, [each for each in DEFAULT if each["kind"].startswith("ClusterRole")])
    token = await token_of(bare_api)
    async with Api(release.plane.url, token=token, authority=release.plane.authority) as operator:

        async def only_teams() -> bool:
            return [name for name in (*teams, "default") if await _may_list(operator, name)] == teams

        # The API server takes a moment to notice new permissions.
        await wait_for(only_teams, what="permissions in the namespaces alone")


async def _may_list(operator: Api, namespace: str) -> bool:
    try:
        await operator.list(SECRETS, namespace)
    except ApiError:
        return False
    return True


async def test_crds_and_resources_stay_without_the_chart_and_for_its_next_installation(
    release: Release, bare_api: Api
) -> None:
    await release.install()
    await _served(bare_api)
    await bare_api.create(ecr_secret("pull"), "default")
    uid = (await bare_api.get(ECR_SECRETS, "pull", "default"))["metadata"]["uid"]
    await release.upgrade(crds={"enabled": False})
    await release.uninstall()
    assert await wait_for(lambda: absent(bare_api, _WITHOUT_CRDS))
    await release.install()
    assert (await bare_api.get(ECR_SECRETS, "pull", "default"))["metadata"]["uid"] == uid


async def test_an_uninstall_deletes_crds_where_the_values_say_so(release: Release, bare_api: Api) -> None:
    await release.install(crds={"keep": False})
    await release.uninstall()
    assert await wait_for(lambda: absent(bare_api, DEFAULT))


async def test_it_takes_over_what_kustomize_installed(release: Release, bare_api: Api) -> None:
    await apply(release.plane, CONFIG / "default")
    before = await uids(bare_api)
    await release.take_over()
    assert await uids(bare_api) == before
    taken = await seen(bare_api)
    # From then on it is a release like any other.
    await release.upgrade(**MUCH)
    assert await seen(bare_api) != taken
    await release.rollback(1)
    assert await seen(bare_api) == taken
    await release.uninstall()
    assert await wait_for(lambda: absent(bare_api, _WITHOUT_CRDS))
    await release.install()
    assert await seen(bare_api) == taken


async def test_it_takes_over_v060_whose_secrets_are_adopted_without_a_call_to_aws(
    release: Release, bare_api: Api, aws: LocalAws
) -> None:
    stage = await install_v060(release.plane, bare_api, aws)
    for resource in (ecr_secret("pull"), argo_secret("charts")):
        await v060.left_behind(stage, resource)
    secrets = await stage.secrets("pull-login", "charts-login")
    await release.take_over()
    async with stage.operator(watch=""):
        await stage.ready("pull")
        await stage.ready("charts", kind=ARGO_SECRETS)
    adopted = await stage.secrets("pull-login", "charts-login")
    assert [each["data"] for each in adopted] == [each["data"] for each in secrets]
    assert aws.count() == 0
    assert {each.partition("?")[0] for each in stage.refusals()} <= {LOOK_FOR_LINKS}
    await stage.clear()


async def test_what_helm_3_installed_helm_4_upgrades(program: Program, bare_plane: ControlPlane) -> None:
    async with bare_plane.api() as api:
        await Release(helm=program(programs.HELM_3), plane=bare_plane).install()
        before = await seen(api)
        by_helm_4 = Release(helm=program(programs.HELM), plane=bare_plane)
        await by_helm_4.upgrade(**MUCH)
        await by_helm_4.rollback(1)
        assert await seen(api) == before


async def test_the_commands_of_the_guide_install_take_over_and_uninstall(
    release: Release, bare_api: Api, tmp_path: Path
) -> None:
    # `helm test` is below: it needs a kubelet.
    shell = [each.text for each in blocks(ROOT / "docs" / "install.md") if each.language == "bash"]
    scripts = [each for each in shell if each.startswith("helm ") and not each.startswith("helm test ")]
    assert len(scripts) == 4
    (tmp_path / "helm").symlink_to(release.helm)
    path = f"{tmp_path}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path), "KUBECONFIG": str(release.plane.kubeconfig)}
    for number, script in enumerate(scripts):
        printed = await asyncio.to_thread(run_program, _bash(), ["-ec", script], cwd=ROOT, env=env)
        assert printed
        if number < len(scripts) - 1:
            await seen(bare_api)
    assert await wait_for(lambda: absent(bare_api, _WITHOUT_CRDS))


def _bash() -> Path:
    found = shutil.which("bash")
    assert found, "there is no bash"
    return Path(found)


async def test_helm_test_fails_for_a_missing_identity_and_a_missing_permission(
    program: Program, bare_plane: ControlPlane, bare_api: Api, aws: LocalAws
) -> None:
    release = Release(helm=program(programs.HELM), plane=bare_plane)
    await release.install(env=[{"name": "AWS_ENDPOINT_URL", "value": aws.url}])
    await _served(bare_api)
    with pytest.raises(ProgramFailed):
        await _tested(release, bare_api)
    keys = {name.lower(): AWS_KEYS[name] for name in _KEYS}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws-ecr-cloud-credentials"}}
    await bare_api.create({**secret, "stringData": keys}, NAMESPACE)
    assert "Succeeded" in await _tested(release, bare_api)
    bindings = Resource("rbac.authorization.k8s.io/v1", "clusterrolebindings", namespaced=False)
    await bare_api.delete(bindings, f"{RELEASE}-manager-rolebinding")
    with pytest.raises(ProgramFailed):
        await _tested(release, bare_api)


async def _tested(release: Release, api: Api) -> str:
    """Run `helm test`, and its pod in place of a kubelet; return what Helm printed. Raises ProgramFailed."""
    testing = asyncio.create_task(release.test())
    try:
        await _run_pod(release.plane, api)
    finally:
        await asyncio.wait([testing])
    return await testing


async def _run_pod(plane: ControlPlane, api: Api) -> None:
    pod = await wait_for(lambda: _pending(api), what="the pod of helm test")
    (container,) = pod["spec"]["containers"]
    assert (container["command"], pod["spec"]["serviceAccountName"]) == (["/manager"], ACCOUNT)
    secrets = {each["metadata"]["name"]: reading.decoded(each) for each in await api.list(SECRETS, NAMESPACE)}
    ended = await commands.run(
        *container["args"],
        kubeconfig=plane.write_kubeconfig("tested", token=await token_of(api)),
        env={**dict.fromkeys(_KEYS), **olm.variables(container, pod["metadata"], secrets)},
    )
    phase = "Failed" if ended.code else "Succeeded"
    await api.merge_patch(PODS, pod["metadata"]["name"], {"status": {"phase": phase}}, NAMESPACE, "status")


async def _pending(api: Api) -> Json | None:
    pods = await api.list(PODS, NAMESPACE)
    return next((each for each in pods if each["status"]["phase"] == "Pending"), None)


async def _served(api: Api) -> None:
    await api.crds_served(each["metadata"]["name"] for each in DEFAULT if "names" in each.get("spec", {}))
