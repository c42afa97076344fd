"""The loop around the state: when it reads, writes and works, and what it logs."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ecr_operator.api.errors import PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.election.elector import Elector, NoElection
from ecr_operator.election.lease import LeaseRecord
from tests.fakes import FakeClock, settle

OTHERS = LeaseRecord(holder="another_1", version="5")
AWAY = TransientError(Reason.KUBERNETES_UNAVAILABLE, "The API server did not do it.")
FORBIDDEN = PermanentError(Reason.KUBERNETES_FORBIDDEN, "Apply the Role.")


class FakeLeaseStore:
    """One Lease with the API server's rules about versions; fulfils `LeaseStore`.

    Attributes:
        record: what is there.
        calls: `read` or `write`, each in its order.
        failing: raised in place of an answer, by call.
        losing: whether a write is done before it fails.
    """

    def __init__(self, record: LeaseRecord | None = None) -> None:
        self.record = record
        self.calls: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.losing = False
        self._versions = itertools.count(10)
        self._hanging: asyncio.Event | None = None

    def __str__(self) -> str:
        return "team/lease"

    def hang(self) -> None:
        """Leave requests without an answer."""
        self._hanging = asyncio.Event()

    async def read(self) -> LeaseRecord | None:
        """Read it."""
        await self._begin("read")
        return self.record

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Create or replace it."""
        if self.losing:
            self._store(record)
        await self._begin("write")
        return self._store(record)

    async def _begin(self, call: str) -> None:
        self.calls.append(call)
        if self._hanging:
            await self._hanging.wait()
        if call in self.failing:
            raise self.failing[call]

    def _store(self, record: LeaseRecord) -> LeaseRecord:
        if record.version != (self.record.version if self.record else ""):
            raise StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict.")
        self.record = replace(record, version=str(next(self._versions)))
        return self.record


class Work:
    """The work of a leader, which only counts: terms begun, and how many run now."""

    def __init__(self) -> None:
        self.terms = 0
        self.running = 0

    async def __call__(self) -> None:
        """Work until cancelled."""
        self.terms += 1
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1


@asynccontextmanager
async def candidate(
    store: FakeLeaseStore,
    clock: FakeClock,
    work: Work,
    name: str = "ours_1",
) -> AsyncIterator[Elector]:
    """Run an elector until the block ends."""
    elector = Elector(store, clock, name, random.Random(1))  # noqa: S311 - repeatable jitter
    running = asyncio.create_task(elector.run(work))
    try:
        await settle()
        yield elector
    finally:
        running.cancel()
        await asyncio.wait((running,))


def events(logs: list[MutableMapping[str, Any]]) -> list[Any]:
    """Choose the lines."""
    return [each["event"] for each in logs]


async def test_absent_lease_elects_and_is_logged_once() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    with capture_logs() as logs:
        async with candidate(store, clock, work) as ours:
            await clock.advance(60)
            assert ours.is_leader()
    assert events(logs) == ["elected"]
    assert work.terms == 1


async def test_leader_renews_every_retry_period_by_one_write() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work):
        store.calls.clear()
        await clock.advance(20)
    assert store.calls == ["write"] * 10


async def test_standby_does_no_work_and_logs_the_leader_once() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work, "first"):
        with capture_logs() as logs:
            standing = Work()
            async with candidate(store, clock, standing, "second") as second:
                await clock.advance(120)
                assert not second.is_leader()
    assert [(each["event"], each["leader"]) for each in logs] == [("standing by", "first")]
    assert standing.terms == 0
    assert work.terms == 1


async def test_standby_leads_within_the_retry_period_of_a_release() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(OTHERS), Work()
    async with candidate(store, clock, work) as ours:
        await clock.advance(13)
        store.record = replace(OTHERS, holder="", version="6")
        await clock.advance(2.0)
        assert ours.is_leader()


async def test_lease_that_is_not_renewed_is_acquired_after_its_duration() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(OTHERS), Work()
    async with candidate(store, clock, work) as ours:
        await clock.advance(14.9)
        assert not ours.is_leader()
        await clock.advance(0.2)
        assert ours.is_leader()


