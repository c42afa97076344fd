"""A change of the spec is acted on at once."""

import itertools

import pytest

from lab import audit
from lab.api import ARGO_SECRETS, ECR_SECRETS, Json, Resource
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.scene import Scene

AT_ONCE = 1.0


async def test_another_region_brings_its_token_at_once(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", region="us-east-1"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.change("pull", {"region": "eu-west-1", "ecr_registry": registry("eu-west-1")})
        (resource,) = await scene.ready("pull", within=AT_ONCE)
    secret = await scene.secret("pull-login")
    assert reading.token(secret).region == "eu-west-1"
    assert registry("us-east-1") not in reading.decoded(secret)[".dockerconfigjson"]
    assert resource["status"]["observedGeneration"] == 2


async def test_another_registry_of_the_same_region_costs_no_call_to_aws(scene: Scene) -> None:
    other = registry().replace("123456789012", "210987654321")
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.change("pull", {"ecr_registry": other})
        await scene.ready("pull", within=AT_ONCE)
    data = reading.decoded(await scene.secret("pull-login"))[".dockerconfigjson"]
    assert data.startswith(f'{{"auths":{{"{other}":')
    assert scene.aws.count() == 1


async def test_another_url_is_written_at_once(scene: Scene) -> None:
    url = f"{registry()}/charts"
    await scene.create(argo_secret("charts"))
    async with scene.operator():
        await scene.ready("charts", kind=ARGO_SECRETS)
        await scene.change("charts", {"url": url}, ARGO_SECRETS)
        await scene.ready("charts", kind=ARGO_SECRETS, within=AT_ONCE)
    assert reading.decoded(await scene.secret("charts-login"))["url"] == url


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        pytest.param(ecr_secret("pull"), ECR_SECRETS, id="Secret"),
        pytest.param(argo_secret("pull"), ARGO_SECRETS, id="ArgoHelmRepoSecret"),
    ],
)
async def test_a_new_name_makes_the_new_secret_first_and_deletes_the_old_one(
    scene: Scene, manifest: Json, kind: Resource
) -> None:
    await scene.create(manifest)
    async with scene.operator():
        await scene.ready("pull", kind=kind)
        scene.mark()
        await scene.change("pull", {"generated_secret_name": "renamed"}, kind)
        (resource,) = await scene.ready("pull", kind=kind, within=AT_ONCE)
    assert await scene.find_secret("pull-login") is None
    assert reading.token(await scene.secret("renamed")).serial == 1
    assert resource["status"]["secretName"] == "renamed"
    assert _secret_writes(scene) == [("patch", "renamed"), ("delete", "pull-login")]
    assert scene.aws.count() == 1


def _secret_writes(scene: Scene) -> list[tuple[str, str]]:
    """Return verb and name of the operator's writes of core Secrets, in order of arrival."""
    found = [
        (entry["requestReceivedTimestamp"], entry["verb"], entry["objectRef"]["name"])
        for entry in audit.entries(scene.plane.audit_log, scene.since)
        if entry["user"]["username"] == scene.user
        and entry["verb"] in {"patch", "delete", "create", "update"}
        and entry["objectRef"]["resource"] == "secrets"
        and "apiGroup" not in entry["objectRef"]
    ]
    return [(verb, name) for _, verb, name in sorted(found)]


async def test_a_shorter_frequency_counts_at_once(scene: Scene) -> None:
    # By expiry the second call would come after 7.6 s at the earliest; 3 s is the safe interval.
    scene.aws.token_life = 12
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.change("pull", {"frequency": "1s"})
        await wait_for(lambda: scene.aws.count() == 2, 6, "the second call")
    (interval,) = [later.at - earlier.at for earlier, later in itertools.pairwise(scene.aws.calls)]
    assert 3 <= interval < 5


async def test_another_frequency_moves_the_next_refresh_without_aws_and_without_touching_the_secret(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull", frequency="8h"))
    async with scene.operator():
        await scene.ready("pull")
        before = await scene.secret("pull-login")
        await scene.change("pull", {"frequency": "4h"})
        (resource,) = await scene.ready("pull", within=AT_ONCE)
    status = resource["status"]
    hours = (reading.epoch(status["nextRefreshTime"]) - reading.epoch(status["lastUpdatedTime"])) / 3600
    assert 3.79 < hours <= 4
    assert await scene.secret("pull-login") == before
    assert scene.aws.count() == 1
