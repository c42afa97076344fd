"""`render` and the operator come to the same Secret."""

import json

import pytest

from lab import commands
from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene

TOKEN_TIMES = (
    reading.ISSUED_AT,
    reading.EXPIRES_AT,
    "ecr.mobb.redhat.com/tokens",
    "ecr.mobb.redhat.com/access-key-hash",
)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(ecr_secret("one"), id="a pull secret"),
        pytest.param(
            ecr_secret(
                "two",
                secret_labels={"team": "a"},
                secret_annotations={"note": "b"},
                additional_registries=["123456789012.dkr.ecr.eu-west-1.amazonaws.com"],
            ),
            id="with labels and more registries",
        ),
        pytest.param(ecr_secret("three", deletion_policy="Orphan"), id="without an owner"),
        pytest.param(argo_secret("four", credential_scope="repo-creds"), id="for Argo CD"),
    ],
)
async def test_what_is_rendered_of_a_resource_is_what_the_operator_writes(
    scene: Scene, manifest: Json
) -> None:
    name, kind = manifest["metadata"]["name"], ARGO_SECRETS if "url" in manifest["spec"] else ECR_SECRETS
    await scene.create(manifest)
    async with scene.operator():
        await scene.ready(name, kind=kind)
    raw = await scene.resource(name, kind)
    written = reading.essence(await scene.secret(f"{name}-login"))
    ended = await commands.run("render", "-f", "-", "-o", "json", given=json.dumps(raw).encode())
    rendered = reading.essence(json.loads(ended.out))
    assert ended.code == 0
    for secret in (written, rendered):
        for annotation in TOKEN_TIMES:
            secret["annotations"].pop(annotation, None)
        secret["data"] = _without_tokens(secret)
    assert rendered == written


def _without_tokens(secret: Json) -> Json:
    data = reading.decoded(secret)
    if ".dockerconfigjson" in data:
        return {
            host: login["username"] for host, login in json.loads(data[".dockerconfigjson"])["auths"].items()
        }
    return {key: value for key, value in data.items() if key != "password"}


async def test_a_service_accounts_token_is_fetched_by_way_of_the_cluster(scene: Scene) -> None:
    role = "arn:aws:iam::123456789012:role/team"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder"}}
    await scene.create(account)
    manifest = ecr_secret("pull", service_account={"name": "builder"}, role_arn=role)
    manifest["metadata"]["namespace"] = scene.namespace
    ended = await commands.run(
        "render",
        "-f",
        "-",
        "--show-token",
        kubeconfig=scene.kubeconfig,
        aws=scene.aws.url,
        given=json.dumps(manifest).encode(),
    )
    assert ended.code == 0
    assert scene.aws.count("AssumeRoleWithWebIdentity") == 1
    assert scene.aws.services.passwords[0] in ended.out
