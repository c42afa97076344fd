"""A real Argo CD with the repository Secrets that the operator writes: what docs/argocd.md states of both."""

import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from lab import programs
from lab.api import ARGO_SECRETS, Json
from lab.aws import IssuedToken, LocalAws
from lab.aws_services import TWELVE_HOURS
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.builders import registry as host_in
from tests.cluster.scene import Scene
from tests.conftest import install, started_with
from tests.docs.blocks import DOCUMENTS
from tests.docs.test_guides import manifests
from tests.programs.argocd import CONFIG_MAPS, ArgoCd, argocd, errors, install_crds
from tests.programs.client import Helm, write_chart
from tests.programs.conftest import Program
from tests.programs.registry import EcrRegistry
from tools import ROOT

# The documents' region.
REGION: Final = "us-east-2"
HOST: Final = host_in(REGION)
# Both are somebody else's: the first begins with the host, the second doesn't.
LONGER: Final = f"{HOST}.evil.example.com"
OTHER: Final = f"evil-{HOST}"
GUIDE: Final = (ROOT / "docs" / "argocd.md").read_text(encoding="utf-8")
NO_LOGIN: Final = "basic credential not found"
EXPIRED: Final = "authorization token has expired"
TRACKING: Final = "argocd.argoproj.io/tracking-id"


async def install_both(plane: ControlPlane) -> None:
    """Install the operator's part and Argo CD's."""
    await install(plane)
    async with plane.api() as api:
        await install_crds(api)


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane with Argo CD's CRDs and the garbage collector, by which it prunes."""
    with started_with(install_both) as plane:
        plane.start_controller_manager()
        yield plane


@pytest.fixture
async def registry(program: Program, aws: LocalAws) -> AsyncIterator[EcrRegistry]:
    """A registry that has ECR's name in one region, and two of others."""
    async with EcrRegistry(program(programs.REGISTRY), aws, HOST, LONGER, OTHER) as running:
        yield running


@pytest.fixture
async def argo(program: Program, scene: Scene, registry: EcrRegistry) -> AsyncIterator[ArgoCd]:
    """An Argo CD in the scene's namespace that reaches the registry."""
    binary, helm = program(programs.ARGOCD), program(programs.HELM)
    async with argocd(binary, helm, scene.plane, scene.namespace, registry) as running:
        yield running


def documented() -> list[Json]:
    """Return the Applications of the documents' chart, each named as its document."""
    return [
        each | {"metadata": {"name": document.stem.lower()}}
        for document in DOCUMENTS
        for each in manifests(str(document))
        if each["kind"] == "Application" and each["spec"]["source"].get("chart") == "helm-test-chart"
    ]


async def push(scene: Scene, helm: Helm, repository: str, *content: Json, **fields: object) -> None:
    """Push a chart of version 0.1.0, named as the end of its repository, with the login of `charts-login`."""
    namespace, name = repository.rsplit("/", 1)
    write_chart(helm.home / name, "0.1.0", *content, name=name, **fields)
    # Not `helm package`, which wants to have the dependencies.
    archive = shutil.make_archive(f"{helm.home}/{name}-0.1.0", "gztar", helm.home, name)
    as_helm = Path(archive).rename(helm.home / f"{name}-0.1.0.tgz")
    data = reading.decoded(await scene.secret("charts-login"))
    await helm.login(HOST, data["username"], data["password"])
    await helm.push(as_helm, namespace)


def chart(name: str, repository: str = HOST) -> Json:
    """Return the source of an Application for a chart."""
    return {"repoURL": repository, "chart": name, "targetRevision": "0.1.0"}


async def test_the_documented_applications_sync_and_recover_from_an_expired_token_without_a_restart(
    scene: Scene, argo: ArgoCd, helm: Helm
) -> None:
    await scene.create(argo_secret(region=REGION))
    applications = documented()
    names = [each["metadata"]["name"] for each in applications]
    assert "argocd" in names
    assert EXPIRED in GUIDE
    async with scene.operator():
        await scene.ready("charts", kind=ARGO_SECRETS)
        await push(scene, helm, f"{HOST}/helm-test-chart")
        await scene.create(*applications)
        for name in names:
            await argo.synced(name)
            assert await scene.api.find(CONFIG_MAPS, name, "default")
    # An operator that starts without the Secret gets another token.
    await scene.delete("charts-login")
    scene.aws.token_life = 5
    async with scene.operator():
        await scene.appears("charts-login")
        scene.aws.hang()
        scene.aws.token_life = TWELVE_HOURS

        async def expired() -> IssuedToken | None:
            token = await scene.token("charts-login")
            return token if time.time() > token.expires_at else None

        async def renewed() -> bool:
            return (await scene.token("charts-login")).serial > last.serial

        last = await wait_for(expired, what="the token's expiry")
        for name in names:
            assert EXPIRED in "".join(errors(await argo.refresh(name)))
        assert helm.registry.verdicts[-1] == "expired"
        scene.aws.clear()
        await wait_for(renewed, what="a new token")
        for name in names:
            assert errors(await argo.refresh(name)) == []
            await argo.synced(name)


