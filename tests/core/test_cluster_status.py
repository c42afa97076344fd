"""What is reported of a ClusterSecret: of the present spec, and the same after a restart."""

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import Reason
from tests.builders import cases, host, transient
from tests.core.cluster_world import BLUE, KEY, READY, THREE, Clusters, serving
from tests.core.world import World

MANY = {f"n{number:03}": dict[str, str]() for number in range(60)}


@cases(
    "change",
    {
        "name": {"generated_secret_name": "other-pull"},
        "registry": {"ecr_registry": host("eu-west-1")},
        "labels": {"secret_labels": {"a": "b"}},
    },
)
async def test_ready_is_of_the_present_spec(idle: World, clusters: Clusters, change: dict[str, Any]) -> None:
    await clusters.show()
    idle.secrets.delay = 5.0
    idle.show(CLUSTER, name="all", generation=2, status=clusters.status, **change)
    await idle.clock.advance(2)
    assert clusters.status["observedGeneration"] == 2
    assert clusters.counted == (3, 0)
    assert clusters.conditions["Ready"] == ("False", "Pending")
    assert clusters.status["secretName"] == "all-pull"
    await clusters.work(10)
    assert clusters.conditions == READY


@cases(
    "fields",
    {
        "a conflict": {},
        "suspended": {"suspend": True},
        "labels that are not valid": {"secret_labels": {"bad key!": "x"}},
        "a format that is not valid": {"secret_format": "nonsense"},
        "a policy that is not valid": {"deletion_policy": "Nope"},
        "a login that is not valid": {"generated_secret_name": "No Name"},
    },
)
@pytest.mark.parametrize("leads_again", [False, True], ids=["restart", "next term"])
async def test_a_start_writes_no_status_whatever_there_is_to_report(
    idle: World, clusters: Clusters, fields: dict[str, Any], *, leads_again: bool
) -> None:
    await clusters.show()
    clusters.conflict("d")
    idle.clusters.set_namespace("d", {})
    await clusters.work()
    await clusters.show(**fields)
    before = clusters.status
    written, emitted = len(idle.resources.written), list(idle.events.emitted)
    if leads_again:
        await clusters.lead_again()
    else:
        await clusters.restart(namespaces_there={**THREE, "d": {}})
    assert clusters.status == before
    assert len(idle.resources.written) == written
    assert idle.events.emitted == emitted


async def test_a_restart_reports_orphans_whose_login_is_not_valid(clusters: Clusters) -> None:
    invalid: dict[str, Any] = {"deletion_policy": "Orphan", "generated_secret_name": "No Name"}
    await clusters.show(deletion_policy="Orphan")
    await clusters.show(**invalid)
    before = clusters.status
    assert before["secretName"] == "all-pull"
    assert '"No Name" is not a valid Secret name' in clusters.message("Ready")
    await clusters.restart()
    assert clusters.status == before


async def test_stalled_names_the_namespace_where_someone_has_to_act(idle: World, clusters: Clusters) -> None:
    clusters.conflict("b")
    idle.secrets.failing["a"] = transient(Reason.KUBERNETES_UNAVAILABLE)
    await clusters.show()
    assert clusters.conditions["Stalled"] == ("True", "SecretConflict")
    assert clusters.conditions["Refreshed"] == ("False", "SecretConflict")
    assert clusters.conditions["Ready"] == ("False", "KubernetesUnavailable")
    assert [each["namespace"] for each in clusters.status["failing"]] == ["a", "b"]


async def test_a_withdrawal_that_fails_is_reported(idle: World, clusters: Clusters) -> None:
    await clusters.show(namespaces=BLUE)
    idle.secrets.failing["a"] = transient(Reason.KUBERNETES_UNAVAILABLE)
    await clusters.show(namespaces={"names": ["b"]})
    assert clusters.counted == (1, 1)
    assert [each["namespace"] for each in clusters.status["failing"]] == ["a"]
    assert clusters.conditions["Refreshed"] == ("False", "KubernetesUnavailable")


async def test_no_next_refresh_is_reported_while_aws_fails(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    assert "nextRefreshTime" in clusters.status
    idle.aws.failing["us-east-2"] = transient(Reason.AWS_UNAVAILABLE)
    await idle.clock.advance(600)
    assert "nextRefreshTime" not in clusters.status


async def test_a_secret_that_a_tenant_forges_does_not_set_the_times(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    before = clusters.status
    forged = copy.deepcopy(idle.secrets.metadata["b", "all-pull"]) | {"name": "evil", "uid": "evil-uid"}
    group = "ecr.mobb.redhat.com"
    forged["annotations"] |= {f"{group}/token-issued-at": "0001-01-01T00:00:00Z"}
    forged["annotations"] |= {f"{group}/token-expires-at": "0001-01-02T00:00:00Z"}
    clusters.delete("b")
    clusters.conflict("b")
    idle.secrets.put(forged)
    idle.watched_secrets.changed({"metadata": forged})
    await clusters.work()
    assert clusters.counted == (3, 2)
    for name in ("expirationTime", "lastUpdatedTime"):
        assert clusters.status[name] == before[name]


async def test_a_namespace_that_is_not_served_changes_no_status(idle: World, clusters: Clusters) -> None:
    await clusters.show(namespaces=BLUE)
    written = len(idle.resources.written)
    idle.clusters.set_namespace("other", {"x": "y"})
    await clusters.work()
    assert len(idle.resources.written) == written


async def test_parts_share_a_status_also_of_several_cluster_secrets(idle: World, clusters: Clusters) -> None:
    idle.clusters.set_namespaces(MANY)
    for name in ("one", "two"):
        idle.resources.uids[replace(KEY, name=name)] = f"uid-of-{name}"
        idle.show(CLUSTER, name=name)
    await clusters.work()
    parts = [state.resource for state in idle.cache.states() if state.key.is_part]
    assert len(parts) == 2 * len(MANY)
    assert len({id(part.status) for part in parts}) < 10


async def test_tokens_of_40_seconds_are_ready_all_the_time() -> None:
    world = World(life=timedelta(seconds=40))
    async with serving(world) as clusters:
        await clusters.show()
        for _ in range(120):
            await world.clock.advance(1)
            assert clusters.conditions["Ready"] == ("True", "Refreshed")
        assert len(world.aws.asked) > 3
