"""The metrics of a real process."""

import socket
from datetime import UTC, datetime

from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.operator import OperatorProcess
from lab.secrecy import forms, leaks
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
    assert seen.values("leader") == [1]


async def _has_measured(operator: OperatorProcess) -> bool:
    return (await scrape(operator)).value("event_loop_lag_seconds_count") >= 1


async def test_one_replica_is_the_leader_and_the_standby_knows_the_tokens_too(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"), ecr_secret("bad", frequency="often"))
    env = {"POD_NAMESPACE": scene.namespace}
    async with scene.operator("--leader-elect", env={**env, "POD_NAME": "one"}) as one:
        await scene.ready("pull")
        async with scene.operator("--leader-elect", env={**env, "POD_NAME": "other"}) as other:
            leader = await shows(one, 1, "leader")
            # A slip in the frequency alone ends no login.
            standby = await shows(other, 2, "resources", ready="true")
    assert standby.values("leader") == [0]
    assert standby.expiry("pull") == leader.expiry("pull") is not None
    assert (leader.value("resources_failing"), standby.value("resources_failing")) == (1, 0)
    assert standby.value("queue_depth") == 0
    assert leader.value("kubernetes_requests_total", resource="leases.coordination.k8s.io") > 0


async def test_no_token_and_no_key_is_in_the_metrics(scene: Scene) -> None:
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    login = "hunter2-hunter2-hunter2-hunter2"
    scene.aws.garble("html", region="eu-west-1")
    await scene.create(
        ecr_secret("pull"),
        ecr_secret("garbled", region="eu-west-1"),
        argo_secret("charts", url=f"https://user:{login}@here.example"),
    )
    async with scene.operator(env={"AWS_SECRET_ACCESS_KEY": key}) as operator:
        await scene.ready("pull")
        await shows(operator, 1, "resources_failing", kind="Secret")
        seen = await scrape(operator)
    passwords = scene.aws.services.passwords
    assert passwords
    hidden = [key, login, *(form for password in passwords for form in (password, *forms(password)))]
    assert leaks({"metrics": seen.text}, hidden) == {}


async def test_a_requested_port_in_use_is_one_line_and_exit_1(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        async with scene.operator(f"--health-probe-bind-address={address}") as operator:
            assert await operator.wait(60) == 1
            lines = operator.log.read_text().splitlines()
    assert len(lines) == 1, lines
    assert f"{address}: Address already in use" in lines[0]
