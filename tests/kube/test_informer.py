"""List-watch against everything that a server, or a proxy before it, may do."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog.testing
from aiohttp import web

from ecr_operator.kube.client import METADATA, METADATA_LIST, KubeClient, Query
from ecr_operator.kube.informer import Informer
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
)

HTML = "<html>502 Bad Gateway</html>\n"
HELD = stream(then="hold")
BOOKMARK = event("BOOKMARK", version="50")


class Shelf:
    """A store that notes what it is told.

    Attributes:
        there: the names that exist, as far as the informer told.
        kept: the names in all lists so far, in order.
        told: each call, in order.
    """

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.kept: list[str] = []
        self.told: list[str] = []

    def read(self, raw: Mapping[str, Any]) -> str:
        """Keep the name."""
        name: str = raw["metadata"]["name"]
        self.kept.append(name)
        return name

    def replaced(self, listed: Sequence[str]) -> None:
        """Take in a list."""
        self.there = set(listed)
        self.told.append(f"replaced {' '.join(sorted(self.there))}".strip())

    def changed(self, raw: Mapping[str, Any]) -> None:
        """Take in an object."""
        self.there.add(raw["metadata"]["name"])
        self.told.append(f"changed {raw['metadata']['name']}")

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """Take out an object."""
        self.there.discard(raw["metadata"]["name"])
        self.told.append(f"deleted {raw['metadata']['name']}")


class SlowShelf(Shelf):
    """A store that takes 10 ms for each object.

    Attributes:
        taken: how many it has taken in.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.taken = 0

    def read(self, raw: Mapping[str, Any]) -> str:
        """Take in an object of a list."""
        self._take()
        return super().read(raw)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """Take in an object of a watch."""
        self._take()
        super().changed(raw)

    def _take(self) -> None:
        self.taken += 1
        self._clock.skip(0.01)


class Scene:
    """An informer at work on a scripted server, in virtual time."""

    def __init__(self, server: ScriptedServer, client: KubeClient) -> None:
        self.server = server
        self.client = client
        self.clock = FakeClock()
        self.shelf = Shelf()

    @asynccontextmanager
    async def watching(self, **options: Any) -> AsyncIterator[Informer]:
        """Have the informer at work for a while."""
        informer = Informer(self.client, "/api/things", self.shelf, self.clock, **options)
        task = asyncio.create_task(informer.run())
        try:
            yield informer
            assert not task.done(), f"the informer has ended: {task!r}"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def pause(self, number: int = 1) -> float:
        """Wait until the informer waits for the so-manieth time; return for how long."""
        async with asyncio.timeout(5):
            while len(self.clock.slept) < number:  # noqa: ASYNC110 - a real server, which sets no event
                await asyncio.sleep(0.002)
        return self.clock.slept[number - 1]

    async def let_pass(self, pauses: int) -> list[float]:
        """Let it wait out that many pauses; return how long they were."""
        for number in range(1, pauses + 1):
            await self.clock.advance(await self.pause(number))
        return self.clock.slept[:pauses]

    async def until(self, *told: str) -> None:
        """Wait until the store was told just that."""
        async with asyncio.timeout(5):
            while self.shelf.told != list(told):  # noqa: ASYNC110 - a real server, which sets no event
                await asyncio.sleep(0.002)


@pytest.fixture
def scene(server: ScriptedServer, client: KubeClient) -> Scene:
    """A scripted server and an informer to be."""
    return Scene(server, client)


async def test_a_list_first_and_then_a_watch_from_its_version(scene: Scene) -> None:
    scene.server.lists = [listing("a", "b", version="7")]
    scene.server.watches = [
        stream(
            event("ADDED", "c", "8"), event("MODIFIED", "a", "9"), event("DELETED", "b", "10"), then="hold"
        )
    ]
    async with scene.watching() as informer:
        await scene.until("replaced a b", "changed c", "changed a", "deleted b")
        assert informer.synced.is_set()
    first, second = scene.server.asked
    assert "resourceVersion" not in first.query
    assert second.query["resourceVersion"] == "7"
    assert second.query["allowWatchBookmarks"] == "true"
    assert 40 <= int(second.query["timeoutSeconds"]) < 55


