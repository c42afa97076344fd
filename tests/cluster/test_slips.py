"""Mistakes in live resources, on a real API server: reported at once, and no login ends by them."""

import json
import time
from pathlib import Path

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json, Resource
from lab.kubectl import kubectl
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.concurrent import waits
from tests.cluster.scene import SECRET_WRITE, Scene

LIFE = 18.0
HELD = {"labels", "ownerReferences"}
# What the live resources say beside that, and the slip in each.
LABELS = {"team": "shop"}
EDITED = "eA=="
SLIPS: dict[str, tuple[Json, Json]] = {
    "annotation": ({"secret_labels": LABELS}, {"secret_annotations": {"kubernetes.io/x": "y"}}),
    "label": ({"secret_labels": LABELS}, {"secret_labels": {"team": "a b"}}),
    "policy": ({"deletion_policy": "Orphan"}, {"deletion_policy": "orphan"}),
    "extra": ({"region": None}, {"additional_registries": ["proxy.example.com"]}),
    "frequency": ({}, {"frequency": "10 hours"}),
}


@waits
async def test_a_slip_is_reported_at_once_and_the_token_never_dies(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    await scene.create(
        *(ecr_secret(name, **usual) for name, (usual, _) in SLIPS.items()),
        argo_secret("project", project="team-a"),
    )
    logins = [f"{name}-login" for name in (*SLIPS, "project")]
    async with scene.operator():
        await scene.ready(*SLIPS)
        await scene.ready("project", kind=ARGO_SECRETS)
        before = {name: reading.essence(await scene.secret(name)) for name in logins}
        for name, (_, slip) in SLIPS.items():
            await scene.change(name, slip)
        await scene.change("project", {"project": "team a"}, ARGO_SECRETS)
        for name in SLIPS:
            await _goes_on(scene, name, ECR_SECRETS)
        await _goes_on(scene, "project", ARGO_SECRETS)
        table = await _kubectl(scene, scene.plane.folder, "get", "ecr")
        assert await scene.stays_alive(*logins, until=time.time() + 1.3 * LIFE) >= 2
        for name in logins:
            after = reading.essence(await scene.secret(name))
            assert {part: after[part] for part in HELD} == {part: before[name][part] for part in HELD}
        assert reading.decoded(await scene.secret("project-login"))["project"] == "team-a"
        assert "ownerReferences" not in (await scene.secret("policy-login"))["metadata"]
        await scene.change("policy", {"deletion_policy": "Orphan"})
        (resource,) = await scene.ready("policy")
    assert reading.condition(resource, "Stalled") == {}
    rows = [line for line in table.splitlines() if "-login" in line]
    assert len(rows) == len(logins)
    assert all("True" in row.split() and {"InvalidSpec"} & set(row.split()) for row in rows), table


async def _goes_on(scene: Scene, name: str, kind: Resource) -> None:
    """Check that a slip is reported, and the login served."""
    resource = await scene.told(name, "False", "InvalidSpec", kind=kind)
    assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
    assert reading.verdict(resource, "Stalled") == ("True", "InvalidSpec")
    assert {"secretName", "expirationTime"} <= set(resource["status"])


async def _kubectl(scene: Scene, home: Path, *arguments: str) -> str:
    return await kubectl(*arguments, "-n", scene.namespace, kubeconfig=scene.plane.kubeconfig, home=home)


async def test_after_a_restart_a_slip_still_loses_nothing_and_costs_no_write(scene: Scene) -> None:
    usual: Json = {"secret_labels": LABELS, "secret_annotations": {"example.com/note": "mine"}}
    await scene.create(
        ecr_secret("pull", **usual), argo_secret(credential_scope="repo-creds", repo_type="oci")
    )
    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
    before = [await scene.secret(name) for name in ("pull-login", "charts-login")]
    await scene.change("pull", {"secret_labels": {"team": "a b"}, "secret_annotations": {"k8s.io/x": "y"}})
    await scene.change("charts", {"credential_scope": "repo_creds", "repo_type": "OCI"}, ARGO_SECRETS)
    scene.mark()
    async with scene.operator():
        await scene.told("pull", "False", "InvalidSpec")
        await scene.told("charts", "False", "InvalidSpec", kind=ARGO_SECRETS)
        assert [await scene.secret(name) for name in ("pull-login", "charts-login")] == before
        assert scene.writes()[SECRET_WRITE] == 0
        assert scene.aws.count() == 1
        # A repair knows them too.
        edit = {"data": {"password": EDITED}}
        await scene.api.merge_patch(SECRETS, "charts-login", edit, scene.namespace)
        await wait_for(lambda: _restored(scene), what="the Secret restored")
    after = await scene.secret("charts-login")
    assert after["metadata"]["labels"] == before[1]["metadata"]["labels"]
    assert reading.decoded(after)["type"] == "oci"


async def _restored(scene: Scene) -> bool:
    return bool((await scene.secret("charts-login"))["data"]["password"] != EDITED)


UNUSABLE = {
    # The form of v0.6.0's own end-to-end test.
    "https": (argo_secret("https", url=f"https://{registry()}/helm-test-chart"), f"write {registry()}"),
    "sample": (
        ecr_secret("sample", ecr_registry="ACCOUNT_ID.dkr.ecr.us-east-1.amazonaws.com"),
        "write its 12 digits",
    ),
    "oci": (ecr_secret("oci", ecr_registry=f"oci://{registry()}"), "oci://"),
}


async def test_what_no_client_can_use_is_updated_and_not_ready(scene: Scene, tmp_path: Path) -> None:
    await scene.create(*(manifest for manifest, _ in UNUSABLE.values()))
    async with scene.operator():
        for name, (manifest, words) in UNUSABLE.items():
            kind = ARGO_SECRETS if name == "https" else ECR_SECRETS
            resource = await scene.told(name, "False", "InvalidRegistry", kind=kind)
            updated = "--for=jsonpath={.status.phase}=Updated"
            await _kubectl(scene, tmp_path, "wait", updated, f"{kind.plural}.ecr.mobb.redhat.com/{name}")
            assert reading.verdict(resource, "Ready") == ("False", "InvalidRegistry")
            assert words in reading.condition(resource, "Ready")["message"]
            data = reading.decoded(await scene.secret(f"{name}-login"))
            config = json.loads(data.get(".dockerconfigjson", '{"auths": {}}'))
            keys = [*config["auths"], *filter(None, [data.get("url")])]
            assert keys == [manifest["spec"].get("url") or manifest["spec"]["ecr_registry"]]
