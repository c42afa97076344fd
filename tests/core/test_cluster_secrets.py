"""ClusterSecrets in virtual time: parts, the status that gathers them, slips, and what is left alone."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.tenancy import TenancyPolicy
from tests.builders import HOST, foreign_metadata, permanent, transient
from tests.core.world import LIFE, World
from tests.fakes import settle

KEY: Final = ResourceKey(kind=CLUSTER, namespace="", name="all")
THREE: Final = {"a": {"team": "blue"}, "b": {"team": "blue"}, "c": {"team": "red"}}
BLUE: Final = {"selector": {"matchLabels": {"team": "blue"}}}
NEITHER: Final = {"exclude": ["z"]}
READY: Final = {"Ready": ("True", "Refreshed"), "Refreshed": ("True", "Refreshed")}


class Clusters:
    """A world with three namespaces, and the ClusterSecret `all`; see `running`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.generation = 0

    async def show(self, **fields: Any) -> None:
        """Create it or change its spec, and let the workers act."""
        self.generation += 1
        known = self.world.cache.resource(KEY)
        self.world.resources.uids[KEY] = "uid-of-all"
        status = known.status if known else {}
        self.world.show(CLUSTER, name="all", generation=self.generation, status=status, **fields)
        await self.work()

    async def work(self, seconds: float = 3.0) -> None:
        """Let some time pass, and show what the operator has deleted meanwhile."""
        await settle()
        await self.world.clock.advance(seconds)
        known = {namespace for namespace, name in self.world.cache.secret_names("") if name == "all-pull"}
        for namespace in known - self.secrets:
            self.world.cache.remove_secret((namespace, "all-pull"))
        await self.world.clock.advance(seconds)

    def delete(self, namespace: str) -> None:
        """Delete a Secret as another client, and show it by the watch."""
        del self.world.secrets.metadata[namespace, "all-pull"]
        self.world.cache.remove_secret((namespace, "all-pull"))

    @asynccontextmanager
    async def restarted(
        self, namespaces_there: Mapping[str, Mapping[str, str]] = THREE, **fields: Any
    ) -> AsyncIterator[None]:
        """Start anew with what the API server has, and perhaps another spec, and run."""
        world, status = self.world, self.status
        world.restart()
        for metadata in world.secrets.metadata.values():
            world.watched_secrets.changed({"metadata": metadata})
        self.generation += bool(fields)
        world.show(CLUSTER, name="all", generation=self.generation, status=status, **fields)
        world.clusters.set_namespaces(namespaces_there)
        async with world.working():
            await self.work()
            yield

    @property
    def secrets(self) -> set[str]:
        """The namespaces that have the Secret."""
        return {namespace for namespace, name in self.world.secrets.metadata if name == "all-pull"}

    @property
    def status(self) -> Mapping[str, Any]:
        """The status, as the watch shows it."""
        found = self.world.cache.resource(KEY)
        assert found is not None
        return found.status

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition."""
        return {each["type"]: (each["status"], each["reason"]) for each in self.status["conditions"]}

    def message(self, condition: str) -> str:
        """The message of a condition."""
        return next(str(each["message"]) for each in self.status["conditions"] if each["type"] == condition)


@asynccontextmanager
async def running(world: World, workers: int = 2) -> AsyncIterator[Clusters]:
    """Three namespaces, workers, and no ClusterSecret."""
    world.clusters.set_namespaces(THREE)
    async with world.working(workers):
        yield Clusters(world)


async def test_one_call_serves_all_and_the_status_is_written_once_they_are_ready(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
        assert clusters.secrets == {"a", "b", "c"}
        assert len(idle.aws.asked) == 1
        assert clusters.status["namespaces"] == {"served": 3, "ready": 3}
        assert clusters.status["readyNamespaces"] == "3/3"
        assert clusters.conditions == READY
        assert [key for key, _ in idle.resources.written] == [KEY]
        assert idle.events.emitted == []


async def test_nothing_is_served_before_all_namespaces_are_known(idle: World) -> None:
    clusters = Clusters(idle)
    async with idle.working():
        await clusters.show()
        assert (clusters.secrets, idle.cache.resource(KEY)) == (set(), None)
        assert idle.clusters.needed.on.is_set()
        idle.clusters.set_namespaces(THREE)
        await clusters.work()
        assert clusters.secrets == {"a", "b", "c"}


async def test_a_namespace_gains_and_loses_the_secret_with_its_labels(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=BLUE)
        assert clusters.secrets == {"a", "b"}
        idle.clusters.set_namespace("c", {"team": "blue"})
        idle.clusters.set_namespace("a", {})
        await clusters.work()
        assert clusters.secrets == {"b", "c"}
        assert clusters.status["namespaces"] == {"served": 2, "ready": 2}
        assert len(idle.aws.asked) == 1
        assert {key.namespace for key in idle.cache.keys(CLUSTER, "")} == {"", "b", "c"}


@pytest.mark.parametrize(("policy", "left"), [("Delete", {"b"}), ("Orphan", {"a", "b"})])
async def test_an_orphan_stays_where_its_namespace_is_no_longer_served(
    idle: World, policy: str, left: set[str]
) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=BLUE, deletion_policy=policy)
        await clusters.show(namespaces={"names": ["b"]}, deletion_policy=policy)
        assert clusters.secrets == left
        assert clusters.status["namespaces"] == {"served": 1, "ready": 1}


async def test_while_suspended_nothing_is_deleted(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=BLUE)
        await clusters.show(namespaces={"names": ["b"]}, suspend=True)
        assert clusters.secrets == {"a", "b"}
        assert clusters.status["phase"] == "Suspended"
        await clusters.show(namespaces={"names": ["b"]})
        assert clusters.secrets == {"b"}


async def test_a_namespace_in_deletion_is_left_alone(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=BLUE)
        idle.clusters.set_namespace("a", None)
        idle.secrets.calls.clear()
        clusters.delete("a")
        await clusters.work()
        assert idle.secrets.calls == []
        assert clusters.status["namespaces"] == {"served": 1, "ready": 1}


async def test_a_deleted_cluster_secret_is_forgotten_and_deletes_nothing_itself(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
        idle.secrets.calls.clear()
        idle.clusters.deleted({"metadata": {"name": "all"}})
        clusters.delete("a")
        await clusters.work()
        assert (idle.secrets.calls, idle.cache.keys(CLUSTER, "")) == ([], set())
        assert idle.clusters.needed.off.is_set()


async def test_in_deletion_it_restores_nothing(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
        idle.show(CLUSTER, name="all", generation=1, deleting=True, status=clusters.status)
        idle.secrets.calls.clear()
        clusters.delete("a")
        await clusters.work()
        assert idle.secrets.calls == []


async def test_a_restart_costs_nothing(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
    written, asked = len(idle.resources.written), len(idle.aws.asked)
    idle.secrets.calls.clear()
    async with clusters.restarted():
        assert idle.secrets.calls == []
        assert (len(idle.resources.written), len(idle.aws.asked)) == (written, asked)


async def test_a_restart_withdraws_from_a_namespace_no_longer_served(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
    async with clusters.restarted(namespaces=BLUE):
        assert clusters.secrets == {"a", "b"}


async def test_a_slip_in_namespaces_changes_nothing_also_after_a_restart(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=BLUE)
    async with clusters.restarted(namespaces=NEITHER):
        assert clusters.conditions == {
            "Ready": ("True", "Refreshed"),
            "Refreshed": ("False", "InvalidSpec"),
            "Stalled": ("True", "InvalidSpec"),
        }
        assert "set selector or names" in clusters.message("Refreshed")
        await idle.clock.advance(LIFE.total_seconds())
        assert len(idle.aws.asked) > 1
        assert clusters.secrets == {"a", "b"}
        assert clusters.status["namespaces"] == {"served": 2, "ready": 2}


async def test_without_a_selection_ever_valid_nothing_is_written(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=NEITHER)
        assert clusters.secrets == set()
        assert clusters.conditions["Ready"] == ("False", "InvalidSpec")
        assert clusters.status["phase"] == "Failed"


async def test_a_selection_of_nothing_is_reported(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces={"names": ["d*"]})
        assert clusters.status["namespaces"] == {"served": 0, "ready": 0}
        assert clusters.conditions == READY
        assert "none matches spec.namespaces" in clusters.message("Ready")


async def test_a_slip_in_the_login_ends_no_secret(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=BLUE)
        before = clusters.status["expirationTime"]
        await clusters.show(namespaces=BLUE, generated_secret_name="No Name")  # noqa: S106 - a name
        assert clusters.secrets == {"a", "b"}
        assert clusters.conditions["Refreshed"] == ("False", "InvalidSpec")
        assert clusters.status["expirationTime"] == before
        assert "failing" not in clusters.status


async def test_a_failing_namespace_is_named_and_keeps_no_other_waiting(idle: World) -> None:
    idle.secrets.put(foreign_metadata("all-pull") | {"namespace": "b"})
    async with running(idle) as clusters:
        await clusters.show()
        assert clusters.status["namespaces"] == {"served": 3, "ready": 2}
        (failing,) = clusters.status["failing"]
        assert (failing["namespace"], failing["reason"]) == ("b", "SecretConflict")
        assert clusters.status["failingCount"] == 1
        assert clusters.conditions["Ready"] == ("False", "SecretConflict")
        assert clusters.message("Ready").startswith("Namespace b: ")
        assert clusters.status["phase"] == "Failed"
        assert idle.events.emitted == [(KEY, Reason.SECRET_CONFLICT)]


async def test_the_status_lists_twenty_that_fail_and_counts_all(idle: World) -> None:
    many = {f"n{number:02}": dict[str, str]() for number in range(30)}
    for name in many:
        idle.secrets.put(foreign_metadata("all-pull") | {"namespace": name})
    async with running(idle) as clusters:
        idle.clusters.set_namespaces(many)
        await clusters.show()
        assert [each["namespace"] for each in clusters.status["failing"]] == sorted(many)[:20]
        assert clusters.status["failingCount"] == 30


async def test_the_status_is_written_once_a_second_at_most_while_it_changes(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
        before = len(idle.resources.written)
        for number in range(40):
            idle.clusters.set_namespace(f"new-{number}", {})
            await settle()
            await idle.clock.advance(0.1)
        await clusters.work(1)
        assert 2 <= len(idle.resources.written) - before <= 6
        assert clusters.status["namespaces"] == {"served": 43, "ready": 43}
        await clusters.work(30)
        assert len(idle.resources.written) - before <= 6


async def test_a_repair_is_an_event_that_names_the_namespace(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
        written = len(idle.resources.written)
        clusters.delete("b")
        await clusters.work()
        assert clusters.secrets == {"a", "b", "c"}
        assert idle.events.emitted == [(KEY, Reason.REPAIRED)]
        assert (len(idle.aws.asked), len(idle.resources.written)) == (1, written)


async def test_while_aws_fails_the_live_tokens_stay_ready_and_then_expire(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
        idle.aws.failing["us-east-2"] = transient(Reason.AWS_UNAVAILABLE)
        await clusters.work(LIFE.total_seconds() / 2 - 30)
        assert clusters.conditions["Ready"] == ("True", "Refreshed")
        assert clusters.conditions["Refreshed"] == ("False", "AWSUnavailable")
        await clusters.work(120)
        assert clusters.conditions["Ready"] == ("False", "TokenExpired")
        assert clusters.status["failingCount"] == 3


async def test_the_next_leader_reports_nothing_that_another_has_changed(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
    written = len(idle.resources.written)
    async with idle.working():
        await clusters.work()
    assert len(idle.resources.written) == written


async def test_an_orphan_is_released_from_its_owner_where_it_is_withdrawn_with_the_same_change(
    idle: World,
) -> None:
    async with running(idle) as clusters:
        await clusters.show(namespaces=BLUE)
        await clusters.show(namespaces={"names": ["b"]}, deletion_policy="Orphan")
        assert clusters.secrets == {"a", "b"}
        assert not idle.secrets.metadata["a", "all-pull"].get("ownerReferences")
        assert {key.namespace for key in idle.cache.keys(CLUSTER, "")} == {"", "b"}


async def test_a_namespace_relabelled_back_during_a_read_keeps_its_part(idle: World) -> None:
    policy = {"namespaces": BLUE, "deletion_policy": "Orphan"}
    async with running(idle) as clusters:
        await clusters.show(**policy)
        await clusters.show(secret_labels={"bad key!": "x"}, **policy)
        idle.secrets.reading = 0.05
        idle.clusters.set_namespace("a", {})
        await settle()
        idle.clusters.set_namespace("a", {"team": "blue"})
        await clusters.work()
        assert clusters.status["namespaces"] == {"served": 2, "ready": 2}


async def test_the_next_leader_makes_no_secret_of_a_cluster_secret_that_is_gone(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
    idle.secrets.calls.clear()
    # The garbage collector was faster than the watch of ClusterSecrets.
    clusters.delete("a")
    del idle.resources.uids[KEY]
    async with idle.working():
        await clusters.work()
    assert [call for call in idle.secrets.calls if call.startswith("apply")] == []


async def test_a_restart_looks_for_secrets_whose_label_is_overwritten(idle: World) -> None:
    idle.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    async with running(idle) as clusters:
        await clusters.show()
        await clusters.work(60)
    idle.secrets.calls.clear()
    asked = len(idle.aws.asked)
    async with clusters.restarted():
        assert [call for call in idle.secrets.calls if call.startswith("apply")] == []
        assert len(idle.aws.asked) == asked


async def test_one_made_again_takes_the_secrets_over(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show()
        idle.clusters.deleted({"metadata": {"name": "all"}})
        idle.resources.uids[KEY] = "uid-2"
        idle.show(CLUSTER, name="all", uid="uid-2")
        await clusters.work()
        owners = {each["ownerReferences"][0]["uid"] for each in idle.secrets.metadata.values()}
        assert (owners, len(idle.secrets.metadata)) == ({"uid-2"}, 3)


async def test_many_secrets_that_a_tenant_forges_are_deleted_a_few_at_a_time(idle: World) -> None:
    async with running(idle) as clusters:
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
        deletions = [call for call in idle.secrets.calls if call.startswith("delete")]
        assert 0 < len(deletions) <= 5


async def test_ambient_credentials_do_not_limit_it_and_allowed_hosts_do() -> None:
    nobody = World(policy=TenancyPolicy(ambient_namespaces=()))
    async with running(nobody) as clusters:
        await clusters.show()
        assert clusters.secrets == {"a", "b", "c"}
    other = World(policy=TenancyPolicy(registry_hosts=("quay.io",)))
    async with running(other) as clusters:
        await clusters.show()
        assert clusters.secrets == set()
        assert clusters.conditions["Ready"] == ("False", "InvalidRegistry")


async def test_a_role_is_one_identity_for_all_namespaces(idle: World) -> None:
    async with running(idle) as clusters:
        role = "arn:aws:iam::123456789012:role/pull"
        await clusters.show(role_arn=role)
        (source,) = idle.aws.asked
        assert (source.identity.namespace, source.identity.role_arn) == ("", role)
        idle.aws.bases[source.identity] = permanent(Reason.ROLE_NOT_PERMITTED)
        await clusters.show(role_arn=role, ecr_registry=HOST.replace("us-east-2", "eu-west-1"))
        assert clusters.conditions["Refreshed"] == ("False", "RoleNotPermitted")


async def test_a_key_that_no_client_can_use_is_written_and_not_ready(idle: World) -> None:
    async with running(idle) as clusters:
        await clusters.show(ecr_registry=f"oci://{HOST}", region="us-east-2")
        assert clusters.secrets == {"a", "b", "c"}
        assert clusters.conditions["Ready"] == ("False", "InvalidRegistry")
        assert clusters.status["phase"] == "Updated"
        assert clusters.status["namespaces"] == {"served": 3, "ready": 0}


async def test_a_resource_of_a_namespace_waits_for_no_part(idle: World) -> None:
    many = {f"n{number}": dict[str, str]() for number in range(200)}
    async with running(idle):
        idle.clusters.set_namespaces(many)
        idle.resources.uids[KEY] = "uid-of-all"
        idle.show(CLUSTER, name="all", namespaces={"selector": {}})
        idle.see(name="mine")
        await settle()
        applied = [call for call in idle.secrets.calls if call.startswith("apply")]
        place = applied.index("apply team/mine-pull") if "apply team/mine-pull" in applied else len(applied)
        assert place < 20
