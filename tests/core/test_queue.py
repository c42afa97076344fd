"""Queue: when a key is handed out, to one worker, and fairly among groups."""

import asyncio
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
    """A queue of keys `group/name` or of `name`, and what workers have taken."""

    def __init__(self, workers: int = 1000) -> None:
        self.clock = FakeClock()
        self.expiries: dict[str, datetime] = {}
        self.queue: DeadlineQueue[str] = DeadlineQueue(
            self.clock,
            workers=workers,
            group=lambda key: key.partition("/")[0],
            expires_at=self.expiries.get,
        )
        self.taken: list[Due[str]] = []
        self.at: list[float] = []
        self.begun: list[str] = []  # by `hang`
        self.going_on = asyncio.Event()

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

    def now(self, *keys: str) -> None:
        """Have keys due now."""
        for key in keys:
            self.queue.schedule_now(key)

    async def hang(self, due: Due[str]) -> None:
        """Handle a key whose requests hang until it is `going_on`."""
        self.begun.append(due.key)
        await self.going_on.wait()

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


@pytest.mark.parametrize("deadline", [False, True], ids=["a delay", "a UTC deadline"])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 5.0, 5.1, HOUR])
async def test_a_key_is_handed_out_at_its_time_and_no_sooner(
    bench: Bench, seconds: float, *, deadline: bool
) -> None:
    async with bench.working():
        if deadline:
            bench.queue.schedule_at("a", NOW + timedelta(seconds=seconds))
        else:
            bench.queue.schedule_in("a", seconds)
        if seconds:
            await bench.clock.advance(seconds - 0.01)
            assert bench.taken == []
        await bench.clock.advance(0.02)
        assert bench.taken == [Due("a", by_deadline=deadline)]


async def test_an_event_replaces_a_later_deadline(bench: Bench) -> None:
    bench.queue.schedule_at("a", NOW + MINUTE)
    bench.now("a")
    assert not (await bench.take()).by_deadline
    assert len(bench.queue) == 0


async def test_due_keys_are_handed_out_by_time_then_by_arrival(bench: Bench) -> None:
    for key, seconds in (("late", 3.0), ("first", 1.0), ("early", 0.5), ("second", 1.0), ("third", 1.0)):
        bench.queue.schedule_in(key, seconds)
    await bench.clock.advance(5)
    async with bench.working():
        assert bench.keys == ["early", "first", "second", "third", "late"]


async def test_stale_entries_are_pruned_and_equal_times_keep_their_order(bench: Bench) -> None:
    bench.queue.schedule_in("last", HOUR)
    bench.now("first", "second", "last")
    for number in range(5000):
        bench.queue.schedule_in("churned", HOUR - number / 1000)
        bench.queue.remove("churned")
    assert len(bench.queue._heap) < 200  # noqa: SLF001 - no other way to measure it
    async with bench.working():
        assert bench.keys == ["first", "second", "last"]


async def test_a_key_is_never_with_two_workers_and_handed_out_again_after_done(bench: Bench) -> None:
    bench.now("a")
    await bench.take()
    async with bench.working(3):
        bench.now("a")
        bench.queue.schedule_at("a", NOW)
        bench.queue.schedule_in("a", 5)
        await bench.clock.advance(60)
        assert bench.keys == ["a"]
        bench.queue.done("a")
        await bench.clock.advance(60)
        assert (bench.keys, bench.at) == (["a", "a"], [0.0, 60.0])