async def test_a_watch_that_ends_goes_on_from_the_last_version_without_another_list(scene: Scene) -> None:
    scene.server.lists = [listing(version="7")]
    scene.server.watches = [stream(event("ADDED", "a", "8")), stream(BOOKMARK), HELD]
    async with scene.watching():
        await scene.let_pass(0)
        await asyncio.sleep(0.05)
        await scene.clock.advance(10)
        await asyncio.sleep(0.05)
        await scene.clock.advance(10)
        await scene.server.until(3, watch=True)
    assert [each.query["resourceVersion"] for each in scene.server.select(watch=True)] == ["7", "8", "50"]
    assert len(scene.server.select(watch=False)) == 1
    assert scene.shelf.told == ["replaced", "changed a"]


async def test_a_bookmark_moves_the_version_and_nothing_else(scene: Scene) -> None:
    scene.server.lists = [listing("a")]
    scene.server.watches = [stream(BOOKMARK), HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.server.until(2, watch=True)
    assert scene.server.select(watch=True)[1].query["resourceVersion"] == "50"
    assert scene.shelf.told == ["replaced a"]


async def test_pages_are_put_together(scene: Scene) -> None:
    scene.server.lists = [
        listing("a", token="t1", version="7"),
        listing("b", token="t2", version="7"),
        listing("c", version="7"),
    ]
    async with scene.watching():
        await scene.until("replaced a b c")
    assert [each.query.get("continue") for each in scene.server.select(watch=False)] == [None, "t1", "t2"]
    assert [each.query["limit"] for each in scene.server.select(watch=False)] == ["20", "100", "500"]


async def test_a_page_that_is_too_large_is_asked_for_again_with_fewer_objects(scene: Scene) -> None:
    fat = thing("a", data="x" * 5 * 2**20)
    scene.server.lists = [
        listing("z", token="t1"),
        *[reply({"metadata": {"resourceVersion": "5"}, "items": [fat]})] * 5,
    ]
    async with scene.watching():
        await scene.until("replaced a z")
    asked = [(each.query["limit"], each.query.get("continue")) for each in scene.server.select(watch=False)]
    assert asked == [("20", None), ("100", "t1"), ("25", "t1"), ("6", "t1"), ("1", "t1")]
    assert scene.clock.slept == []


async def test_an_object_that_is_too_large_is_waited_out_and_not_asked_for_in_a_hot_loop(
    scene: Scene,
) -> None:
    scene.server.lists = [text(b"x" * (16 * 2**20 + 1))] * 10
    async with scene.watching():
        await scene.let_pass(1)
        await scene.server.until(4, watch=False)
    assert [each.query["limit"] for each in scene.server.select(watch=False)][:4] == ["20", "5", "1", "20"]


async def test_a_line_that_is_too_large_costs_one_list(scene: Scene) -> None:
    scene.server.lists = [listing("a"), listing("b")]
    scene.server.watches = [stream(b"x" * (16 * 2**20 + 1), then="hold"), HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced a", "replaced b")


async def test_others_have_their_turn_between_objects_of_a_list_and_of_a_watch(scene: Scene) -> None:
    """Whose taking in lasts 10 ms each."""
    turns: list[int] = []
    shelf = scene.shelf = SlowShelf(scene.clock)
    scene.server.lists = [listing(*map(str, range(20)), version="5")]
    added = b"".join(event("ADDED", str(number), str(number)) for number in range(20, 40))
    scene.server.watches = [stream(added, then="hold")]

    async def other() -> None:
        while True:
            turns.append(shelf.taken)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with scene.watching():
        async with asyncio.timeout(5):
            while shelf.taken < 40:  # noqa: ASYNC110 - a real server, which sets no event
                await asyncio.sleep(0.002)
    task.cancel()
    assert set(turns) >= set(range(40))


async def test_a_page_is_read_before_the_next_is_there_and_told_only_with_the_last(scene: Scene) -> None:
    scene.server.lists = [listing("a", "b", token="t1"), hold]
    async with scene.watching() as informer:
        await scene.server.until(2, watch=False)
        assert (scene.shelf.kept, scene.shelf.told) == (["a", "b"], [])
        assert not informer.synced.is_set()


async def test_pages_that_expire_are_listed_anew_from_the_first(scene: Scene) -> None:
    scene.server.lists = [listing("a", token="t1"), refuse(410, "Expired"), listing("b")]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced b")
    assert [each.query.get("continue") for each in scene.server.select(watch=False)] == [None, "t1", None]


async def test_metadata_and_a_label_are_asked_for_in_both(scene: Scene) -> None:
    scene.server.lists = [listing()]
    async with scene.watching(metadata_only=True, label_selector="a=b"):
        await scene.server.until(2)
    assert [each.headers["Accept"] for each in scene.server.asked] == [METADATA_LIST, METADATA]
    assert {each.query["labelSelector"] for each in scene.server.asked} == {"a=b"}


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(refuse(410, "Expired"), id="as an answer"),
        pytest.param(stream(failing(410, "Expired")), id="as an event"),
        pytest.param(
            stream(event("ADDED", "x"), failing(410, "Gone"), then="hold"),
            id="as an event on a stream that stays open",
        ),
    ],
)
async def test_a_version_that_the_server_has_forgotten_costs_one_list(scene: Scene, gone: Answer) -> None:
    scene.server.lists = [listing("a"), listing("b", version="90")]
    scene.server.watches = [gone, HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.server.until(2, watch=True)
    assert len(scene.server.select(watch=False)) == 2
    assert scene.server.select(watch=True)[1].query["resourceVersion"] == "90"
    assert scene.shelf.there == {"b"}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(refuse(500, "InternalError"), id="500"),
        pytest.param(refuse(403, "Forbidden"), id="403"),
        pytest.param(text(HTML, 502), id="a proxy's HTML"),
        pytest.param(text(HTML), id="HTML in place of events"),
        pytest.param(stream(line({"type": "ADDED"})), id="an event without an object"),
        pytest.param(stream(line({"type": "ADDED", "object": []})), id="a list for an object"),
        pytest.param(
            stream(line({"type": "ADDED", "object": {"metadata": None}})), id="an object without metadata"
        ),
        pytest.param(stream(line({"type": "ADDED", "object": {"metadata": "x"}})), id="text for metadata"),
        pytest.param(stream(failing(500, "InternalError")), id="an error event"),
        pytest.param(
            stream(line({"type": "ERROR", "object": {"code": "x", "details": 7}})),
            id="an error event of no form",
        ),
    ],
)
async def test_a_watch_that_fails_is_tried_again_from_where_it_was(scene: Scene, broken: Answer) -> None:
    scene.server.lists = [listing("a", version="7")]
    scene.server.watches = [broken, stream(event("ADDED", "b", "8"), then="hold")]
    async with scene.watching():
        (pause,) = await scene.let_pass(1)
        await scene.until("replaced a", "changed b")
    assert 0.1 <= pause <= 1
    assert len(scene.server.select(watch=False)) == 1
    assert scene.server.select(watch=True)[1].query["resourceVersion"] == "7"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(stream(then="cut"), id="cut"),
        pytest.param(stream(event("ADDED", "x")[:20], then="cut"), id="cut within a line"),
    ],
)
async def test_after_a_cut_there_is_one_list_since_an_older_etcd_may_have_come_back(
    scene: Scene, broken: Answer
) -> None:
    scene.server.lists = [listing("a", version="7"), listing("b", version="5")]
    scene.server.watches = [broken, HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced a", "replaced b")
        await scene.server.until(2, watch=True)
    assert len(scene.server.select(watch=False)) == 2
    assert scene.server.select(watch=True)[1].query["resourceVersion"] == "5"


async def test_versions_that_go_backwards_are_listed_anew(scene: Scene) -> None:
    scene.server.lists = [listing("a", version="7"), listing("b", version="5")]
    scene.server.watches = [stream(event("ADDED", "c", "4"), then="hold"), HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced a", "replaced b")


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(refuse(500, "InternalError"), id="500"),
        pytest.param(refuse(504, "Timeout", "Too large resource version"), id="a version from the future"),
        pytest.param(text(HTML), id="HTML"),
        pytest.param(reply({}), id="an empty object"),
        pytest.param(reply({"metadata": {}, "items": []}), id="no version"),
        pytest.param(reply({"metadata": None, "items": []}), id="null for metadata"),
        pytest.param(reply({"metadata": "x", "items": []}), id="text for metadata"),
        pytest.param(reply({"metadata": [], "items": []}), id="a list for metadata"),
        pytest.param(reply({"metadata": {"resourceVersion": "1"}, "items": 7}), id="a number for items"),
        pytest.param(reply({"metadata": {"resourceVersion": "1"}, "items": [7]}), id="a number for an item"),
        pytest.param(
            reply({"metadata": {"resourceVersion": "1"}, "items": [{}]}), id="an item without metadata"
        ),
        pytest.param(
            reply({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": []}]}),
            id="an item with a list for metadata",
        ),
    ],
)
async def test_a_list_that_fails_is_tried_again_and_nothing_is_forgotten(
    scene: Scene, broken: Answer
) -> None:
    scene.server.lists = [listing("a"), broken, listing("a", "b")]
    scene.server.watches = [refuse(410, "Expired"), HELD]
    async with scene.watching():
        await scene.let_pass(2)
        await scene.until("replaced a", "replaced a b")


async def test_one_that_stays_broken_is_asked_ever_less_but_every_five_seconds(scene: Scene) -> None:
    scene.server.lists = [text(HTML, 502)] * 30
    async with scene.watching():
        pauses = await scene.let_pass(20)
    assert pauses[0] <= 0.4
    assert all(2.5 <= pause <= 5 for pause in pauses[6:])
    assert len(scene.server.asked) <= 21


async def test_a_watch_that_ends_in_silence_is_not_trusted_and_not_asked_in_a_hot_loop(scene: Scene) -> None:
    scene.server.lists = [listing("a")] * 30
    scene.server.watches = [stream()] * 30
    async with scene.watching():
        pauses = await scene.let_pass(10)
        await scene.server.until(11, watch=False)
    assert sum(pauses) > 20
    assert 10 <= len(scene.server.select(watch=True)) <= 11


async def test_a_watch_that_ends_after_every_word_is_not_asked_in_a_hot_loop(scene: Scene) -> None:
    scene.server.lists = [listing("a")]
    scene.server.watches = [stream(BOOKMARK)] * 5000
    async with scene.watching():
        await scene.server.until(1, watch=True)
        await asyncio.sleep(0.5)
        assert len(scene.server.asked) < 10


async def test_the_backoff_ends_with_the_first_event_and_not_with_a_list(scene: Scene) -> None:
    scene.server.lists = [listing("a")] * 9
    scene.server.watches = [stream()] * 6 + [stream(event("ADDED", "b"), then="cut"), HELD]
    async with scene.watching():
        pauses = await scene.let_pass(7)
    assert pauses[5] > 2
    assert pauses[6] <= 0.4


async def test_what_was_deleted_unseen_is_found_by_the_next_list(scene: Scene) -> None:
    scene.server.lists = [listing("a", "b"), listing("b")]
    scene.server.watches = [stream(then="end"), HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced a b", "replaced b")


async def test_an_etcd_that_went_backwards_is_listed_and_watched_from_there(scene: Scene) -> None:
    scene.server.lists = [listing("a", version="900"), listing("b", version="30")]
    scene.server.watches = [stream(), HELD]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.server.until(2, watch=True)
    assert scene.server.select(watch=True)[1].query["resourceVersion"] == "30"


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        pytest.param(refuse(429, "TooManyRequests", Retry_After="17"), 17, id="as a header"),
        pytest.param(
            stream(failing(429, "TooManyRequests", details={"retryAfterSeconds": 9})), 9, id="as an event"
        ),
        pytest.param(refuse(503, "ServiceUnavailable", Retry_After="86400"), 60, id="a minute at most"),
    ],
)
async def test_a_server_that_asks_us_to_wait_is_obeyed(scene: Scene, asked: Answer, waits: float) -> None:
    scene.server.lists = [listing("a")]
    scene.server.watches = [asked]
    async with scene.watching():
        assert await scene.pause() == waits


@pytest.mark.parametrize(
    "missing", [refuse(404, "NotFound"), text("404 page not found\n", 404)], ids=["a Status", "text"]
)
async def test_a_collection_that_is_gone_is_forgotten_and_the_way_to_install_it_is_told_once(
    scene: Scene, missing: Answer
) -> None:
    scene.server.lists = [listing("a")] + [missing] * 3 + [listing("b")]
    scene.server.watches = [missing, HELD]
    with structlog.testing.capture_logs() as logs:
        async with scene.watching(when_missing="apply the CRDs"):
            await scene.let_pass(4)
            await scene.until("replaced a", *["replaced"] * 4, "replaced b")
    assert [(each["event"], each.get("next")) for each in logs] == [
        ("can't watch", "apply the CRDs"),
        ("watching again", None),
    ]


async def test_one_that_is_missing_from_the_start_counts_as_seen(scene: Scene) -> None:
    scene.server.lists = [refuse(404, "NotFound")]
    async with scene.watching() as informer:
        await scene.pause()
        assert informer.synced.is_set()


async def test_one_that_may_not_be_listed_does_not_count_as_seen_and_is_told_once(scene: Scene) -> None:
    scene.server.lists = [refuse(403, "Forbidden", "secrets is forbidden")] * 5
    with structlog.testing.capture_logs() as logs:
        async with scene.watching() as informer:
            await scene.let_pass(4)
            assert not informer.synced.is_set()
    assert [(each["event"], each["error"]) for each in logs] == [("can't watch", "secrets is forbidden")]
    assert "`check`" in logs[0]["next"]


async def test_a_single_silent_end_is_nobodys_business(scene: Scene) -> None:
    scene.server.lists = [listing("a")] * 2
    scene.server.watches = [stream(), HELD]
    with structlog.testing.capture_logs() as logs:
        async with scene.watching():
            await scene.let_pass(1)
            await scene.server.until(2, watch=True)
    assert logs == []


async def test_an_event_bigger_than_four_mebibytes_is_taken_in(scene: Scene) -> None:
    scene.server.lists = [listing()]
    scene.server.watches = [stream(event("ADDED", "big", data="x" * (5 * 2**20)), then="hold")]
    async with scene.watching():
        await scene.until("replaced", "changed big")


async def test_an_object_that_the_store_can_not_take_does_not_stop_the_others(scene: Scene) -> None:
    scene.server.lists = [listing()]
    poison = line({"type": "ADDED", "object": {"metadata": {"resourceVersion": "8"}}})
    scene.server.watches = [stream(poison, then="hold"), stream(event("ADDED", "b", "9"), then="hold")]
    async with scene.watching():
        await scene.let_pass(1)
        await scene.until("replaced", "changed b")
    assert scene.server.select(watch=True)[1].query["resourceVersion"] == "8"


class Impatient(KubeClient):
    """A client whose seconds of silence pass three hundred times as fast.

    Attributes:
        silences: the patience that was asked for, watch by watch.
    """

    def __init__(self, url: str) -> None:
        super().__init__(configuration(url))
        self.silences: list[float] = []

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, accept: str, silence: float
    ) -> AsyncIterator[AsyncGenerator[Mapping[str, Any], None]]:
        """Open a watch with less patience than asked for."""
        self.silences.append(silence)
        async with super().stream(path, query=query, accept=accept, silence=silence / 300) as events:
            yield events


