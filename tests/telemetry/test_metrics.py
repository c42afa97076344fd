"""What is counted, what is read at a scrape, and the text of both."""

import asyncio

from ecr_operator.api.outcome import Reason
from ecr_operator.telemetry.metrics import Metrics, Snapshot
from tests.fakes import FakeClock
from tests.telemetry.reading import EXPIRY, Scrape, cluster_sample, sample, scrape, shown


def test_refreshes_start_at_zero_so_that_a_rate_sees_the_first() -> None:
    metrics = Metrics()
    before = scrape(metrics.registry)
    assert before.values("refreshes_total", kind="Secret", reason="AccessDenied") == [0]
    assert before.values("refreshes_total", reason="Pending") == []
    metrics.refreshed("Secret", Reason.ACCESS_DENIED)
    after = scrape(metrics.registry)
    assert after.values("refreshes_total", kind="Secret", reason="AccessDenied") == [1]
    assert after.value("refreshes_total") == 1


async def test_each_token_has_its_expiry_time_and_a_resource_without_a_token_has_none() -> None:
    seen = await shown(Snapshot(resources=[sample("web", expires_at=1_800_000_000.5), sample("new")]))
    labels = {"kind": "Secret", "resource_namespace": "team", "resource_name": "web"}
    assert seen.values("token_expiry_timestamp_seconds", **labels) == [1_800_000_000.5]
    assert len(seen.values("token_expiry_timestamp_seconds")) == 1


async def test_a_cluster_secret_has_no_namespace_and_the_number_of_its_namespaces() -> None:
    resources = [cluster_sample("shared", expires_at=1.8e9, namespaces=(11, 2)), cluster_sample("new")]
    seen = await shown(Snapshot(resources=resources))
    labels = {"kind": "ClusterSecret", "resource_namespace": "", "resource_name": "shared"}
    assert seen.values("token_expiry_timestamp_seconds", **labels) == [1.8e9]
    assert seen.values("cluster_secret_namespaces", resource_name="shared", ready="true") == [11]
    assert seen.values("cluster_secret_namespaces", resource_name="shared", ready="false") == [2]
    assert seen.values("cluster_secret_namespaces", resource_name="new") == []
    assert seen.values("resources", kind="ClusterSecret", ready="true") == [2]


async def test_resources_are_counted_also_without_a_series_for_each() -> None:
    resources = [sample(f"r{number}", expires_at=1.8e9) for number in range(5)]
    shared = cluster_sample("shared", expires_at=1.8e9, namespaces=(1, 0))
    seen = await shown(Snapshot(resources=[*resources, shared]), each_resource=False)
    assert EXPIRY not in seen.text
    assert "resource_name" not in seen.text
    assert seen.values("resources", kind="Secret", ready="true") == [5]


async def test_resources_are_counted_by_kind_and_readiness_including_zero() -> None:
    resources = [sample("a"), sample("b", ready="false"), sample("c", ready="false")]
    seen = await shown(Snapshot(resources=resources))
    assert seen.values("resources", kind="Secret", ready="false") == [2]
    assert seen.values("resources", kind="ArgoHelmRepoSecret", ready="false") == [0]
    assert seen.value("resources") == 3


async def test_a_scrape_has_failures_the_most_overdue_the_queue_and_the_leader() -> None:
    resources = [sample(f"r{seconds}", overdue=float(seconds)) for seconds in (3, 90, 0)]
    failing = {("Secret", Reason.ACCESS_DENIED): 7}
    seen = await shown(Snapshot(resources=resources, failing=failing, leading=True, queue_depth=4))
    assert seen.values("resources_failing", kind="Secret", reason="AccessDenied") == [7]
    assert seen.values("oldest_overdue_seconds") == [90]
    assert (seen.values("leader"), seen.values("queue_depth")) == ([1], [4])
    none = await shown(Snapshot())
    assert (none.values("leader"), none.values("oldest_overdue_seconds")) == ([0], [0])
    assert none.values("resources_failing") == []


async def test_the_state_is_read_once_a_second_however_many_scrapes_there_are() -> None:
    clock, reads = FakeClock(), 0

    def read() -> Snapshot:
        nonlocal reads
        reads += 1
        # Gone with the second read, and its series with it.
        return Snapshot(queue_depth=reads, resources=[sample("web", expires_at=1.8e9)] if reads == 1 else [])

    metrics = Metrics(clock.monotonic)
    metrics.add_snapshots(read)
    texts = await asyncio.gather(*(metrics.exposition() for _ in range(50)))
    assert (reads, len(set(texts))) == (1, 1)
    assert Scrape(texts[0].decode()).expiry("web") is not None
    await clock.advance(0.9)
    await metrics.exposition()
    assert reads == 1
    await clock.advance(0.1)
    seen = Scrape((await metrics.exposition()).decode())
    assert (seen.values("queue_depth"), seen.expiry("web")) == ([2], None)
    # One that takes long is not begun a second time.
    clock.skip(1)
    slow = asyncio.create_task(metrics.exposition())
    await asyncio.sleep(0)
    clock.skip(2)
    assert await metrics.exposition() == await slow
    assert reads == 3
