"""DeadlineQueue: when a key is handed out, to one worker, and fairly among groups."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.core.queue import DeadlineQueue, Due
from tests.builders import NOW
from tests.fakes import FakeClock, settle

HOUR = 3600.0
MINUTE = timedelta(minutes=1)


class Bench:
    """A queue, and workers that record what they take."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.queue: DeadlineQueue[str] = DeadlineQueue(self.clock, workers=1000)
        self.taken: list[Due[str]] = []
        self.at: list[float] = []

    @property
    def keys(self) -> list[str]:
        """The keys that were taken so far, in order."""
        return [due.key for due in self.taken]

    async def take(self) -> Due[str]:
        """Take one key, as a worker does."""
        due = await self.queue.get()
        self.taken.append(due)
        self.at.append(self.clock.monotonic() - 1000.0)
        return due

    async def work(self) -> None:
        """Take keys and finish them until cancelled."""
        while True:
            self.queue.done((await self.take()).key)

    @asynccontextmanager
    async def working(self, workers: int = 1) -> AsyncIterator[None]:
        """Run workers for a while."""
        with running(*(self.work for _ in range(workers))):
            await settle()
            yield


@contextmanager
def running(*jobs: Callable[[], Coroutine[Any, Any, object]]) -> Iterator[list["asyncio.Task[object]"]]:
    tasks = [asyncio.create_task(job()) for job in jobs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


@pytest.fixture
async def bench() -> Bench:
    """A queue in virtual time."""
    return Bench()


@pytest.mark.parametrize("seconds", [0.0, 0.5, 5.0, 5.1, HOUR])
async def test_a_key_is_handed_out_at_its_time_and_not_sooner(bench: Bench, seconds: float) -> None:
    async with bench.working():
        bench.queue.schedule_in("a", seconds)
        if seconds:
            await bench.clock.advance(seconds - 0.01)
            assert bench.taken == []
        await bench.clock.advance(0.01)
        assert bench.taken == [Due("a", by_deadline=False)]


async def test_a_utc_deadline_is_handed_out_at_its_time_as_a_deadline(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_at("a", NOW + MINUTE)
        await bench.clock.advance(59.9)
        assert bench.taken == []
        await bench.clock.advance(0.2)
        assert bench.taken == [Due("a", by_deadline=True)]


async def test_a_utc_deadline_in_the_past_is_due_at_once(bench: Bench) -> None:
    bench.queue.schedule_at("a", NOW - MINUTE)
    assert (await bench.take()).by_deadline


async def test_a_key_is_queued_once_at_its_earliest_time(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_in("a", 30)
        bench.queue.schedule_in("a", 10)
        bench.queue.schedule_in("a", 20)
        assert len(bench.queue) == 1
        await bench.clock.advance(60)
        assert (bench.keys, bench.at) == (["a"], [10.0])


async def test_an_event_replaces_a_later_deadline(bench: Bench) -> None:
    bench.queue.schedule_at("a", NOW + MINUTE)
    bench.queue.schedule_now("a")
    assert not (await bench.take()).by_deadline
    assert len(bench.queue) == 0


async def test_due_keys_are_handed_out_by_time_then_by_arrival(bench: Bench) -> None:
    for key, seconds in (("late", 3.0), ("first", 1.0), ("early", 0.5), ("second", 1.0), ("third", 1.0)):
        bench.queue.schedule_in(key, seconds)
    await bench.clock.advance(5)
    async with bench.working():
        assert bench.keys == ["early", "first", "second", "third", "late"]


async def test_equal_times_keep_their_order_when_stale_entries_are_pruned(bench: Bench) -> None:
    bench.queue.schedule_in("last", HOUR)
    bench.queue.schedule_now("first")
    bench.queue.schedule_now("second")
    bench.queue.schedule_now("last")
    churn(bench, 500)
    async with bench.working():
        assert bench.keys == ["first", "second", "last"]


def churn(bench: Bench, count: int) -> None:
    """Leave stale entries in the heap."""
    for number in range(count):
        bench.queue.schedule_in("churned", HOUR - number)
    bench.queue.remove("churned")


async def test_the_queue_never_hands_a_key_to_two_workers(bench: Bench) -> None:
    bench.queue.schedule_now("a")
    await bench.take()
    async with bench.working(3):
        bench.queue.schedule_now("a")
        bench.queue.schedule_at("a", NOW)
        await bench.clock.advance(60)
        assert bench.keys == ["a"]


async def test_a_key_that_falls_due_in_flight_is_handed_out_after_done(bench: Bench) -> None:
    bench.queue.schedule_now("a")
    await bench.take()
    async with bench.working():
        bench.queue.schedule_now("a")
        bench.queue.schedule_in("a", 5)
        await settle()
        bench.queue.done("a")
        await bench.clock.advance(60)
        assert (bench.keys, bench.at) == (["a", "a"], [0.0, 0.0])


async def test_a_removed_key_is_handed_out_only_if_it_is_scheduled_again(bench: Bench) -> None:
    for key in ("a", "b"):
        bench.queue.schedule_in(key, 1)
        bench.queue.remove(key)
    bench.queue.remove("never there")
    bench.queue.schedule_in("a", 1)
    async with bench.working(2):
        await bench.clock.advance(60)
        assert bench.keys == ["a"]


async def test_an_earlier_key_wakes_a_waiting_worker(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_in("late", 4)
        await bench.clock.advance(1)
        bench.queue.schedule_now("now")
        await settle()
        assert bench.keys == ["now"]


async def test_fifty_waiting_workers_lose_no_wake_up(bench: Bench) -> None:
    keys = [f"k{number}" for number in range(50)]
    with running(*(bench.take for _ in keys)):
        await settle()
        for key in keys:
            bench.queue.schedule_now(key)
        for _ in range(10):
            await settle()
        assert bench.keys == keys


async def test_a_cancelled_waiter_loses_no_key(bench: Bench) -> None:
    with running(bench.take, bench.take, bench.take) as tasks:
        await settle()
        tasks[0].cancel()
        await settle()
        bench.queue.schedule_now("a")
        await settle()
        assert bench.keys == ["a"]


async def test_a_wall_clock_step_forward_brings_deadlines_forward_within_seconds(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_at("dead by now", NOW + 10 * MINUTE)
        bench.queue.schedule_at("later", NOW + 60 * MINUTE)
        bench.queue.schedule_in("by the monotonic clock", HOUR)
        bench.clock.step_wall(10 * MINUTE)
        await bench.clock.advance(5)
        assert bench.keys == ["dead by now"]
        await bench.clock.advance(49 * 60)
        assert bench.keys == ["dead by now"]
        await bench.clock.advance(60)
        assert bench.keys == ["dead by now", "later"]


async def test_a_wall_clock_step_forward_reaches_keys_in_flight(bench: Bench) -> None:
    bench.queue.schedule_now("a")
    await bench.take()
    bench.queue.schedule_at("a", NOW + 60 * MINUTE)
    async with bench.working():
        bench.clock.step_wall(60 * MINUTE)
        await bench.clock.advance(5)
        bench.queue.done("a")
        await settle()
        assert bench.taken[1:] == [Due("a", by_deadline=True)]


async def test_a_wall_clock_step_back_delays_nothing(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_at("a", NOW + MINUTE)
        bench.clock.step_wall(-60 * MINUTE)
        await bench.clock.advance(61)
        assert bench.taken == [Due("a", by_deadline=True)]


async def test_wall_clock_steps_back_and_forth_hand_out_nothing_early(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_at("a", NOW + MINUTE)
        for delta in (-60 * MINUTE, 60 * MINUTE):
            bench.clock.step_wall(delta)
            await bench.clock.advance(10)
        assert bench.taken == []
        await bench.clock.advance(41)
        assert bench.keys == ["a"]


async def test_stale_entries_are_pruned(bench: Bench) -> None:
    bench.queue.schedule_in("kept", HOUR)
    for number in range(100_000):
        bench.queue.schedule_in("a", HOUR - number / 1000)
        bench.queue.remove("a")
    assert len(bench.queue._heap) < 200  # noqa: SLF001 - no other way to measure it


async def test_an_idle_queue_wakes_a_few_times_a_minute(bench: Bench) -> None:
    async with bench.working(16):
        await bench.clock.advance(60)
        assert len(bench.clock.slept) <= 13


async def test_a_closed_queue_hands_out_nothing(bench: Bench) -> None:
    bench.queue.schedule_now("a")
    async with bench.working():
        bench.queue.close()
        bench.queue.schedule_now("b")
        await bench.clock.advance(HOUR)
    assert bench.keys == ["a"]


async def test_the_queue_is_idle_when_no_key_is_in_flight(bench: Bench) -> None:
    for key in ("a", "b"):
        bench.queue.schedule_now(key)
        await bench.take()
    waiting = asyncio.create_task(bench.queue.idle())
    await settle()
    bench.queue.done("a")
    await settle()
    assert not waiting.done()
    bench.queue.done("b")
    await waiting
    await bench.queue.idle()


@pytest.mark.parametrize("workers", [1, 3])
@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["in", "at", "now", "remove", "done", "advance", "forward"]),
            st.sampled_from("abcd"),
            st.integers(min_value=0, max_value=30),
        ),
        max_size=25,
    )
)
def test_no_key_is_lost_late_or_with_two_workers_by_a_model(
    workers: int, steps: list[tuple[str, str, int]]
) -> None:
    """The model is a dictionary. Each example has an event loop of its own, as hypothesis runs none."""
    asyncio.run(replay(workers, steps))


async def replay(workers: int, steps: list[tuple[str, str, int]]) -> None:
    bench, busy, model = Bench(), set[str](), dict[str, float]()

    async def work() -> None:
        while True:
            due = await bench.queue.get()
            assert due.key not in busy
            assert model.pop(due.key) <= bench.clock.monotonic()
            busy.add(due.key)

    with running(*(work for _ in range(workers))) as tasks:
        for action, key, number in steps:
            await apply(bench, busy, model, (action, key, number))
        for key in sorted(busy):
            bench.queue.done(key)
            busy.discard(key)
        with contextlib.suppress(StopIteration):
            while model:
                await bench.clock.advance(60)
                for key in sorted(busy):
                    bench.queue.done(key)
                    busy.discard(key)
                assert all(at > bench.clock.monotonic() for at in model.values()), "late"
        assert not any(task.done() for task in tasks)
    await settle()


async def apply(bench: Bench, busy: set[str], model: dict[str, float], result: tuple[str, str, int]) -> None:
    action, key, number = result
    now = bench.clock.monotonic()
    if action in {"in", "at", "now"}:
        at = now if action == "now" else now + number
        model[key] = min(model.get(key, at), at)
    if action == "in":
        bench.queue.schedule_in(key, number)
    elif action == "at":
        bench.queue.schedule_at(key, bench.clock.now() + timedelta(seconds=number))
    elif action == "now":
        bench.queue.schedule_now(key)
    elif action == "remove":
        bench.queue.remove(key)
        model.pop(key, None)
    elif action == "done" and key in busy:
        busy.discard(key)
        bench.queue.done(key)
    elif action == "advance":
        await bench.clock.advance(number)
    elif action == "forward" and not model:
        bench.clock.step_wall(timedelta(seconds=number))
    await settle()


async def test_waiting_counts_keys_that_are_due_and_not_in_flight() -> None:
    bench = Bench()
    assert bench.queue.waiting() == 0
    bench.queue.schedule_in("later", 60)
    bench.queue.schedule_now("first")
    bench.queue.schedule_now("second")
    assert bench.queue.waiting() == 2
    due = await bench.take()
    assert bench.queue.waiting() == 1
    bench.queue.schedule_now(due.key)
    assert bench.queue.waiting() == 1
    bench.queue.done(due.key)
    assert bench.queue.waiting() == 2
    await bench.clock.advance(60)
    assert bench.queue.waiting() == 3


# --- fair shares -------------------------------------------------------------------------------------------


class Fair:
    """A queue whose keys are `group/name`, with an expiry for some."""

    def __init__(self, workers: int = 4) -> None:
        self.clock = FakeClock()
        self.expiries: dict[str, datetime] = {}
        self.queue: DeadlineQueue[str] = DeadlineQueue(
            self.clock,
            workers=workers,
            group=lambda key: key.partition("/")[0],
            expires_at=self.expiries.get,
        )

    async def take(self, count: int, *, done: bool = True) -> list[str]:
        """Take keys one after another."""
        taken = []
        for _ in range(count):
            taken.append((await self.queue.get()).key)
            if done:
                self.queue.done(taken[-1])
        return taken


async def test_a_round_hands_out_one_key_of_each_group() -> None:
    fair = Fair()
    for number in range(100):
        fair.queue.schedule_now(f"loud/{number}")
    fair.queue.schedule_now("a/0")
    fair.queue.schedule_now("b/0")
    assert await fair.take(4) == ["loud/0", "a/0", "b/0", "loud/1"]
    fair.queue.schedule_now("late/0")
    assert "late/0" in await fair.take(2)


async def test_a_round_goes_by_expiry_among_and_within_groups() -> None:
    fair = Fair()
    minutes = {"a/later": 50, "a/soon": 20, "b/soonest": 10, "c/last": 60, "e/in seconds": 0.1}
    for key, left in minutes.items():
        fair.expiries[key] = NOW + left * MINUTE
        fair.queue.schedule_now(key)
    fair.queue.schedule_now("d/has none")
    order = ["e/in seconds", "d/has none", "b/soonest", "a/soon", "c/last", "a/later"]
    assert await fair.take(6) == order


async def test_a_group_leaves_the_reserve_to_groups_with_nothing_in_flight() -> None:
    fair = Fair(workers=4)
    for number in range(10):
        fair.queue.schedule_now(f"loud/{number}")
    assert len(await fair.take(3, done=False)) == 3
    with running(lambda: fair.take(1, done=False)) as (waiting,):
        await settle()
        assert not waiting.done()
        fair.queue.schedule_now("quiet/0")
        await settle()
        assert waiting.done()
        assert waiting.result() == ["quiet/0"]


async def test_a_group_at_its_share_goes_on_after_done() -> None:
    fair = Fair(workers=4)
    for number in range(10):
        fair.queue.schedule_now(f"loud/{number}")
    taken = await fair.take(3, done=False)
    with running(lambda: fair.take(1, done=False)) as (waiting,):
        await settle()
        assert not waiting.done()
        fair.queue.done(taken[0])
        await settle()
        assert waiting.done()
        assert waiting.result() == ["loud/3"]
