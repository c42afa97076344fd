"""ClusterSecrets in virtual time: parts, the status that gathers them, slips, and what is left alone."""

from typing import Final

import pytest

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.tenancy import TenancyPolicy
from tests.builders import HOST, permanent, transient
from tests.core.cluster_world import BLUE, KEY, READY, THREE, Clusters, serving
from tests.core.world import LIFE, World
from tests.fakes import settle

NEITHER: Final = {"exclude": ["z"]}


async def test_one_call_serves_all_and_the_status_is_written_once(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    assert clusters.secrets == {"a", "b", "c"}
    assert len(idle.aws.asked) == 1
    assert clusters.counted == (3, 3)
    assert clusters.status["readyNamespaces"] == "3/3"
    assert clusters.conditions == READY
    assert [key for key, _ in idle.resources.written] == [KEY]
    assert idle.events.emitted == []


async def test_nothing_is_served_before_all_namespaces_are_known(idle: World, clusters: Clusters) -> None:
    idle.clusters.forget_namespaces()
    await clusters.show()
    assert (clusters.secrets, idle.cache.resource(KEY)) == (set(), None)
    assert idle.clusters.needed.on.is_set()
    idle.clusters.set_namespaces(THREE)
    await clusters.work()
    assert clusters.secrets == {"a", "b", "c"}


async def test_a_namespace_gains_and_loses_the_secret_by_its_labels(idle: World, clusters: Clusters) -> None:
    await clusters.show(namespaces=BLUE)
    assert clusters.secrets == {"a", "b"}
    idle.clusters.set_namespace("c", {"team": "blue"})
    idle.clusters.set_namespace("a", {})
    await clusters.work()
    assert clusters.secrets == {"b", "c"}
    assert clusters.counted == (2, 2)
    assert len(idle.aws.asked) == 1
    assert {key.namespace for key in idle.cache.keys(CLUSTER, "")} == {"", "b", "c"}


@pytest.mark.parametrize(("policy", "left"), [("Delete", {"b"}), ("Orphan", {"a", "b"})])
async def test_an_orphan_stays_where_its_namespace_is_no_longer_served(
    clusters: Clusters, policy: str, left: set[str]
) -> None:
    await clusters.show(namespaces=BLUE, deletion_policy=policy)
    await clusters.show(namespaces={"names": ["b"]}, deletion_policy=policy)
    assert clusters.secrets == left
    assert clusters.counted == (1, 1)


async def test_while_suspended_nothing_is_deleted(clusters: Clusters) -> None:
    await clusters.show(namespaces=BLUE)
    await clusters.show(namespaces={"names": ["b"]}, suspend=True)
    assert clusters.secrets == {"a", "b"}
    assert clusters.status["phase"] == "Suspended"
    await clusters.show(namespaces={"names": ["b"]})
    assert clusters.secrets == {"b"}


async def test_a_namespace_in_deletion_is_left_alone(idle: World, clusters: Clusters) -> None:
    await clusters.show(namespaces=BLUE)
    idle.clusters.set_namespace("a", None)
    idle.secrets.calls.clear()
    clusters.delete("a")
    await clusters.work()
    assert idle.secrets.calls == []
    assert clusters.counted == (1, 1)


async def test_a_deleted_one_is_forgotten_and_deletes_nothing_itself(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    idle.secrets.calls.clear()
    idle.clusters.deleted({"metadata": {"name": "all"}})
    clusters.delete("a")
    await clusters.work()
    assert (idle.secrets.calls, idle.cache.keys(CLUSTER, "")) == ([], set())
    assert idle.clusters.needed.off.is_set()


async def test_in_deletion_it_restores_nothing(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    idle.show(CLUSTER, name="all", generation=1, deleting=True, status=clusters.status)
    idle.secrets.calls.clear()
    clusters.delete("a")
    await clusters.work()
    assert idle.secrets.calls == []


async def test_a_restart_costs_nothing(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    written, asked = len(idle.resources.written), len(idle.aws.asked)
    idle.secrets.calls.clear()
    await clusters.restart()
    assert idle.secrets.calls == []
    assert (len(idle.resources.written), len(idle.aws.asked)) == (written, asked)


async def test_a_restart_withdraws_from_a_namespace_no_longer_served(clusters: Clusters) -> None:
    await clusters.show()
    await clusters.restart(namespaces=BLUE)
    assert clusters.secrets == {"a", "b"}


async def test_a_slip_in_namespaces_changes_nothing_after_a_restart(idle: World, clusters: Clusters) -> None:
    await clusters.show(namespaces=BLUE)
    await clusters.restart(namespaces=NEITHER)
    assert clusters.conditions == {
        "Ready": ("True", "Refreshed"),
        "Refreshed": ("False", "InvalidSpec"),
        "Stalled": ("True", "InvalidSpec"),
    }
    assert "set selector or names" in clusters.message("Refreshed")
    await idle.clock.advance(LIFE.total_seconds())
    assert len(idle.aws.asked) > 1
    assert clusters.secrets == {"a", "b"}
    assert clusters.counted == (2, 2)


async def test_without_a_selection_ever_valid_nothing_is_written(clusters: Clusters) -> None:
    await clusters.show(namespaces=NEITHER)
    assert clusters.secrets == set()
    assert clusters.conditions["Ready"] == ("False", "InvalidSpec")
    assert clusters.status["phase"] == "Failed"


async def test_a_selection_of_nothing_is_reported(clusters: Clusters) -> None:
    await clusters.show(namespaces={"names": ["d*"]})
    assert clusters.counted == (0, 0)
    assert clusters.conditions == READY
    assert "none matches spec.namespaces" in clusters.message("Ready")


async def test_a_slip_in_the_login_ends_no_secret(clusters: Clusters) -> None:
    await clusters.show(namespaces=BLUE)
    before = clusters.status["expirationTime"]
    await clusters.show(namespaces=BLUE, generated_secret_name="No Name")  # noqa: S106 - a name
    assert clusters.secrets == {"a", "b"}
    assert clusters.conditions["Refreshed"] == ("False", "InvalidSpec")
    assert clusters.status["expirationTime"] == before
    assert "failing" not in clusters.status


async def test_a_failing_namespace_is_named_and_delays_no_other(idle: World, clusters: Clusters) -> None:
    clusters.conflict("b")
    await clusters.show()
    assert clusters.counted == (3, 2)
    (failing,) = clusters.status["failing"]
    assert (failing["namespace"], failing["reason"]) == ("b", "SecretConflict")
    assert clusters.status["failingCount"] == 1
    assert clusters.conditions["Ready"] == ("False", "SecretConflict")
    assert clusters.message("Ready").startswith("Namespace b: ")
    assert clusters.status["phase"] == "Failed"
    assert idle.events.emitted == [(KEY, Reason.SECRET_CONFLICT)]


async def test_the_status_lists_twenty_that_fail_and_counts_all(idle: World, clusters: Clusters) -> None:
    many = {f"n{number:02}": dict[str, str]() for number in range(30)}
    clusters.conflict(*many)
    idle.clusters.set_namespaces(many)
    await clusters.show()
    assert [each["namespace"] for each in clusters.status["failing"]] == sorted(many)[:20]
    assert clusters.status["failingCount"] == 30


async def test_a_status_that_changes_is_written_once_a_second(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    before = len(idle.resources.written)
    for number in range(40):
        idle.clusters.set_namespace(f"new-{number}", {})
        await settle()
        await idle.clock.advance(0.1)
    await clusters.work(1)
    assert 2 <= len(idle.resources.written) - before <= 6
    assert clusters.counted == (43, 43)
    await clusters.work(30)
    assert len(idle.resources.written) - before <= 6


async def test_a_status_that_others_change_is_written_anew(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    good = clusters.status
    idle.show(CLUSTER, name="all", status={"phase": "Failed"})
    await clusters.work()
    assert {**clusters.status, "conditions": []} == {**good, "conditions": []}
    assert (clusters.conditions, len(idle.resources.written)) == (READY, 2)


async def test_a_repair_is_an_event_that_names_the_namespace(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    written = len(idle.resources.written)
    clusters.delete("b")
    await clusters.work()
    assert clusters.secrets == {"a", "b", "c"}
    assert idle.events.emitted == [(KEY, Reason.REPAIRED)]
    assert (len(idle.aws.asked), len(idle.resources.written)) == (1, written)


async def test_while_aws_fails_tokens_stay_ready_until_they_expire(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    idle.aws.failing["us-east-2"] = transient(Reason.AWS_UNAVAILABLE)
    await clusters.work(LIFE.total_seconds() / 2 - 30)
    assert clusters.conditions["Ready"] == ("True", "Refreshed")
    assert clusters.conditions["Refreshed"] == ("False", "AWSUnavailable")
    await clusters.work(120)
    assert clusters.conditions["Ready"] == ("False", "TokenExpired")
    assert clusters.status["failingCount"] == 3


async def test_an_orphan_withdrawn_with_the_same_change_is_released(
    idle: World,
    clusters: Clusters,
) -> None:
    await clusters.show(namespaces=BLUE)
    await clusters.show(namespaces={"names": ["b"]}, deletion_policy="Orphan")
    assert clusters.secrets == {"a", "b"}
    assert not idle.secrets.metadata["a", "all-pull"].get("ownerReferences")
    assert {key.namespace for key in idle.cache.keys(CLUSTER, "")} == {"", "b"}


async def test_a_namespace_relabelled_during_a_read_keeps_its_part(idle: World, clusters: Clusters) -> None:
    policy = {"namespaces": BLUE, "deletion_policy": "Orphan"}
    await clusters.show(**policy)
    await clusters.show(secret_labels={"bad key!": "x"}, **policy)
    idle.secrets.reading = 0.05
    idle.clusters.set_namespace("a", {})
    await settle()
    idle.clusters.set_namespace("a", {"team": "blue"})
    await clusters.work()
    assert clusters.counted == (2, 2)


async def test_the_next_leader_makes_no_secret_of_one_that_is_gone(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    idle.secrets.calls.clear()
    # The garbage collector was faster than the watch of ClusterSecrets.
    clusters.delete("a")
    del idle.resources.uids[KEY]
    await clusters.lead_again()
    assert clusters.calls("apply") == []


async def test_a_restart_finds_secrets_whose_label_is_overwritten(idle: World, clusters: Clusters) -> None:
    idle.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    await clusters.show()
    await clusters.work(60)
    idle.secrets.calls.clear()
    asked = len(idle.aws.asked)
    await clusters.restart()
    assert clusters.calls("apply") == []
    assert len(idle.aws.asked) == asked


async def test_one_made_again_takes_the_secrets_over(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    idle.clusters.deleted({"metadata": {"name": "all"}})
    idle.resources.uids[KEY] = "uid-2"
    idle.show(CLUSTER, name="all", uid="uid-2")
    await clusters.work()
    owners = {each["ownerReferences"][0]["uid"] for each in idle.secrets.metadata.values()}
    assert (owners, len(idle.secrets.metadata)) == ({"uid-2"}, 3)


async def test_many_forged_secrets_are_deleted_a_few_at_a_time(idle: World, clusters: Clusters) -> None:
    await clusters.show()
    idle.secrets.delay = 0.05
    for number in range(40):
        forged = idle.secrets.metadata["a", "all-pull"] | {"name": f"x{number}", "uid": f"u{number}"}
        idle.secrets.put(forged)
        idle.watched_secrets.changed({"metadata": forged})
    idle.secrets.calls.clear()
    idle.queue.schedule_now(ResourceKey(kind=CLUSTER, namespace="a", name="all"))
    await settle()
    await idle.clock.advance(2)
    assert 0 < len(clusters.calls("delete")) <= 5


async def test_ambient_credentials_do_not_limit_it_and_allowed_hosts_do() -> None:
    async with serving(World(policy=TenancyPolicy(ambient_namespaces=()))) as clusters:
        await clusters.show()
        assert clusters.secrets == {"a", "b", "c"}
    async with serving(World(policy=TenancyPolicy(registry_hosts=("quay.io",)))) as clusters:
        await clusters.show()
        assert clusters.secrets == set()
        assert clusters.conditions["Ready"] == ("False", "InvalidRegistry")


async def test_a_role_is_one_identity_for_all_namespaces(idle: World, clusters: Clusters) -> None:
    role = "arn:aws:iam::123456789012:role/pull"
    await clusters.show(role_arn=role)
    (source,) = idle.aws.asked
    assert (source.identity.namespace, source.identity.role_arn) == ("", role)
    idle.aws.bases[source.identity] = permanent(Reason.ROLE_NOT_PERMITTED)
    await clusters.show(role_arn=role, ecr_registry=HOST.replace("us-east-2", "eu-west-1"))
    assert clusters.conditions["Refreshed"] == ("False", "RoleNotPermitted")


async def test_a_key_that_no_client_can_use_is_written_and_not_ready(clusters: Clusters) -> None:
    await clusters.show(ecr_registry=f"oci://{HOST}", region="us-east-2")
    assert clusters.secrets == {"a", "b", "c"}
    assert clusters.conditions["Ready"] == ("False", "InvalidRegistry")
    assert clusters.status["phase"] == "Updated"
    assert clusters.counted == (3, 0)


async def test_namespaces_whose_requests_hang_delay_no_other(idle: World) -> None:
    many = [f"n{number:02}" for number in range(60)]
    idle.secrets.slow = dict.fromkeys(many[:30], 20.0)
    idle.clusters.set_namespaces({name: {} for name in many})
    idle.show(CLUSTER, name="all", namespaces={"selector": {}})
    async with idle.working(16):
        await idle.clock.advance(7)
        assert {namespace for namespace, _ in idle.secrets.metadata} == set(many[30:])
        await idle.clock.advance(30)
        assert len(idle.secrets.metadata) == len(many)


async def test_a_resource_of_a_namespace_waits_for_no_part(idle: World, clusters: Clusters) -> None:
    many = {f"n{number}": dict[str, str]() for number in range(200)}
    idle.clusters.set_namespaces(many)
    idle.resources.uids[KEY] = "uid-of-all"
    idle.show(CLUSTER, name="all", namespaces={"selector": {}})
    idle.see(name="mine")
    await settle()
    applied = clusters.calls("apply")
    place = applied.index("apply team/mine-pull") if "apply team/mine-pull" in applied else len(applied)
    assert place < 20
