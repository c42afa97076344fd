"""Upgrade from v0.6.0 and rollback, by kubectl apply only."""

from collections.abc import AsyncIterator

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api, Json
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.manifests.installation import (
    CONFIG,
    LOOK_FOR_LINKS,
    NAMESPACE,
    ROOT,
    Installation,
    apply,
    apply_v060,
    build,
    install_v060,
    present,
)

OLD = v060.MANIFESTS
DEFAULT = CONFIG / "default"
DOCS = (ROOT / "docs" / "upgrade.md").read_text()
_OF_THE_SERVER = {"managedFields", "resourceVersion", "generation", "annotations"}
NAMES = ("pull-login", "charts-login")


@pytest.fixture
async def stage(bare_plane: ControlPlane, aws: LocalAws) -> AsyncIterator[Installation]:
    """A scene on which v0.6.0 is installed."""
    async with bare_plane.api() as api:
        yield await install_v060(bare_plane, api, aws)


def _key(manifest: Json) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


async def _present(api: Api) -> dict[tuple[str, str], Json]:
    """Return what the server has of v0.6.0's objects, without what it adds to each change."""
    found = {}
    for manifest in OLD:
        seen = await present(api, manifest)
        metadata = {key: value for key, value in seen["metadata"].items() if key not in _OF_THE_SERVER}
        content = {key: value for key, value in seen.items() if key != "status"}
        found[_key(manifest)] = {**content, "metadata": metadata}
    return found


async def test_the_upgrade_adopts_in_place_without_a_call_to_aws_and_the_rollback_restores_all(
    stage: Installation,
) -> None:
    for resource in (ecr_secret("pull"), argo_secret("charts")):
        await v060.left_behind(stage, resource)
    objects, secrets = await _present(stage.api), await stage.secrets(*NAMES)
    await apply(stage.plane, DEFAULT)
    upgraded = await _present(stage.api)
    assert upgraded != objects
    assert [each["metadata"]["uid"] for each in upgraded.values()] == [
        each["metadata"]["uid"] for each in objects.values()
    ]
    await _ready(stage)
    assert [each["data"] for each in await stage.secrets(*NAMES)] == [each["data"] for each in secrets]
    assert stage.aws.count() == 0
    await apply_v060(stage.plane)
    assert await _present(stage.api) == objects
    for name in NAMES:
        await _refresh_as_v060(stage, name)
    assert set((await stage.resource("pull"))["status"]) == {"phase", "lastUpdatedTime"}
    # And forward again.
    await apply(stage.plane, DEFAULT)
    await _ready(stage)
    assert {reading.token(await stage.secret(name)).serial for name in NAMES} == {1}
    assert {each.partition("?")[0] for each in stage.refusals()} <= {LOOK_FOR_LINKS}


async def _ready(stage: Installation) -> None:
    async with stage.operator(watch=""):
        await stage.ready("pull")
        await stage.ready("charts", kind=ARGO_SECRETS)


async def _refresh_as_v060(stage: Installation, name: str) -> None:
    """Do what v0.6.0 does for a refresh, with the account's own rights."""
    kind = ECR_SECRETS if name == "pull-login" else ARGO_SECRETS
    plane = stage.plane
    async with Api(plane.url, token=stage.account_token, authority=plane.authority) as old:
        resource = await old.get(kind, name.removesuffix("-login"), stage.namespace)
        desired = v060.generated_secret(resource, v060.new_password())
        present = await old.get(SECRETS, name, stage.namespace)
        await old.replace({**present, "data": desired["data"]})
        path = kind.path(resource["metadata"]["name"], stage.namespace, "status")
        await old.request("PUT", path, body={**resource, "status": v060.status(age=0)})


def test_the_guide_names_each_object_and_right_that_the_upgrade_removes() -> None:
    kept = {_key(each) for each in build(DEFAULT)}
    removed = [key for key in map(_key, OLD) if key not in kept]
    assert removed == [("ConfigMap", f"{NAMESPACE}-manager-config")]
    names = (*(name for _, name in removed), "configmaps", "finalizers")
    assert [name for name in names if name not in DOCS] == []
