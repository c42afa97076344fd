"""Mistakes in live resources: what a real managedFields records survives a restart under them."""

from lab.api import ARGO_SECRETS, SECRETS, Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import SECRET_WRITE, Scene

EDITED = "eA=="


async def test_after_a_restart_a_slip_still_loses_nothing_and_costs_no_write(scene: Scene) -> None:
    usual: Json = {"secret_labels": {"team": "shop"}, "secret_annotations": {"example.com/note": "mine"}}
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
