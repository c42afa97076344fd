"""Objects whose metadata is more than Python's JSON parser takes: nobody else is harmed."""

import json

import pytest

from lab.api import ECR_SECRETS, SECRETS, Json, Resource
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene

LEVELS = 9000  # the API server takes 10,000
DEEP = b'{"f:a":' * LEVELS + b"{}" + b"}" * LEVELS
NOT_UTF_8 = b'{"f:\xff":{}}'


def owning(fields: bytes, manifest: Json) -> bytes:
    """Return an object as JSON, with these fields in an entry of managedFields."""
    entry = {
        "manager": "ecr-secret-operator",
        "operation": "Apply",
        "apiVersion": manifest["apiVersion"],
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": "HERE",
    }
    text = json.dumps(manifest | {"metadata": manifest["metadata"] | {"managedFields": [entry]}})
    return text.encode().replace(b'"HERE"', fields)


def secret(name: str) -> Json:
    labels = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}}


@pytest.mark.parametrize("fields", [DEEP, NOT_UTF_8], ids=["too deep", "not UTF-8"])
@pytest.mark.parametrize(
    ("kind", "manifest", "served"),
    [
        pytest.param(SECRETS, secret("odd"), ("before",), id="a Secret with our label"),
        pytest.param(ECR_SECRETS, ecr_secret("odd"), ("before", "odd"), id="a resource"),
    ],
)
async def test_metadata_that_does_not_parse_harms_nobody_else(
    scene: Scene, kind: Resource, manifest: Json, served: tuple[str, ...], fields: bytes
) -> None:
    path = kind.path(None, scene.namespace)
    await scene.create(ecr_secret("before"))
    await scene.api.request("POST", path, body=owning(fields, manifest))
    async with scene.operator():
        await scene.ready(*served)
        there = await scene.api.get(kind, "odd", scene.namespace)
        version = {"resourceVersion": there["metadata"]["resourceVersion"]}
        again = manifest | {"metadata": manifest["metadata"] | version}
        await scene.api.request("PUT", f"{path}/odd", body=owning(fields, again))
        await scene.create(ecr_secret("after"))
        await scene.ready("after")
