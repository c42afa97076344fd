"""Resources of wrong types, stored before the schema that forbids them: told of, and no harm to others."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.api import ARGO_SECRETS, ECR_SECRETS, Api, ApiError, Json
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster import admission, reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import STATUS_WRITE, Scene

CRDS = Path("config/crd/bases")
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

WRONG: dict[str, Any] = {
    "spec-is-a-string": "hello",
    "spec-is-a-list": ["hello"],
    "spec-is-empty": {},
    "no-spec": None,
    "registry-is-a-number": {
        "ecr_registry": 5,
        "region": "us-east-1",
        "generated_secret_name": "wrong-login",
    },
    "name-is-an-object": {"ecr_registry": "public.ecr.aws", "generated_secret_name": {"a": ["b"]}},
    "region-is-a-list": {
        "ecr_registry": "a.b",
        "region": ["us-east-1"],
        "generated_secret_name": "wrong-login",
    },
    "frequency-is-a-number": {
        "ecr_registry": "public.ecr.aws",
        "frequency": 10,
        "generated_secret_name": "served-login",
    },
}


async def _apply_crds(api: Api, change: Callable[[Json], Json]) -> None:
    for path in sorted(CRDS.glob("*.yaml")):
        await api.apply(change(yaml.safe_load(path.read_text())))


def _without_schema(crd: Json) -> Json:
    for version in crd["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = ANYTHING
    return crd


async def _admits(scene: Scene, manifest: Json) -> bool:
    """Tell whether the API server would take an object now."""
    path = ECR_SECRETS.path(None, scene.namespace)
    try:
        await scene.api.request("POST", path, body=manifest, query={"dryRun": "All"})
    except ApiError as error:
        if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return False
        raise
    return True


def _wrong(name: str, spec: Any) -> Json:
    manifest = {**ecr_secret(name), "spec": spec}
    return {field: value for field, value in manifest.items() if value is not None}


@pytest.fixture
async def stored(rough: Scene) -> Scene:
    """A stage with resources of wrong types, which the present CRDs forbid."""
    probe = _wrong("probe", "hello")
    await _apply_crds(rough.api, _without_schema)
    await wait_for(lambda: _admits(rough, probe), 10, "the schema gone")
    for name, spec in WRONG.items():
        await rough.create(_wrong(name, spec))
    await rough.create({**ecr_secret("status-is-a-string"), "status": "hello"})
    status = ECR_SECRETS.path("status-is-a-string", rough.namespace, "status")
    patch = {"status": "hello"}
    await rough.api.request("PATCH", status, body=patch, content_type="application/merge-patch+json")
    await _apply_crds(rough.api, lambda crd: crd)
    await wait_for(lambda: _negated(_admits(rough, probe)), 10, "the schema back")
    return rough


async def _negated(answer: Awaitable[bool]) -> bool:
    return not await answer


async def test_what_the_schema_forbids_by_now_is_told_on_that_resource_while_others_are_served(
    stored: Scene,
) -> None:
    await stored.create(ecr_secret("good"), argo_secret("charts"))
    async with stored.operator() as operator:
        await stored.ready("good", "status-is-a-string")
        await stored.ready("charts", kind=ARGO_SECRETS)
        await asyncio.gather(*(_is_told(stored, operator, name) for name in WRONG))
        assert await stored.find_secret("wrong-login") is None
        await stored.delete("good-login")
        await wait_for(lambda: stored.find_secret("good-login"), 1, "the good one's Secret made again")


async def _is_told(scene: Scene, operator: OperatorProcess, name: str) -> None:
    """Check that the status tells of it; where that can't be written, that Event and log do."""

    async def told() -> bool:
        resource = await scene.resource(name)
        if reading.verdict(resource, "Refreshed") == ("False", "InvalidSpec"):
            return True
        lines = [line for line in operator.log.read_text().splitlines() if f'"{name}"' in line]
        return bool(lines) and "InvalidSpec" in await scene.events(name)

    await wait_for(told, 10, f"{name} told of")


DENIAL = "no status for it"


async def test_a_status_that_can_not_be_written_is_told_of_once_by_event_and_log(rough: Scene) -> None:
    await _deny_statuses_of(rough, "bad")
    await rough.create(ecr_secret("bad", frequency="often"), ecr_secret("good"))
    async with rough.operator() as operator:
        await rough.ready("good")
        await wait_for(lambda: rough.writes("bad")[STATUS_WRITE] >= 2, 25, "a second attempt")
        assert await rough.events("bad") == ["InvalidSpec"]
        log = operator.log.read_text()
    assert log.count(DENIAL) == 1
    assert log.count('"name": "bad"') <= 2
    assert "status" not in await rough.resource("bad")


async def _deny_statuses_of(scene: Scene, name: str) -> None:
    """Have the API server refuse every status of one resource, in the scene's namespace."""
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": scene.namespace},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["ecr.mobb.redhat.com"],
                        "apiVersions": ["v1alpha1"],
                        "operations": ["UPDATE"],
                        "resources": ["secrets/status"],
                    }
                ]
            },
            "validations": [{"expression": f"object.metadata.name != '{name}'", "message": DENIAL}],
        },
    }
    await admission.enforce(scene, policy)
    await scene.create(ecr_secret(name, ecr_registry=""))
    await wait_for(lambda: _is_denied(scene, name), 10, "the policy at work")
    await scene.delete(name, ECR_SECRETS)


async def _is_denied(scene: Scene, name: str) -> bool:
    try:
        await scene.api.patch_status(ECR_SECRETS, name, {"phase": "Failed"}, scene.namespace)
    except ApiError as error:
        return DENIAL in str(error)
    return False
