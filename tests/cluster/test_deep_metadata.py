"""Objects whose metadata is nested deeper than Python parses JSON: nobody else is harmed."""

import json

import pytest

from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene
from tests.lab.api import ECR_SECRETS, SECRETS, Json, Resource

LEVELS = 9000  # the API server takes 10,000


def deep(manifest: Json) -> str:
    """Return an object as JSON, with an entry in managedFields that is too deep."""
    entry = {
        "manager": "ecr-secret-operator",
        "operation": "Apply",
        "apiVersion": manifest["apiVersion"],
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": "HERE",
    }
    text = json.dumps(manifest | {"metadata": manifest["metadata"] | {"managedFields": [entry]}})
    return text.replace('"HERE"', '{"f:a":' * LEVELS + "{}" + "}" * LEVELS)


def secret(name: str) -> Json:
    labels = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}}


@pytest.mark.parametrize(
    ("kind", "manifest", "served"),
    [
        pytest.param(SECRETS, secret("deep"), ("before",), id="a Secret with our label"),
        pytest.param(ECR_SECRETS, ecr_secret("deep"), ("before", "deep"), id="a resource"),
    ],
)
async def test_metadata_that_is_too_deep_to_parse_harms_nobody_else(
    scene: Scene, kind: Resource, manifest: Json, served: tuple[str, ...]
) -> None:
    path = kind.path(None, scene.namespace)
    await scene.create(ecr_secret("before"))
    await scene.api.request("POST", path, body=deep(manifest))
    async with scene.operator():
        await scene.ready(*served)
        there = await scene.api.get(kind, "deep", scene.namespace)
        version = {"resourceVersion": there["metadata"]["resourceVersion"]}
        again = manifest | {"metadata": manifest["metadata"] | version}
        await scene.api.request("PUT", f"{path}/deep", body=deep(again))
        await scene.create(ecr_secret("after"))
        await scene.ready("after")
