"""The loop around the state: when it reads, writes and works, and what it logs."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ecr_operator.api.errors import PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.election.elector import Elector, NoElection
from ecr_operator.election.lease import LeaseRecord
from tests.builders import cases
from tests.fakes import FakeClock, settle

OTHERS = LeaseRecord(holder="another_1", version="5")
RELEASED = replace(OTHERS, holder="", version="6")
AWAY = TransientError(Reason.KUBERNETES_UNAVAILABLE, "The API server did not do it.")
FORBIDDEN = PermanentError(Reason.KUBERNETES_FORBIDDEN, "Apply the Role.")
STALE = StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict.")


class FakeLeaseStore:
    """One Lease with the API server's rules about versions; fulfils `LeaseStore`."""

    def __init__(self, record: LeaseRecord | None = None) -> None:
        self.record = record
        self.calls: list[str] = []  # `read` or `write`
        self.failing: dict[str, Exception] = {}  # raised in place of an answer, by call
        self.losing = False  # a write is done before it fails
        self.hanging = False  # requests stay without an answer
        self._versions = itertools.count(10)

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
        if self.hanging:
            await asyncio.Event().wait()
        if call in self.failing:
            raise self.failing[call]

    def _store(self, record: LeaseRecord) -> LeaseRecord:
        if record.version != (self.record.version if self.record else ""):
            raise STALE
        self.record = replace(record, version=str(next(self._versions)))
        return self.record


@dataclass
class Work:
    """The work of a leader, which only counts: terms begun, and how many run now."""

    terms: int = 0
    running: int = 0

    async def __call__(self) -> None:
        """Work until cancelled."""
        self.terms += 1
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1