async def test_an_earlier_key_wakes_a_waiting_worker(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_in("late", 4)
        await bench.clock.advance(1)
        bench.now("now")
        await settle()
        assert bench.keys == ["now"]


async def test_fifty_waiting_workers_lose_no_wake_up(bench: Bench) -> None:
    keys = [f"k{number}" for number in range(50)]
    with running(*(bench.take for _ in keys)):
        await settle()
        bench.now(*keys)
        for _ in range(10):
            await settle()
        assert bench.keys == keys


async def test_a_cancelled_waiter_loses_no_key(bench: Bench) -> None:
    with running(bench.take, bench.take, bench.take) as tasks:
        await settle()
        tasks[0].cancel()
        await settle()
        bench.now("a")
        await settle()
        assert bench.keys == ["a"]


async def test_a_wall_clock_step_forward_brings_deadlines_forward_within_seconds(bench: Bench) -> None:
    bench.now("in flight")
    await bench.take()
    bench.queue.schedule_at("in flight", NOW + 5 * MINUTE)
    async with bench.working():
        bench.queue.schedule_at("past by now", NOW + 10 * MINUTE)
        bench.queue.schedule_at("later", NOW + 60 * MINUTE)
        bench.queue.schedule_in("by the monotonic clock", HOUR)
        bench.clock.step_wall(10 * MINUTE)
        await bench.clock.advance(5)
        assert bench.keys[1:] == ["past by now"]
        bench.queue.done("in flight")
        await bench.clock.advance(49 * 60)
        assert bench.taken[2:] == [Due("in flight", by_deadline=True)]
        await bench.clock.advance(60)
        assert bench.keys[3:] == ["later"]


async def test_a_wall_clock_step_back_delays_nothing(bench: Bench) -> None:
    async with bench.working():
        bench.queue.schedule_at("a", NOW + MINUTE)
        bench.queue.schedule_at("b", NOW + 2 * MINUTE)
        bench.clock.step_wall(-60 * MINUTE)
        await bench.clock.advance(61)
        assert bench.taken == [Due("a", by_deadline=True)]
        bench.clock.step_wall(60 * MINUTE)
        await bench.clock.advance(58)
        assert bench.keys == ["a"]
        await bench.clock.advance(2)
        assert bench.keys == ["a", "b"]


async def test_an_idle_queue_wakes_a_few_times_a_minute(bench: Bench) -> None:
    async with bench.working(16):
        await bench.clock.advance(60)
        assert len(bench.clock.slept) <= 13


async def test_a_closed_queue_hands_out_nothing(bench: Bench) -> None:
    bench.now("a")
    async with bench.working():
        bench.queue.close()
        bench.now("b")
        await bench.clock.advance(HOUR)
    assert bench.keys == ["a"]


async def test_the_queue_is_idle_when_no_key_is_in_flight(bench: Bench) -> None:
    bench.now("a", "b")
    await bench.take()
    await bench.take()
    with running(bench.queue.idle) as (waiting,):
        bench.queue.done("a")
        await settle()
        assert not waiting.done()
        bench.queue.done("b")
        await waiting
    await bench.queue.idle()


async def test_waiting_counts_keys_that_are_due_and_not_in_flight(bench: Bench) -> None:
    found = [bench.queue.waiting()]
    bench.queue.schedule_in("later", 60)
    bench.now("first", "second")
    found.append(bench.queue.waiting())
    due = await bench.take()
    found.append(bench.queue.waiting())
    bench.now(due.key)
    found.append(bench.queue.waiting())
    bench.queue.done(due.key)
    found.append(bench.queue.waiting())
    await bench.clock.advance(60)
    assert [*found, bench.queue.waiting()] == [0, 2, 1, 1, 2, 3]


actions = st.sampled_from(["in", "at", "now", "remove", "done", "advance", "forward"])


@pytest.mark.parametrize("workers", [1, 3])
@settings(max_examples=40)
@given(steps=st.lists(st.tuples(actions, st.sampled_from("abcd"), st.integers(0, 30)), max_size=25))
def test_no_key_is_lost_late_or_with_two_workers(workers: int, steps: list[tuple[str, str, int]]) -> None:
    """Each example has an event loop of its own, as hypothesis runs none."""
    asyncio.run(Model().replay(workers, steps))


class Model(Bench):
    """A queue, and a dictionary of when each key is due."""

    def __init__(self) -> None:
        super().__init__()
        self.busy: set[str] = set()
        self.due: dict[str, float] = {}

    async def work(self) -> None:
        """Take keys, and check each against the model."""
        while True:
            key = (await self.queue.get()).key
            assert key not in self.busy
            assert self.due.pop(key) <= self.clock.monotonic()
            self.busy.add(key)

    def finish(self, *keys: str) -> None:
        """Finish those of the keys that are being worked on."""
        for key in sorted(self.busy & set(keys)):
            self.busy.discard(key)
            self.queue.done(key)

    async def replay(self, workers: int, steps: list[tuple[str, str, int]]) -> None:
        """Take the steps, then check that each key is handed out in time."""
        with running(*(self.work for _ in range(workers))) as tasks:
            for action, key, number in steps:
                await self.apply(action, key, number)
            while self.due:
                self.finish(*self.busy)
                await self.clock.advance(60)
                assert all(at > self.clock.monotonic() for at in self.due.values()), "late"
            assert not any(task.done() for task in tasks)
        await settle()

    async def apply(self, action: str, key: str, number: int) -> None:
        """Do one step to the queue and to the model."""
        now = self.clock.monotonic()
        if action in {"in", "at", "now"}:
            at = now if action == "now" else now + number
            self.due[key] = min(self.due.get(key, at), at)
        match action:
            case "in":
                self.queue.schedule_in(key, number)
            case "at":
                self.queue.schedule_at(key, self.clock.now() + timedelta(seconds=number))
            case "now":
                self.queue.schedule_now(key)
            case "remove":
                self.queue.remove(key)
                self.due.pop(key, None)
            case "done":
                self.finish(key)
            case "advance":
                await self.clock.advance(number)
            case "forward" if not self.due:
                self.clock.step_wall(timedelta(seconds=number))
        await settle()


# --- fair shares -------------------------------------------------------------------------------------------


async def take(bench: Bench, count: int, *, done: bool = True) -> list[str]:
    """Take keys one after another."""
    for _ in range(count):
        due = await bench.take()
        if done:
            bench.queue.done(due.key)
    return bench.keys[-count:]


async def test_a_round_hands_out_one_key_of_each_group(bench: Bench) -> None:
    bench.now(*(f"loud/{number}" for number in range(100)), "a/0", "b/0")
    assert await take(bench, 4) == ["loud/0", "a/0", "b/0", "loud/1"]
    bench.now("late/0")
    assert "late/0" in await take(bench, 2)


async def test_a_round_goes_by_expiry_among_and_within_groups(bench: Bench) -> None:
    minutes = {"a/later": 50, "a/soon": 20, "b/soonest": 10, "c/last": 60, "e/in seconds": 0.1}
    bench.expiries.update({key: NOW + left * MINUTE for key, left in minutes.items()})
    bench.now(*minutes, "d/has none")
    order = ["e/in seconds", "d/has none", "b/soonest", "a/soon", "c/last", "a/later"]
    assert await take(bench, 6) == order


async def test_keys_that_are_set_aside_hold_no_place() -> None:
    bench = Bench(workers=4)
    bench.now(*(f"loud/{number}" for number in range(200)))
    first = await take(bench, 3, done=False)
    assert bench.queue.set_aside() == 0
    await bench.clock.advance(2)
    assert (bench.queue.set_aside(), bench.queue.set_aside()) == (3, 0)
    second = await take(bench, 3, done=False)
    assert [bench.queue.done(key) for key in (*first, *second)] == [True] * 3 + [False] * 3


async def test_another_worker_takes_the_place_of_one_that_hangs_until_it_returns(bench: Bench) -> None:
    with running(lambda: bench.queue.run(2, bench.hang)):
        bench.now(*(f"{number}/only" for number in range(5)))
        await bench.clock.advance(1)
        assert len(bench.begun) == 2
        await bench.clock.advance(2)
        assert len(bench.begun) == 4
        bench.going_on.set()
        await settle()
        bench.going_on.clear()
        bench.begun.clear()
        bench.now(*(f"{number}/only" for number in range(5)))
        await settle()
        assert len(bench.begun) == 2


async def test_a_worker_lets_other_tasks_run_between_keys_that_need_no_request(bench: Bench) -> None:
    handled, seen = list[str](), list[int]()

    async def handle(due: Due[str]) -> None:
        handled.append(due.key)

    async def look() -> None:
        while len(handled) < 50:
            seen.append(len(handled))
            await asyncio.sleep(0)

    bench.now(*(f"{number}/only" for number in range(50)))
    with running(lambda: bench.queue.run(1, handle), look):
        await settle()
    assert len(seen) >= 50


async def test_only_so_many_keys_are_set_aside() -> None:
    bench = Bench(workers=200)
    bench.now(*(f"loud/{number}" for number in range(100)))
    taken = await take(bench, 100, done=False)
    await bench.clock.advance(2)
    assert (bench.queue.set_aside(), bench.queue.set_aside()) == (24, 0)
    bench.now(*(f"{number}/only" for number in range(20)))
    await take(bench, 20, done=False)
    await bench.clock.advance(2)
    assert (bench.queue.set_aside(), bench.queue.set_aside()) == (8, 0)
    assert bench.queue.done(taken[0])
    assert bench.queue.set_aside() == 1


async def test_a_group_whose_requests_hang_leaves_places_aside_to_others() -> None:
    bench = Bench(workers=4)
    with running(lambda: bench.queue.run(4, bench.hang)):
        bench.now(*(f"loud/{number}" for number in range(100)))
        await bench.clock.advance(60)
        bench.now("other/hangs")
        await bench.clock.advance(4)
        bench.now("quiet/only")
        await settle()
        assert bench.begun[-2:] == ["other/hangs", "quiet/only"]


@pytest.mark.parametrize("after", ["another group", "done"])
async def test_a_group_leaves_the_reserve_to_groups_with_nothing_in_flight(after: str) -> None:
    bench = Bench(workers=4)
    bench.now(*(f"loud/{number}" for number in range(10)))
    taken = await take(bench, 3, done=False)
    with running(bench.take) as (waiting,):
        await settle()
        assert not waiting.done()
        if after == "done":
            bench.queue.done(taken[0])
        else:
            bench.now("quiet/0")
        await settle()
        assert waiting.done()
        assert bench.keys[-1] == ("loud/3" if after == "done" else "quiet/0")
