"""List-watch against everything that a server, or a proxy before it, may do."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog.testing
from aiohttp import web

from ecr_operator.kube.client import METADATA, METADATA_LIST, KubeClient, Query
from ecr_operator.kube.informer import Informer, PageSize
from ecr_operator.telemetry.probes import Heartbeat
from tests.fakes import FakeClock
from tests.kube.conftest import configuration
from tests.kube.server import (
    Answer,
    ScriptedServer,
    event,
    failing,
    hold,
    line,
    listing,
    refuse,
    reply,
    stream,
    text,
    thing,
    until,
)

MIB = 2**20
HTML = "<html>502 Bad Gateway</html>\n"
HELD = stream(then="hold")
BOOKMARK = event("BOOKMARK", version="50")


class FakeStore:
    """A store that notes its calls; each object takes so many seconds.

    Attributes:
        names: those that exist, as far as the store knows.
        read_names: in all lists so far, in order.
        calls: each change, in order.
        processed: the number of objects so far.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.seconds = 0.0
        self.names: set[str] = set()
        self.read_names: list[str] = []
        self.calls: list[str] = []
        self.processed = 0

    def _noted(self, call: str, raw: Mapping[str, Any]) -> str:
        self.processed += 1
        self._clock.skip(self.seconds)
        name = str(raw["metadata"]["name"])
        (self.calls if call else self.read_names).append(f"{call} {name}".strip())
        return name

    def read(self, raw: Mapping[str, Any]) -> str:
        """Keep the name."""
        return self._noted("", raw)

    def replaced(self, listed: Sequence[str]) -> None:
        """Note a list."""
        self.names = set(listed)
        self.calls.append(f"replaced {' '.join(sorted(self.names))}".strip())

    def changed(self, raw: Mapping[str, Any]) -> None:
        """Note an object."""
        self.names.add(self._noted("changed", raw))

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """Note a deletion."""
        self.names.discard(self._noted("deleted", raw))


class Scene:
    """An informer on a scripted server, in virtual time."""

    def __init__(self, server: ScriptedServer, client: KubeClient) -> None:
        self.server = server
        self.client = client
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)

    @asynccontextmanager
    async def watching(self, **options: Any) -> AsyncIterator[Informer]:
        """Run the informer for the block."""
        informer = Informer(self.client, "/api/things", self.store, self.clock, **options)
        task = asyncio.create_task(informer.run())
        try:
            yield informer
            assert not task.done(), f"the informer has ended: {task!r}"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def pause(self, number: int = 1) -> float:
        """Wait until the informer sleeps for the so-manieth time; return for how long."""
        await until(lambda: len(self.clock.slept) >= number)
        return self.clock.slept[number - 1]

    async def let_pass(self, pauses: int) -> list[float]:
        """Let that many sleeps pass; return how long they were."""
        for number in range(1, pauses + 1):
            await self.clock.advance(await self.pause(number))
        return self.clock.slept[:pauses]

    async def until(self, *calls: str) -> None:
        """Wait until the store had just these calls."""
        await until(lambda: self.store.calls == list(calls))

    def sent(self, name: str, *, watch: bool) -> list[str | None]:
        """A query parameter of each list, or of each watch."""
        return [each.query.get(name) for each in self.server.select(watch=watch)]


@pytest.fixture
def scene(server: ScriptedServer, client: KubeClient) -> Scene:
    return Scene(server, client)


async def test_list_first_and_then_a_watch_from_its_version(scene: Scene) -> None:
    scene.server.lists = [listing("a", "b", version="7")]
    events = (event("ADDED", "c", "8"), event("MODIFIED", "a", "9"), event("DELETED", "b", "10"))
    scene.server.watches = [stream(*events, then="hold")]
    async with scene.watching() as informer:
        await scene.until("replaced a b", "changed c", "changed a", "deleted b")
        assert informer.synced.is_set()
    first, second = scene.server.asked
    assert "resourceVersion" not in first.query
    assert (second.query["resourceVersion"], second.query["allowWatchBookmarks"]) == ("7", "true")
    assert 40 <= int(second.query["timeoutSeconds"]) < 55


