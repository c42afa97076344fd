"""What is read at the moment of a scrape."""

from prometheus_client import CollectorRegistry

from ecr_operator.api.outcome import Reason
from ecr_operator.telemetry.collector import ResourceState, State, StateCollector
from tests.telemetry.reading import EXPIRY, key, scrape


def shown(state: State, *, each_resource: bool = True) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: state, each_resource=each_resource))
    return registry


def test_each_token_has_its_expiry_and_a_resource_without_a_token_has_none() -> None:
    resources = [
        ResourceState(key=key("web"), ready="true", expires_at=1_800_000_000.5),
        ResourceState(key=key("new"), ready="unknown"),
    ]
    seen = scrape(shown(State(resources=resources)))
    labels = {"kind": "Secret", "resource_namespace": "team", "resource_name": "web"}
    assert seen.values("token_expiry_timestamp_seconds", **labels) == [1_800_000_000.5]
    assert len(seen.values("token_expiry_timestamp_seconds")) == 1


def test_series_go_with_their_resource() -> None:
    there = [ResourceState(key=key("web"), ready="true", expires_at=1.8e9)]
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: State(resources=there)))
    assert scrape(registry).expiry("web") is not None
    there.clear()
    assert scrape(registry).expiry("web") is None


def test_without_series_of_resources_their_number_shows_all_the_same() -> None:
    resources = [ResourceState(key=key(f"r{number}"), ready="true", expires_at=1.8e9) for number in range(5)]
    seen = scrape(shown(State(resources=resources), each_resource=False))
    assert EXPIRY not in seen.text
    assert seen.values("resources", kind="Secret", ready="true") == [5]


def test_resources_are_counted_by_kind_and_readiness_down_to_none() -> None:
    resources = [
        ResourceState(key=key("a"), ready="true"),
        ResourceState(key=key("b"), ready="false"),
        ResourceState(key=key("c"), ready="false"),
    ]
    seen = scrape(shown(State(resources=resources)))
    assert seen.values("resources", kind="Secret", ready="false") == [2]
    assert seen.values("resources", kind="ArgoHelmRepoSecret", ready="false") == [0]
    assert seen.value("resources") == 3


def test_failing_resources_are_counted_by_reason() -> None:
    seen = scrape(shown(State(failing={("Secret", Reason.ACCESS_DENIED): 7})))
    assert seen.values("resources_failing", kind="Secret", reason="AccessDenied") == [7]
    assert seen.value("resources_failing") == 7


def test_the_most_overdue_counts() -> None:
    resources = [ResourceState(key=key(f"r{n}"), ready="true", overdue=float(n)) for n in (3, 90, 0)]
    assert scrape(shown(State(resources=resources))).values("oldest_overdue_seconds") == [90]
    assert scrape(shown(State())).values("oldest_overdue_seconds") == [0]


def test_leader_and_queue() -> None:
    seen = scrape(shown(State(leading=True, queue_depth=4)))
    assert (seen.values("leader"), seen.values("queue_depth")) == ([1], [4])
    assert scrape(shown(State())).values("leader") == [0]
