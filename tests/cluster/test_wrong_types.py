"""Resources of wrong types, stored before the schema that forbids them: reported, without harm to others."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from lab.api import ARGO_SECRETS, ECR_SECRETS, Api, ApiError, Json
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene

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


async def _store(rough: Scene) -> None:
    """Create resources of wrong types, which the present CRDs forbid."""
    probe = _wrong("probe", "hello")
    await _apply_crds(rough.api, _without_schema)
    await wait_for(lambda: _admits(rough, probe), what="the schema gone")
    for name, spec in WRONG.items():
        await rough.create(_wrong(name, spec))
    await rough.create({**ecr_secret("status-is-a-string"), "status": "hello"})
    status = ECR_SECRETS.path("status-is-a-string", rough.namespace, "status")
    patch = {"status": "hello"}
    await rough.api.request("PATCH", status, body=patch, content_type="application/merge-patch+json")
    await _apply_crds(rough.api, lambda crd: crd)
    await wait_for(lambda: _negated(_admits(rough, probe)), what="the schema back")


async def _negated(answer: Awaitable[bool]) -> bool:
    return not await answer


async def test_what_the_schema_forbids_by_now_is_reported_on_that_resource_while_others_are_served(
    rough: Scene,
) -> None:
    await _store(rough)
    await rough.create(ecr_secret("good"), argo_secret("charts"))
    async with rough.operator() as operator:
        await rough.ready("good", "status-is-a-string")
        await rough.ready("charts", kind=ARGO_SECRETS)
        await asyncio.gather(*(_is_reported(rough, operator, name) for name in WRONG))
        assert await rough.find_secret("wrong-login") is None
        await rough.delete("good-login")
        await rough.appears("good-login")


async def _is_reported(scene: Scene, operator: OperatorProcess, name: str) -> None:
    """Check that the status reports it; where that can't be written, that Event and log do."""

    async def look() -> bool:
        resource = await scene.resource(name)
        if reading.verdict(resource, "Refreshed") == ("False", "InvalidSpec"):
            return True
        lines = [line for line in operator.log.read_text().splitlines() if f'"{name}"' in line]
        return bool(lines) and "InvalidSpec" in await scene.events(name)

    await wait_for(look, what=f"{name} reported")
