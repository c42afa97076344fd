"""The metrics of a real process."""

from datetime import UTC, datetime

from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.pages import scrape, shows
from tests.cluster.scene import Scene


async def test_refreshes_repairs_and_deletions_show_in_every_metric_that_they_touch(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"), ecr_secret("other"), argo_secret("charts"))
    async with scene.operator() as operator:
        (pull, _) = await scene.ready("pull", "other")
        await scene.ready("charts", kind=ARGO_SECRETS)
        await wait_for(lambda: _has_measured(operator), what="a measurement of the loop")
        seen = await shows(operator, 3, "resources", ready="true")
        await scene.delete("pull-login")
        await shows(operator, 1, "refreshes_total", reason="Repaired")
        await scene.delete("pull", ECR_SECRETS)
        later = await shows(operator, 2, "resources")
    assert (later.expiry("pull"), later.expiry("other") is None) == (None, False)
    expires = datetime.fromisoformat(pull["status"]["expirationTime"])
    found = seen.expiry("pull")
    assert found is not None
    assert found.replace(microsecond=0) == expires.astimezone(UTC)
    labels = {"kind": "ArgoHelmRepoSecret", "resource_namespace": scene.namespace, "resource_name": "charts"}
    assert len(seen.values("token_expiry_timestamp_seconds", **labels)) == 1
    assert seen.values("resources", kind="Secret", ready="true") == [2]
    assert seen.values("refreshes_total", kind="Secret", reason="Refreshed") == [2]
    assert seen.values("refreshes_total", kind="ArgoHelmRepoSecret", reason="Refreshed") == [1]
    assert seen.values("aws_calls_total", operation="ecr:GetAuthorizationToken", outcome="Success") == [1]
    assert seen.values("aws_call_duration_seconds_count", region="us-east-1") == [1]
    assert seen.values("kubernetes_requests_total", verb="patch", resource="secrets", code="201") == [3]
    assert seen.value("kubernetes_requests_total", verb="watch", code="200") == 3


async def _has_measured(operator: OperatorProcess) -> bool:
    return (await scrape(operator)).value("event_loop_lag_seconds_count") >= 1


async def test_a_standby_knows_the_tokens_and_reports_that_it_does_not_lead(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    env = {"POD_NAMESPACE": scene.namespace}
    async with scene.operator("--leader-elect", env=env) as one:
        await scene.ready("pull")
        async with scene.operator("--leader-elect", env=env) as other:
            leader, standby = [await shows(each, 1, "resources", ready="true") for each in (one, other)]
    assert (leader.values("leader"), standby.values("leader")) == ([1], [0])
    assert standby.expiry("pull") == leader.expiry("pull") is not None