async def test_watch_that_ends_continues_from_the_last_version_or_bookmark(scene: Scene) -> None:
    scene.server.lists = [listing(version="7")]
    scene.server.watches = [stream(event("ADDED", "a", "8")), stream(BOOKMARK), HELD]
    async with scene.watching():
        await scene.let_pass(2)
        await scene.server.until(3, watch=True)
    assert scene.sent("resourceVersion", watch=True) == ["7", "8", "50"]
    assert scene.store.calls == ["replaced", "changed a"]


async def test_metadata_and_a_label_are_requested_in_list_and_watch(scene: Scene) -> None:
    scene.server.lists = [listing()]
    async with scene.watching(metadata_only=True, label_selector="a=b"):
        await scene.server.until(2)
    assert [each.headers["Accept"] for each in scene.server.asked] == [METADATA_LIST, METADATA]
    assert {each.query["labelSelector"] for each in scene.server.asked} == {"a=b"}


async def test_pages_are_joined(scene: Scene) -> None:
    scene.server.lists = [listing("a", more="1"), listing("b", more="2"), listing("c")]
    async with scene.watching():
        await scene.until("replaced a b c")
    assert scene.sent("continue", watch=False) == [None, "1", "2"]
    assert scene.sent("limit", watch=False) == ["20", "100", "500"]


async def test_page_is_read_before_the_next_arrives_and_replaces_only_with_the_last(scene: Scene) -> None:
    scene.server.lists = [listing("a", "b", more="1"), hold]
    async with scene.watching() as informer:
        await scene.server.until(2, watch=False)
        assert (scene.store.read_names, scene.store.calls) == (["a", "b"], [])
        assert not informer.synced.is_set()


async def test_pages_that_expire_are_listed_again_from_the_first(scene: Scene) -> None:
    scene.server.lists = [listing("a", more="1"), refuse(410, "Expired"), listing("b")]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced b")
    assert scene.sent("continue", watch=False) == [None, "1", None]


async def test_page_that_is_too_large_is_requested_again_with_fewer_objects(scene: Scene) -> None:
    fat = reply({"metadata": {"resourceVersion": "5"}, "items": [thing("a", data="x" * 5 * MIB)]})
    scene.server.lists = [listing("z", more="1"), *[fat] * 5]
    async with scene.watching():
        await scene.until("replaced a z")
    assert scene.sent("limit", watch=False) == ["20", "100", "25", "6", "1"]
    assert scene.sent("continue", watch=False) == [None, "1", "1", "1", "1"]
    assert scene.clock.slept == []


async def test_object_that_is_too_large_is_retried_with_backoff(scene: Scene) -> None:
    scene.server.lists = [text(b"x" * (16 * MIB + 1))] * 4
    async with scene.watching():
        await scene.let_pass(1)
        await scene.server.until(4, watch=False)
    assert scene.sent("limit", watch=False)[:4] == ["20", "5", "1", "20"]