class Scene:
    """One Lease in virtual time, and the lines that are logged."""

    def __init__(self, logs: list[MutableMapping[str, Any]]) -> None:
        self.clock = FakeClock()
        self.store = FakeLeaseStore()
        self.work = Work()
        self.logs = logs

    @property
    def events(self) -> list[str]:
        """What was logged."""
        return [each["event"] for each in self.logs]

    @asynccontextmanager
    async def candidate(self, name: str = "ours_1", work: Work | None = None) -> AsyncIterator[Elector]:
        """Run an elector until the block ends."""
        jitter = random.Random(1)  # noqa: S311 - repeatable
        elector = Elector(self.store, self.clock, name, jitter)
        running = asyncio.create_task(elector.run(work or self.work))
        try:
            await settle()
            yield elector
        finally:
            running.cancel()
            await asyncio.wait((running,))

    async def former(self) -> Elector:
        """Return an elector that led, and whose process is about to end."""
        async with self.candidate() as ours:
            pass
        return ours


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A Lease that does not exist yet."""
    with capture_logs() as logs:
        yield Scene(logs)


@pytest.fixture
async def ours(scene: Scene) -> AsyncIterator[Elector]:
    """A leader."""
    async with scene.candidate() as ours:
        yield ours


async def test_an_absent_lease_elects_and_is_renewed_by_one_write(scene: Scene, ours: Elector) -> None:
    scene.store.calls.clear()
    await scene.clock.advance(60)
    assert (ours.is_leader(), scene.events, scene.work.terms) == (True, ["elected"], 1)
    assert scene.store.calls == ["write"] * 30


@pytest.mark.usefixtures("ours")
async def test_a_standby_does_no_work_and_logs_the_leader_once(scene: Scene) -> None:
    scene.logs.clear()
    work = Work()
    async with scene.candidate("second", work) as second:
        await scene.clock.advance(120)
        assert not second.is_leader()
    assert [(each["event"], each["leader"]) for each in scene.logs] == [("standing by", "ours_1")]
    assert (work.terms, scene.work.terms) == (0, 1)


async def test_a_standby_leads_within_the_retry_period_of_a_release(scene: Scene) -> None:
    scene.store.record = OTHERS
    async with scene.candidate() as ours:
        await scene.clock.advance(13)
        assert not ours.is_leader()
        scene.store.record = RELEASED
        await scene.clock.advance(2.0)
        assert ours.is_leader()


async def test_a_leader_that_fails_to_renew_stops_at_the_deadline(scene: Scene, ours: Elector) -> None:
    scene.store.failing = {"read": AWAY, "write": AWAY}
    await scene.clock.advance(9.9)
    assert ours.is_leader()
    await scene.clock.advance(0.7)
    assert (ours.is_leader(), scene.work.running) == (False, 0)
    await scene.clock.advance(20)
    scene.store.failing = {}
    await scene.clock.advance(2.1)
    assert (ours.is_leader(), scene.work.running) == (True, 1)
    lost = ["lease unavailable", "lost the lease", "lease available again"]
    assert scene.events == ["elected", *lost, "elected"]


async def test_a_leader_whose_renewals_hang_stops_at_the_deadline(scene: Scene, ours: Elector) -> None:
    scene.store.hanging = True
    await scene.clock.advance(10.6)
    assert (ours.is_leader(), scene.work.running) == (False, 0)


async def test_a_leader_that_wakes_after_its_deadline_does_not_lead(scene: Scene, ours: Elector) -> None:
    scene.store.record = replace(OTHERS, version="99")
    scene.clock.skip(20)
    assert not ours.is_leader()
    await scene.clock.advance(1.0)
    assert (ours.is_leader(), scene.work.running) == (False, 0)


async def test_a_lease_of_another_ends_the_work(scene: Scene, ours: Elector) -> None:
    scene.store.record = replace(OTHERS, version="99")
    await scene.clock.advance(4)
    assert (ours.is_leader(), scene.work.running) == (False, 0)
    assert scene.events == ["elected", "standing by", "lost the lease"]


@cases(
    "failing, seconds, most, logged",
    {
        "endless conflicts": (STALE, 60, 2 * 60 / 0.5 + 2, []),
        "missing rights": (FORBIDDEN, 300, 2 * 300 / 15 + 2, ["Apply the Role."]),
    },
)
async def test_writes_that_fail_are_retried_at_a_bounded_rate_and_logged_once(
    scene: Scene, failing: Exception, seconds: float, most: float, logged: list[str]
) -> None:
    scene.store.failing = {"write": failing}
    async with scene.candidate():
        await scene.clock.advance(seconds)
    assert [(each["event"], each["error"]) for each in scene.logs] == [
        ("lease unavailable", error) for error in logged
    ]
    assert len(scene.store.calls) <= most


async def test_a_malformed_answer_ends_nothing(scene: Scene) -> None:
    scene.store.failing = {"read": KeyError("metadata")}
    async with scene.candidate() as ours:
        await scene.clock.advance(5)
        scene.store.failing = {}
        await scene.clock.advance(2.1)
        assert ours.is_leader()


async def test_an_error_of_the_work_is_raised(scene: Scene) -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.RaisesGroup(LookupError):
        await Elector(scene.store, scene.clock, "ours_1").run(fail)


@cases("before", {"a label on the Lease": False, "a write whose answer was lost": True})
async def test_release_removes_the_holder_and_ends_leading_also_after(scene: Scene, *, before: bool) -> None:
    scene.store.losing, scene.store.failing = before, {"write": AWAY} if before else {}
    ours = await scene.former()
    assert ours.is_leader() is not before
    scene.store.losing, scene.store.failing = False, {}
    assert scene.store.record is not None
    if not before:
        scene.store.record = replace(scene.store.record, version="77")
    await ours.release()
    assert not ours.is_leader()
    assert (scene.store.record.holder, scene.store.record.duration) == ("", 1)


async def test_release_costs_one_write_and_that_of_a_standby_none(scene: Scene) -> None:
    await (await scene.former()).release()
    assert scene.store.calls == ["read", "write", "write"]
    scene.store.record = OTHERS
    scene.store.calls.clear()
    await (await scene.former()).release()
    assert scene.store.calls == ["read"]


async def test_release_that_fails_raises_nothing(scene: Scene) -> None:
    ours = await scene.former()
    scene.store.failing = {"write": AWAY, "read": AWAY}
    await ours.release()
    assert not ours.is_leader()


async def test_without_election_the_process_always_leads() -> None:
    alone, work = NoElection(), Work()
    assert alone.is_leader()
    working = asyncio.create_task(alone.run(work))
    await settle()
    assert work.running == 1
    working.cancel()
    await asyncio.wait((working,))
    await alone.release()
