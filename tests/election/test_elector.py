"""The loop around a candidacy: what it does when, and what it says."""

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


class FakeLeases:
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
    """What a leader does: nothing, but it tells when.

    Attributes:
        terms: how often it was begun.
        at_it: how many are at it now.
    """

    def __init__(self) -> None:
        self.terms = 0
        self.at_it = 0

    async def __call__(self) -> None:
        """Work until cancelled."""
        self.terms += 1
        self.at_it += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.at_it -= 1


@asynccontextmanager
async def candidate(
    leases: FakeLeases,
    clock: FakeClock,
    work: Work,
    name: str = "ours_1",
) -> AsyncIterator[Elector]:
    """Run a leadership until the block ends."""
    leadership = Elector(leases, clock, name, random.Random(1))  # noqa: S311 - repeatable jitter
    running = asyncio.create_task(leadership.run(work))
    try:
        await settle()
        yield leadership
    finally:
        running.cancel()
        await asyncio.wait((running,))


def told(logs: list[MutableMapping[str, Any]]) -> list[Any]:
    """Choose what was said."""
    return [each["event"] for each in logs]


async def test_who_finds_no_lease_leads_and_says_so_once() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    with capture_logs() as logs:
        async with candidate(leases, clock, work) as ours:
            await clock.advance(60)
            assert ours.is_leader()
    assert told(logs) == ["elected"]
    assert work.terms == 1


async def test_a_leader_renews_every_two_seconds_by_one_write() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work):
        leases.calls.clear()
        await clock.advance(20)
    assert leases.calls == ["write"] * 10


async def test_a_standby_works_at_nothing_and_says_once_who_leads() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work, "first"):
        with capture_logs() as logs:
            standing = Work()
            async with candidate(leases, clock, standing, "second") as second:
                await clock.advance(120)
                assert not second.is_leader()
    assert [(each["event"], each["leader"]) for each in logs] == [("standing by", "first")]
    assert standing.terms == 0
    assert work.terms == 1


async def test_after_a_release_a_standby_leads_within_two_seconds() -> None:
    clock, leases, work = FakeClock(), FakeLeases(OTHERS), Work()
    async with candidate(leases, clock, work) as ours:
        await clock.advance(13)
        leases.record = replace(OTHERS, holder="", version="6")
        await clock.advance(2.0)
        assert ours.is_leader()


async def test_a_lease_that_nobody_renews_is_taken_after_its_time() -> None:
    clock, leases, work = FakeClock(), FakeLeases(OTHERS), Work()
    async with candidate(leases, clock, work) as ours:
        await clock.advance(14.9)
        assert not ours.is_leader()
        await clock.advance(0.2)
        assert ours.is_leader()


async def test_a_leader_whose_renewals_fail_stops_after_ten_seconds_and_leads_again_later() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    with capture_logs() as logs:
        async with candidate(leases, clock, work) as ours:
            leases.failing = {"read": AWAY, "write": AWAY}
            await clock.advance(9.9)
            assert ours.is_leader()
            await clock.advance(0.7)
            assert not ours.is_leader()
            assert work.at_it == 0
            await clock.advance(20)
            leases.failing = {}
            await clock.advance(2.1)
            assert ours.is_leader()
            assert work.at_it == 1
    assert told(logs) == [
        "elected",
        "no use of the lease",
        "lost the lease",
        "the lease is of use again",
        "elected",
    ]


async def test_a_leader_whose_renewals_hang_stops_after_ten_seconds() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work) as ours:
        leases.hang()
        await clock.advance(10.6)
        assert not ours.is_leader()
        assert work.at_it == 0


async def test_renewals_that_are_done_without_an_answer_keep_the_lead() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work) as ours:
        leases.losing, leases.failing = True, {"write": AWAY}
        await clock.advance(60)
        assert ours.is_leader()
    assert work.terms == 1


async def test_who_wakes_after_its_lease_does_not_lead_before_it_has_written() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work) as ours:
        leases.record = replace(OTHERS, version="99")
        clock.skip(20)
        assert not ours.is_leader()
        await clock.advance(1.0)
        assert not ours.is_leader()
        assert work.at_it == 0


async def test_a_lease_that_another_took_ends_the_work() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    with capture_logs() as logs:
        async with candidate(leases, clock, work) as ours:
            leases.record = replace(OTHERS, version="99")
            await clock.advance(4)
            assert not ours.is_leader()
            assert work.at_it == 0
    assert told(logs) == ["elected", "standing by", "lost the lease"]


async def test_conflicts_without_end_are_no_hot_loop() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    stale = StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict.")
    leases.failing = {"write": stale}
    async with candidate(leases, clock, work):
        await clock.advance(60)
    assert len(leases.calls) <= 2 * 60 / 0.5 + 2


async def test_without_rights_it_says_so_once_and_asks_seldom() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    leases.failing = {"write": FORBIDDEN}
    with capture_logs() as logs:
        async with candidate(leases, clock, work):
            await clock.advance(300)
    assert [(each["event"], each["error"]) for each in logs] == [("no use of the lease", "Apply the Role.")]
    assert len(leases.calls) <= 2 * 300 / 15 + 2


async def test_an_answer_of_nonsense_ends_nothing() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    leases.failing = {"read": KeyError("metadata")}
    async with candidate(leases, clock, work) as ours:
        await clock.advance(5)
        leases.failing = {}
        await clock.advance(2.1)
        assert ours.is_leader()


async def test_a_fault_of_the_work_is_not_hidden() -> None:
    async def fail() -> None:
        raise LookupError

    leadership = Elector(FakeLeases(), FakeClock(), "ours_1")
    with pytest.RaisesGroup(LookupError):
        await leadership.run(fail)


async def test_a_release_leaves_a_lease_without_holder_and_is_the_end_of_leading() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work) as ours:
        pass
    await ours.release()
    assert not ours.is_leader()
    assert leases.record is not None
    assert (leases.record.holder, leases.record.duration) == ("", 1)


async def test_who_may_have_got_the_lease_unknowingly_looks_and_releases_it() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    leases.losing, leases.failing = True, {"write": AWAY}
    async with candidate(leases, clock, work) as ours:
        assert not ours.is_leader()
    leases.losing, leases.failing = False, {}
    await ours.release()
    assert leases.record is not None
    assert leases.record.holder == ""


async def test_a_standby_leaves_the_lease_alone_when_it_goes() -> None:
    clock, leases, work = FakeClock(), FakeLeases(OTHERS), Work()
    async with candidate(leases, clock, work) as ours:
        pass
    await ours.release()
    assert leases.calls == ["read"]


async def test_a_release_that_fails_is_survived() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work) as ours:
        pass
    leases.failing = {"write": AWAY, "read": AWAY}
    await ours.release()
    assert not ours.is_leader()


async def test_a_release_after_somebody_labelled_the_lease_looks_again() -> None:
    clock, leases, work = FakeClock(), FakeLeases(), Work()
    async with candidate(leases, clock, work) as ours:
        pass
    assert leases.record is not None
    leases.record = replace(leases.record, version="77")
    await ours.release()
    assert leases.record.holder == ""


async def test_one_replica_without_leader_election_always_leads() -> None:
    alone, work = NoElection(), Work()
    assert alone.is_leader()
    working = asyncio.create_task(alone.run(work))
    await settle()
    assert work.at_it == 1
    working.cancel()
    await asyncio.wait((working,))
    await alone.release()
