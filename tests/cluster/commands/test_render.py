"""`render` and the operator make the same Secret."""

import json
from pathlib import Path

from lab import commands
from lab.api import ARGO_SECRETS, CLUSTER_SECRETS, ECR_SECRETS, Json, Resource
from tests.cli import running
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


async def rendered(folder: Path, manifest: Json, *arguments: str) -> Json:
    """The Secret, or the List of several, for a manifest."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(manifest), encoding="utf-8")
    ended = await running.run("render", "-f", str(file), "-o", "json", *arguments)
    assert ended.code == 0
    found: Json = json.loads(ended.out)
    return found


async def test_a_rendered_secret_is_the_one_that_the_operator_writes(scene: Scene, tmp_path: Path) -> None:
    await scene.create(*MANIFESTS.values())
    async with scene.operator():
        await scene.ready("pull", "labelled", "orphan")
        await scene.ready("charts", kind=ARGO_SECRETS)
    resources = [await scene.resource(name, _kind(manifest)) for name, manifest in MANIFESTS.items()]
    found = await rendered(tmp_path, {"apiVersion": "v1", "kind": "List", "items": resources})
    written = [_comparable(await scene.secret(f"{name}-login")) for name in MANIFESTS]
    assert list(map(_comparable, found["items"])) == written


async def test_a_rendered_secret_of_a_cluster_secret_is_the_one_in_that_namespace(
    whole: Scene, tmp_path: Path
) -> None:
    async with many(whole, 2) as there, whole.operator(watch=""):
        name = await there.create(secret_labels={"team": "a"})
        written = await there.have_it(there.namespaces)
        given = await whole.api.get(CLUSTER_SECRETS, name)
        for namespace, secret in zip(there.namespaces, written, strict=True):
            found = await rendered(tmp_path, given, "-n", namespace)
            assert _comparable(found) == _comparable(secret)


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
