"""Objects whose metadata is more than Python's JSON parser accepts: no other resource is affected."""

import json

from lab.api import ECR_SECRETS, SECRETS, Json
from tests.cluster.builders import core_secret, ecr_secret
from tests.cluster.scene import Scene

LEVELS = 9000  # the API server accepts 10,000
DEEP = b'{"f:a":' * LEVELS + b"{}" + b"}" * LEVELS
NOT_UTF_8 = b'{"f:\xff":{}}'
OURS = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
ODD = [
    (kind, manifest, fields)
    for name, fields in (("deep", DEEP), ("bytes", NOT_UTF_8))
    for kind, manifest in ((SECRETS, core_secret(name, labels=OURS)), (ECR_SECRETS, ecr_secret(name)))
]


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


async def test_metadata_that_does_not_parse_affects_no_other_resource(scene: Scene) -> None:
    await scene.create(ecr_secret("before"))
    for kind, manifest, fields in ODD:
        path = kind.path(None, scene.namespace)
        await scene.api.request("POST", path, body=owning(fields, manifest))
    async with scene.operator():
        await scene.ready("before", "deep", "bytes")
        for kind, manifest, fields in ODD:
            name = manifest["metadata"]["name"]
            there = (await scene.api.get(kind, name, scene.namespace))["metadata"]
            changed = manifest | {
                "metadata": manifest["metadata"] | {"resourceVersion": there["resourceVersion"]}
            }
            path = kind.path(name, scene.namespace)
            await scene.api.request("PUT", path, body=owning(fields, changed))
        await scene.create(ecr_secret("after"))
        await scene.ready("after")