async def test_a_half_open_connection_is_noticed_soon_after_the_watch_should_have_ended(
    server: ScriptedServer,
) -> None:
    server.lists = [listing("a", version="7"), listing("b", version="8")]
    server.watches = [stream(then="hold"), HELD]
    async with Impatient(server.url) as client:
        scene = Scene(server, client)
        async with scene.watching():
            await scene.let_pass(1)
            await scene.until("replaced a", "replaced b")
            await server.until(2, watch=True)
        longest = max(int(each.query["timeoutSeconds"]) for each in server.select(watch=True))
        assert longest < client.silences[0] <= 90


async def test_a_server_that_never_answers_a_watch_is_given_up_too(server: ScriptedServer) -> None:
    server.lists = [listing("a")]
    server.watches = [hold, HELD]
    async with Impatient(server.url) as client:
        scene = Scene(server, client)
        async with scene.watching():
            await scene.let_pass(1)
            await server.until(2, watch=True)


async def test_cancelled_it_ends_at_once_and_leaves_nothing(scene: Scene) -> None:
    scene.server.lists = [listing("a")]
    scene.server.watches = [HELD]
    async with scene.watching():
        await scene.server.until(1, watch=True)
    assert thing("a")["metadata"]["name"] in scene.shelf.there


async def test_its_pulse_tells_of_the_first_list_and_of_each_new_beginning(scene: Scene) -> None:
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


async def test_its_pulse_goes_on_for_as_long_as_it_tries(scene: Scene) -> None:
    heartbeat = Heartbeat("things", scene.clock.monotonic)
    scene.server.lists = [refuse(503, "ServiceUnavailable")] * 50
    async with scene.watching(heartbeat=heartbeat):
        for number in range(1, 50):
            await scene.clock.advance(await scene.pause(number))
            assert heartbeat.overdue() < 1


async def test_its_pulse_is_overdue_where_it_does_not_come_back_from_a_request(scene: Scene) -> None:
    heartbeat = Heartbeat("things", scene.clock.monotonic)
    scene.server.lists = [listing("a")]
    scene.server.watches = [hold]
    async with scene.watching(heartbeat=heartbeat):
        await scene.server.until(1, watch=True)
        await scene.clock.advance(130)
        assert heartbeat.overdue() == 70


async def test_events_are_a_sign_of_life_on_a_watch_that_never_ends(scene: Scene) -> None:
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