async def test_leader_that_fails_to_renew_stops_at_the_deadline_and_leads_again_later() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    with capture_logs() as logs:
        async with candidate(store, clock, work) as ours:
            store.failing = {"read": AWAY, "write": AWAY}
            await clock.advance(9.9)
            assert ours.is_leader()
            await clock.advance(0.7)
            assert not ours.is_leader()
            assert work.running == 0
            await clock.advance(20)
            store.failing = {}
            await clock.advance(2.1)
            assert ours.is_leader()
            assert work.running == 1
    assert events(logs) == [
        "elected",
        "lease unavailable",
        "lost the lease",
        "lease available again",
        "elected",
    ]


async def test_leader_whose_renewals_hang_stops_at_the_deadline() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work) as ours:
        store.hang()
        await clock.advance(10.6)
        assert not ours.is_leader()
        assert work.running == 0


async def test_renewals_without_an_answer_keep_the_leader() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work) as ours:
        store.losing, store.failing = True, {"write": AWAY}
        await clock.advance(60)
        assert ours.is_leader()
    assert work.terms == 1


async def test_leader_that_wakes_after_its_deadline_leads_only_after_a_write() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work) as ours:
        store.record = replace(OTHERS, version="99")
        clock.skip(20)
        assert not ours.is_leader()
        await clock.advance(1.0)
        assert not ours.is_leader()
        assert work.running == 0


async def test_lease_of_another_ends_the_work() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    with capture_logs() as logs:
        async with candidate(store, clock, work) as ours:
            store.record = replace(OTHERS, version="99")
            await clock.advance(4)
            assert not ours.is_leader()
            assert work.running == 0
    assert events(logs) == ["elected", "standing by", "lost the lease"]


async def test_endless_conflicts_are_retried_at_a_bounded_rate() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    stale = StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict.")
    store.failing = {"write": stale}
    async with candidate(store, clock, work):
        await clock.advance(60)
    assert len(store.calls) <= 2 * 60 / 0.5 + 2


async def test_missing_rights_are_logged_once_and_retried_slowly() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    store.failing = {"write": FORBIDDEN}
    with capture_logs() as logs:
        async with candidate(store, clock, work):
            await clock.advance(300)
    assert [(each["event"], each["error"]) for each in logs] == [("lease unavailable", "Apply the Role.")]
    assert len(store.calls) <= 2 * 300 / 15 + 2


async def test_malformed_answer_ends_nothing() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    store.failing = {"read": KeyError("metadata")}
    async with candidate(store, clock, work) as ours:
        await clock.advance(5)
        store.failing = {}
        await clock.advance(2.1)
        assert ours.is_leader()


async def test_error_of_the_work_is_raised() -> None:
    async def fail() -> None:
        raise LookupError

    elector = Elector(FakeLeaseStore(), FakeClock(), "ours_1")
    with pytest.RaisesGroup(LookupError):
        await elector.run(fail)


async def test_release_removes_the_holder_and_ends_leading() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work) as ours:
        pass
    await ours.release()
    assert not ours.is_leader()
    assert store.record is not None
    assert (store.record.holder, store.record.duration) == ("", 1)


async def test_release_after_a_lost_answer_reads_first() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    store.losing, store.failing = True, {"write": AWAY}
    async with candidate(store, clock, work) as ours:
        assert not ours.is_leader()
    store.losing, store.failing = False, {}
    await ours.release()
    assert store.record is not None
    assert store.record.holder == ""


async def test_release_of_a_standby_writes_nothing() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(OTHERS), Work()
    async with candidate(store, clock, work) as ours:
        pass
    await ours.release()
    assert store.calls == ["read"]


async def test_release_that_fails_raises_nothing() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work) as ours:
        pass
    store.failing = {"write": AWAY, "read": AWAY}
    await ours.release()
    assert not ours.is_leader()


async def test_release_after_a_label_on_the_lease_reads_again() -> None:
    clock, store, work = FakeClock(), FakeLeaseStore(), Work()
    async with candidate(store, clock, work) as ours:
        pass
    assert store.record is not None
    store.record = replace(store.record, version="77")
    await ours.release()
    assert store.record.holder == ""


async def test_without_election_the_process_always_leads() -> None:
    alone, work = NoElection(), Work()
    assert alone.is_leader()
    working = asyncio.create_task(alone.run(work))
    await settle()
    assert work.running == 1
    working.cancel()
    await asyncio.wait((working,))
    await alone.release()