SIZES = {
    "grows while pages are small": ((0, 100, 100, 100), [100, 500, 500, 500]),
    "aims at 1 MiB": ((MIB, MIB // 2, 2 * MIB, 4 * MIB), [20, 40, 20, 5]),
    "is never less than one": ((16 * MIB, 16 * MIB, 16 * MIB), [1, 1, 1]),
}


@pytest.mark.parametrize(("sizes", "objects"), SIZES.values(), ids=SIZES)
def test_page_size(sizes: tuple[int, ...], objects: list[int]) -> None:
    size, found = PageSize(), []
    for each in sizes:
        size.adapt(each)
        found.append(size.objects)
    assert found == objects


async def test_other_tasks_run_between_objects_of_a_list_and_of_a_watch(scene: Scene) -> None:
    scene.store.seconds = 0.01
    scene.server.lists = [listing(*map(str, range(20)), version="5")]
    added = b"".join(event("ADDED", str(number), str(number)) for number in range(20, 40))
    scene.server.watches = [stream(added, then="hold")]
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(scene.store.processed)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with scene.watching():
        await until(lambda: scene.store.processed == 40)
    task.cancel()
    assert set(turns) >= set(range(40))


DISTRUSTED = {
    "410 as an answer": refuse(410, "Expired"),
    "410 as an event": stream(failing(410, "Expired")),
    "410 on a stream that stays open": stream(event("ADDED", "x", "8"), failing(410, "Gone"), then="hold"),
    "a cut": stream(then="cut"),
    "a cut within a line": stream(event("ADDED", "x")[:20], then="cut"),
    "a line over 16 MiB": stream(b"x" * (16 * MIB + 1), then="hold"),
    "versions that go back": stream(event("ADDED", "c", "4"), then="hold"),
}


@pytest.mark.parametrize("answer", DISTRUSTED.values(), ids=DISTRUSTED)
async def test_watch_whose_version_can_not_be_trusted_costs_one_list(scene: Scene, answer: Answer) -> None:
    """An older etcd may have come back, and what was deleted unseen is found by the list."""
    scene.server.lists = [listing("a", version="7"), listing("b", version="5")]
    scene.server.watches = [answer, HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.server.until(2, watch=True)
    assert len(scene.server.select(watch=False)) == 2
    assert scene.sent("resourceVersion", watch=True) == ["7", "5"]
    assert scene.store.names == {"b"}


BROKEN_WATCHES = {
    "500": refuse(500, "InternalError"),
    "403": refuse(403, "Forbidden"),
    "a proxy's HTML": text(HTML, 502),
    "HTML in place of events": text(HTML),
    "an event without an object": stream(line({"type": "ADDED"})),
    "a list for an object": stream(line({"type": "ADDED", "object": []})),
    "an object without metadata": stream(line({"type": "ADDED", "object": {"metadata": None}})),
    "text for metadata": stream(line({"type": "ADDED", "object": {"metadata": "x"}})),
    "an error event": stream(failing(500, "InternalError")),
    "a malformed error event": stream(line({"type": "ERROR", "object": {"code": "x", "details": 7}})),
}


@pytest.mark.parametrize("broken", BROKEN_WATCHES.values(), ids=BROKEN_WATCHES)
async def test_watch_that_fails_is_retried_from_its_version(scene: Scene, broken: Answer) -> None:
    scene.server.lists = [listing("a", version="7")]
    scene.server.watches = [broken, stream(event("ADDED", "b", "8"), then="hold")]
    async with scene.watching():
        (pause,) = await scene.let_pass(1)
        await scene.until("replaced a", "changed b")
    assert 0.1 <= pause <= 1
    assert scene.sent("resourceVersion", watch=True) == ["7", "7"]


async def test_object_that_the_store_refuses_does_not_stop_the_others(scene: Scene) -> None:
    scene.server.lists = [listing()]
    poison = line({"type": "ADDED", "object": {"metadata": {"resourceVersion": "8"}}})
    scene.server.watches = [stream(poison, then="hold"), stream(event("ADDED", "b", "9"), then="hold")]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced", "changed b")
    assert scene.sent("resourceVersion", watch=True)[1] == "8"


def listed(metadata: Any, items: Any = ()) -> Answer:
    return reply({"metadata": metadata, "items": items})


VERSION = {"resourceVersion": "1"}
BROKEN_LISTS = {
    "500": refuse(500, "InternalError"),
    "a version from the future": refuse(504, "Timeout", "Too large resource version"),
    "HTML": text(HTML),
    "an empty object": reply({}),
    "no version": listed({}),
    "null for metadata": listed(None),
    "text for metadata": listed("x"),
    "a list for metadata": listed([]),
    "a number for items": listed(VERSION, 7),
    "a number for an item": listed(VERSION, [7]),
    "an item without metadata": listed(VERSION, [{}]),
    "an item with a list for metadata": listed(VERSION, [{"metadata": []}]),
}


@pytest.mark.parametrize("broken", BROKEN_LISTS.values(), ids=BROKEN_LISTS)
async def test_list_that_fails_is_retried_and_the_store_kept(scene: Scene, broken: Answer) -> None:
    scene.server.lists = [listing("a"), broken, listing("a", "b")]
    scene.server.watches = [refuse(410, "Expired"), HELD]
    async with scene.watching():
        await scene.let_pass(2)
        await scene.until("replaced a", "replaced a b")


async def test_backoff_grows_to_five_seconds_and_the_heartbeat_goes_on(scene: Scene) -> None:
    heartbeat = Heartbeat("things", scene.clock.monotonic)
    scene.server.lists = [text(HTML, 502)] * 30
    async with scene.watching(heartbeat=heartbeat):
        for number in range(1, 21):
            await scene.clock.advance(await scene.pause(number))
            assert heartbeat.overdue() < 1
    pauses = scene.clock.slept[:20]
    assert pauses[0] <= 0.4
    assert all(2.5 <= pause <= 5 for pause in pauses[6:])
    assert len(scene.server.asked) <= 21


async def test_single_end_in_silence_costs_one_list_and_is_not_logged(scene: Scene) -> None:
    scene.server.lists = [listing("a"), listing("b")]
    scene.server.watches = [stream(), HELD]
    with structlog.testing.capture_logs() as logs:
        async with scene.watching():
            await scene.let_pass(1)
            await scene.server.until(2, watch=True)
    assert (logs, scene.store.names) == ([], {"b"})


async def test_watches_that_end_after_each_event_are_not_opened_in_a_hot_loop(scene: Scene) -> None:
    scene.server.lists = [listing("a")]
    scene.server.watches = [stream(BOOKMARK)] * 9
    async with scene.watching():
        pauses = await scene.let_pass(5)
    assert min(pauses) > 0.9


async def test_backoff_ends_with_the_first_event_and_not_with_a_list(scene: Scene) -> None:
    scene.server.lists = [listing("a")] * 9
    scene.server.watches = [stream()] * 6 + [stream(event("ADDED", "b"), then="cut"), HELD]
    with structlog.testing.capture_logs() as logs:
        async with scene.watching():
            while len(scene.sent("watch", watch=True)) < 8:
                await scene.clock.advance(0.5)
                await asyncio.sleep(0.005)
    # Without the time after which a watch that lasts is reported.
    pauses = [seconds for seconds in scene.clock.slept if seconds != 20]
    assert pauses[5] > 2
    assert pauses[6] <= 0.4
    assert [each["event"] for each in logs] == ["can't watch", "watching again", "can't watch"]


LATER = {
    "as a header": (refuse(429, "TooManyRequests", Retry_After="17"), 17),
    "as an event": (stream(failing(429, "TooManyRequests", details={"retryAfterSeconds": 9})), 9),
    "a minute at most": (refuse(503, "ServiceUnavailable", Retry_After="86400"), 60),
}


@pytest.mark.parametrize(("answer", "seconds"), LATER.values(), ids=LATER)
async def test_retry_after_is_respected(scene: Scene, answer: Answer, seconds: float) -> None:
    scene.server.lists = [listing("a")]
    scene.server.watches = [answer]
    async with scene.watching():
        assert await scene.pause() == seconds


@pytest.mark.parametrize("missing", [refuse(404, "NotFound"), text("404 page not found\n", 404)])
async def test_missing_collection_is_synced_empty_and_logged_once(scene: Scene, missing: Answer) -> None:
    scene.server.lists = [missing, listing("a")] + [missing] * 3 + [listing("b")]
    scene.server.watches = [missing, HELD]
    with structlog.testing.capture_logs() as logs:
        async with scene.watching(when_missing="apply the CRDs") as informer:
            await scene.pause()
            assert informer.synced.is_set()
            await scene.let_pass(5)
            await scene.until("replaced", "replaced a", *["replaced"] * 4, "replaced b")
            assert len(logs) == 1, "a list that works before a watch that fails is no recovery"
            await scene.clock.advance(20)
    assert [(each["event"], each.get("next")) for each in logs] == [
        ("can't watch", "apply the CRDs"),
        ("watching again", None),
    ]


async def test_forbidden_list_does_not_count_as_synced_and_is_logged_once(scene: Scene) -> None:
    scene.server.lists = [refuse(403, "Forbidden", "secrets is forbidden")] * 5
    with structlog.testing.capture_logs() as logs:
        async with scene.watching() as informer:
            await scene.let_pass(4)
            assert not informer.synced.is_set()
    assert [(each["event"], each["error"]) for each in logs] == [("can't watch", "secrets is forbidden")]
    assert "`check`" in logs[0]["next"]


class ImpatientClient(KubeClient):
    """A client whose seconds of silence pass three hundred times as fast.

    Attributes:
        silences: those that were requested, watch by watch.
    """

    def __init__(self, url: str) -> None:
        super().__init__(configuration(url))
        self.silences: list[float] = []

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, accept: str, silence: float
    ) -> AsyncIterator[AsyncGenerator[Mapping[str, Any], None]]:
        """Open a watch with less patience than requested."""
        self.silences.append(silence)
        async with super().stream(path, query=query, accept=accept, silence=silence / 300) as events:
            yield events


@pytest.mark.parametrize("dead", [HELD, hold], ids=["half-open", "without any answer"])
async def test_dead_connection_is_noticed_soon_after_the_watch_should_have_ended(
    server: ScriptedServer, dead: Answer
) -> None:
    server.lists = [listing("a", version="7"), listing("b", version="8")]
    server.watches = [dead, HELD]
    async with ImpatientClient(server.url) as client:
        scene = Scene(server, client)
        async with scene.watching():
            await scene.let_pass(1)
            await server.until(2, watch=True)
        longest = max(int(each.query["timeoutSeconds"]) for each in server.select(watch=True))
        assert longest < client.silences[0] <= 90


async def test_heartbeat_shows_the_first_list_and_each_restart(scene: Scene) -> None:
    restarts: list[float] = []
    heartbeat = Heartbeat("things", scene.clock.monotonic, lambda: restarts.append(scene.clock.monotonic()))
    scene.server.lists = [refuse(503, "ServiceUnavailable"), listing("a")]
    scene.server.watches = [stream(BOOKMARK), HELD]
    async with scene.watching(heartbeat=heartbeat):
        await scene.pause()
        assert (len(restarts), heartbeat.synced) == (1, False)
        await scene.let_pass(2)
        await scene.server.until(2, watch=True)
        assert (len(restarts), heartbeat.synced) == (1, True)


@pytest.mark.parametrize(
    ("first_list", "is_watch"), [(hold, False), (listing("a"), True)], ids=["list", "watch"]
)
async def test_heartbeat_is_overdue_where_a_request_does_not_return(
    scene: Scene, first_list: Answer, *, is_watch: bool
) -> None:
    heartbeat = Heartbeat("things", scene.clock.monotonic)
    scene.server.lists = [first_list]
    scene.server.watches = [hold]
    async with scene.watching(heartbeat=heartbeat):
        await scene.server.until(1, watch=is_watch)
        await scene.clock.advance(130)
        assert heartbeat.overdue() == 70


async def test_each_event_is_a_heartbeat_on_a_watch_that_never_ends(scene: Scene) -> None:
    heartbeat = Heartbeat("things", scene.clock.monotonic)
    more = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await more.wait()
        await response.write(event("ADDED", "b", "8"))
        return await hold(request)

    scene.server.lists = [listing("a", version="7")]
    scene.server.watches = [endless]
    async with scene.watching(heartbeat=heartbeat):
        await scene.server.until(1, watch=True)
        await scene.clock.advance(100)
        more.set()
        await scene.until("replaced a", "changed b")
        assert heartbeat.overdue() == 0
