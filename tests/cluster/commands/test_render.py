"""`render` and the operator make the same Secret."""

import json

from lab import commands
from lab.api import ARGO_SECRETS, CLUSTER_SECRETS, ECR_SECRETS, Json, Resource
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene
from tests.cluster.test_cluster_secrets import many

TOKEN_TIMES = (
    reading.ISSUED_AT,
    reading.EXPIRES_AT,
    "ecr.mobb.redhat.com/tokens",
    "ecr.mobb.redhat.com/access-key-hash",
)
MANIFESTS = {
    "pull": ecr_secret("pull"),
    "labelled": ecr_secret(
        "labelled",
        secret_labels={"team": "a"},
        secret_annotations={"note": "b"},
        additional_registries=["123456789012.dkr.ecr.eu-west-1.amazonaws.com"],
    ),
    "orphan": ecr_secret("orphan", deletion_policy="Orphan"),
    "charts": argo_secret("charts", credential_scope="repo-creds"),
}


async def test_a_rendered_secret_is_the_one_that_the_operator_writes(scene: Scene) -> None:
    await scene.create(*MANIFESTS.values())
    async with scene.operator():
        await scene.ready("pull", "labelled", "orphan")
        await scene.ready("charts", kind=ARGO_SECRETS)
    resources = [await scene.resource(name, _kind(manifest)) for name, manifest in MANIFESTS.items()]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": resources}).encode()
    ended = await commands.run("render", "-f", "-", "-o", "json", given=given)
    assert ended.code == 0
    rendered = [_comparable(each) for each in json.loads(ended.out)["items"]]
    written = [_comparable(await scene.secret(f"{name}-login")) for name in MANIFESTS]
    assert rendered == written


async def test_a_rendered_secret_of_a_cluster_secret_is_the_one_in_that_namespace(whole: Scene) -> None:
    async with many(whole, 2) as there, whole.operator(watch=""):
        name = await there.create(secret_labels={"team": "a"})
        written = await there.have_it(there.namespaces)
        given = json.dumps(await whole.api.get(CLUSTER_SECRETS, name)).encode()
        for namespace, secret in zip(there.namespaces, written, strict=True):
            ended = await commands.run("render", "-f", "-", "-n", namespace, "-o", "json", given=given)
            assert ended.code == 0
            assert _comparable(json.loads(ended.out)) == _comparable(secret)


def _kind(manifest: Json) -> Resource:
    return ARGO_SECRETS if "url" in manifest["spec"] else ECR_SECRETS


def _comparable(secret: Json) -> Json:
    essence = reading.essence(secret)
    for annotation in TOKEN_TIMES:
        essence["annotations"].pop(annotation, None)
    data = reading.decoded(essence)
    if ".dockerconfigjson" in data:
        logins = json.loads(data[".dockerconfigjson"])["auths"]
        return {**essence, "data": {host: login["username"] for host, login in logins.items()}}
    return {**essence, "data": {key: value for key, value in data.items() if key != "password"}}


async def test_a_service_accounts_token_comes_from_the_cluster(scene: Scene) -> None:
    await scene.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder"}})
    role = "arn:aws:iam::123456789012:role/team"
    manifest = ecr_secret("pull", service_account={"name": "builder"}, role_arn=role)
    manifest["metadata"]["namespace"] = scene.namespace
    ended = await commands.run(
        *("render", "-f", "-", "--show-token"),
        kubeconfig=scene.kubeconfig,
        aws=scene.aws.url,
        given=json.dumps(manifest).encode(),
    )
    assert ended.code == 0
    assert scene.aws.count("AssumeRoleWithWebIdentity") == 1
    assert scene.aws.services.passwords[0] in ended.out