async def test_a_repository_serves_one_url_and_repo_creds_serve_all_that_begin_with_it(
    scene: Scene, argo: ArgoCd, helm: Helm
) -> None:
    async def ready(name: str, **spec: str) -> None:
        await scene.create(argo_secret(name, region=REGION, **spec))
        await scene.ready(name, kind=ARGO_SECRETS)

    def artifact(name: str) -> Json:
        return {"repoURL": f"oci://{HOST}/charts/{name}", "targetRevision": "0.1.0", "path": "."}

    async with scene.operator():
        await ready("charts", credential_scope="repo-creds")
        for name in ("one", "two"):
            await push(scene, helm, f"{HOST}/charts/{name}")
        await argo.create("chart", chart("charts/one"))
        await argo.synced("chart")
        await ready("one", url=f"oci://{HOST}/charts/one", repo_type="oci")
        for name in ("one", "two"):
            await argo.create(name, artifact(name))
        await argo.synced("one")
        assert NO_LOGIN in "".join(errors(await argo.refresh("two")))
        await ready("all", url=f"oci://{HOST}", repo_type="oci", credential_scope="repo-creds")
        await argo.refresh("two")
        await argo.synced("two")


async def test_the_guide_quotes_the_errors_of_sources_without_a_login(
    scene: Scene, argo: ArgoCd, helm: Helm
) -> None:
    await scene.create(argo_secret(region=REGION, project="team-a"))
    for project in ("team-a", "team-b"):
        await argo.create_project(project, sourceRepos=["https://charts.example.com"])
    async with scene.operator():
        await scene.ready("charts", kind=ARGO_SECRETS)
        await push(scene, helm, f"{HOST}/charts/app")
        # The Secret's own project may use it, whatever its sourceRepos say.
        await argo.create("permitted", chart("charts/app"), project="team-a")
        await argo.synced("permitted")
        # All projects share the cache of charts.
        await argo.create("cached", chart("charts/app"))
        await argo.synced("cached")
        await argo.create("other-url", chart("app", f"{HOST}/charts"))
        await argo.create("other-project", chart("charts/other"))
        await argo.create("not-permitted", chart("charts/app"), project="team-b")
        for name, quoted in (
            ("other-url", NO_LOGIN),
            ("other-project", NO_LOGIN),
            ("not-permitted", "is not permitted in project"),
        ):
            assert quoted in "".join(errors(await argo.refresh(name)))
            assert quoted in GUIDE


async def test_a_dependency_gets_the_login_of_a_url_that_begins_its_own_also_on_another_host(
    scene: Scene, argo: ArgoCd, helm: Helm
) -> None:
    await scene.create(argo_secret(region=REGION))
    await argo.create_project("limited", sourceRepos=[HOST, f"{HOST}/**"])
    async with scene.operator():
        await scene.ready("charts", kind=ARGO_SECRETS)
        await push(scene, helm, f"{HOST}/app")
        for name, host in (("longer", LONGER), ("other", OTHER)):
            dependency = {"name": "app", "version": "0.1.0", "repository": f"oci://{host}"}
            await push(scene, helm, f"{HOST}/{name}", dependencies=[dependency])
            await argo.create(name, chart(name), project="limited")
        # It had to log in: the door lets nobody else in, under any name.
        await argo.synced("longer")
        assert f"helm repos {OTHER} are not permitted" in "".join(errors(await argo.refresh("other")))


async def test_argo_cd_shows_the_health_of_our_resources_and_prunes_only_a_secret_without_owner(
    scene: Scene, argo: ArgoCd, helm: Helm
) -> None:
    checks = yaml.safe_load((ROOT / "config/argocd/argocd_cm_patch.yaml").read_text(encoding="utf-8"))
    await scene.api.merge_patch(CONFIG_MAPS, "argocd-cm", checks, scene.namespace)
    await scene.create(argo_secret(region=REGION))
    scene.aws.fail("AccessDeniedException", region="eu-west-1")
    deployed = (
        ecr_secret("owned", region="eu-west-1"),
        argo_secret("kept", region=REGION, url=f"{HOST}/kept", deletion_policy="Orphan"),
    )
    logins = [f"{each['metadata']['name']}-login" for each in deployed]
    async with scene.operator():
        await scene.ready("charts", kind=ARGO_SECRETS)
        await push(scene, helm, f"{HOST}/charts/logins", *deployed)
        await argo.create("logins", chart("charts/logins"), prune=True, selfHeal=True)
        await argo.health_is("logins", "Degraded")
        scene.aws.clear()
        await argo.health_is("logins", "Healthy")
        owned, kept = await scene.secrets(*logins)
        for name in logins:
            mark = {TRACKING: f"logins:/Secret:{scene.namespace}/{name}"}
            await scene.patch_secret(name, {"metadata": {"annotations": mark}})

        async def pruned() -> bool:
            await argo.refresh("logins")
            found = await scene.find_secret("kept-login")
            return found is not None and found["metadata"]["uid"] != kept["metadata"]["uid"]

        await wait_for(pruned, what="the Secret with deletion_policy Orphan pruned, and made again")
        left = await scene.secret("owned-login")
    assert left["metadata"]["uid"] == owned["metadata"]["uid"]
    assert TRACKING in left["metadata"]["annotations"]
