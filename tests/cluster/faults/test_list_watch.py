"""List-watch survives every answer, and sees afterwards what it missed."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from lab.fault_proxy import ERROR_410, HTML, FaultProxy
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.concurrent import waits
from tests.cluster.faults import meanwhile
from tests.cluster.scene import QUIET, Scene

COLLECTIONS = 3
COLLECTION = r"/(secrets|argohelmreposecrets)$"
# The longest pause between two attempts, and what a busy machine adds.
RECOVERED = 5.0 + 5.0
WINDOW = 2.5
# By the backoff: at once, then after 0.2, 0.6 and 1.4 s at the earliest, and a list with each.
MOST_IN_WINDOW = 8

Break = Callable[[FaultProxy], object]


def _cut_and(spoil: Break) -> Break:
    def begin(proxy: FaultProxy) -> None:
        spoil(proxy)
        proxy.cut()

    return begin


def _ended(last: bytes, spoil: Break) -> Break:
    def begin(proxy: FaultProxy) -> None:
        spoil(proxy)
        assert proxy.end_watches(last) == COLLECTIONS

    return begin


def _no_way_back(proxy: FaultProxy) -> None:
    proxy.hang(verb="list")
    proxy.hang(verb="watch")


def _once_each(**answer: object) -> Break:
    """One bad answer for each collection's watch, and lists that have to wait."""

    def spoil(proxy: FaultProxy) -> None:
        proxy.answer(**answer, verb="watch", times=COLLECTIONS)  # type: ignore[arg-type]
        proxy.hang(verb="list")

    return spoil


def _list_says(status: int, body: bytes | None = None) -> Break:
    return lambda proxy: proxy.answer(status, body=body, verb="list")


def _all_say(status: int, body: bytes | None = None) -> Break:
    return lambda proxy: proxy.answer(status, body=body, path=COLLECTION)


HALF_A_LINE = b'{"type":"MODIFIED","object":{"metadata":{"name":"ed'
FAULTS: Mapping[str, Break] = {
    "410": _cut_and(_once_each(status=410)),
    "410-as-an-event": _ended(ERROR_410, _no_way_back),
    "410-and-500-on-the-list": _ended(ERROR_410, _list_says(500)),
    "500": _cut_and(_all_say(500)),
    "403": _cut_and(_all_say(403)),
    "html-with-502": _cut_and(_all_say(502, HTML)),
    "half-a-line": _ended(HALF_A_LINE, _no_way_back),
    "an-empty-200": _cut_and(_once_each(status=200, body=b"")),
    "a-reset-connection": _cut_and(lambda proxy: proxy.drop(path=COLLECTION)),
}
# First a cut, then an answer by which the version is no longer valid.
TWO_FAULTS = ("410", "an-empty-200")


@pytest.mark.parametrize("name", FAULTS)
async def test_list_watch_survives_with_one_list_for_each_fault_at_most(scene: Scene, name: str) -> None:
    async with _behind_proxy(scene) as (proxy, operator, since):
        FAULTS[name](proxy)
        await meanwhile.change_everything(scene)
        await asyncio.sleep(WINDOW)
        assert _most_asked(proxy, since) <= MOST_IN_WINDOW
        await meanwhile.nothing_is_done_yet(scene)
        proxy.clear()
        await meanwhile.all_is_right(scene, RECOVERED)
        await asyncio.sleep(QUIET)
        assert await scene.find_secret("doomed-login") is None
        assert operator.running
        assert max(_relists(proxy, since).values(), default=0) <= 1 + (name in TWO_FAULTS)


@asynccontextmanager
async def _behind_proxy(scene: Scene) -> AsyncIterator[tuple[FaultProxy, OperatorProcess, float]]:
    """Run an operator behind a proxy until all is done and watched; yield both and the time."""
    await meanwhile.create_before(scene)
    async with FaultProxy(scene.kubeconfig) as proxy:
        scene.kubeconfig = proxy.kubeconfig
        async with scene.operator() as operator:
            await scene.ready(*meanwhile.NAMES, within=30)
            await wait_for(lambda: proxy.open_watches == COLLECTIONS, 20, "the watches")
            yield proxy, operator, time.monotonic()


def _most_asked(proxy: FaultProxy, since: float) -> int:
    """The requests for the collection that was asked for most."""
    asked = proxy.asked(since, verb="watch") + proxy.asked(since, verb="list")
    return max(Counter(each.path for each in asked).values())


def _relists(proxy: FaultProxy, since: float) -> Counter[str]:
    """Lists that were answered, by collection."""
    return Counter(each.path for each in proxy.asked(since, verb="list") if each.fault in ("", "hang"))


@waits
async def test_a_half_open_connection_is_noticed_within_65_seconds(scene: Scene) -> None:
    async with _behind_proxy(scene) as (proxy, _, since):
        proxy.go_half_open()
        await meanwhile.change_everything(scene)

        def noticed() -> bool:
            return len({each.path for each in proxy.asked(since, path=COLLECTION)}) == COLLECTIONS

        await wait_for(noticed, 65, "every collection asked for anew")
        await meanwhile.nothing_is_done_yet(scene)
        proxy.clear()
        await meanwhile.all_is_right(scene, RECOVERED)
        assert max(_relists(proxy, since).values(), default=0) <= 1
