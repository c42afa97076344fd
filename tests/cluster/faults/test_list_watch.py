"""List-watch survives every answer, and sees afterwards what it missed."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from lab.fault_proxy import ERROR_410, FaultProxy
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.concurrent import waits
from tests.cluster.faults import meanwhile
from tests.cluster.scene import QUIET, Scene

COLLECTIONS = 3
COLLECTION = r"/(secrets|argohelmreposecrets)$"
# The longest pause between two attempts, and what a busy machine adds.
RECOVERED = 5.0 + 15.0
WINDOW = 2.5

Break = Callable[[FaultProxy], object]


def _end_by_410(proxy: FaultProxy) -> None:
    proxy.hang(verb="list")
    proxy.hang(verb="watch")
    assert proxy.end_watches(ERROR_410) == COLLECTIONS


def _fail(proxy: FaultProxy) -> None:
    proxy.answer(500, path=COLLECTION)
    proxy.cut()


def _reset(proxy: FaultProxy) -> None:
    proxy.drop(path=COLLECTION)
    proxy.cut()


# One of each kind: what else may be answered, `tests/kube/test_informer.py` has.
FAULTS: Mapping[str, Break] = {"a 410": _end_by_410, "a 500": _fail, "a reset connection": _reset}


@pytest.mark.parametrize("name", FAULTS)
async def test_list_watch_survives_with_one_list_for_each_fault_at_most(scene: Scene, name: str) -> None:
    async with _behind_proxy(scene) as (proxy, operator, since):
        FAULTS[name](proxy)
        await meanwhile.change_everything(scene)
        await asyncio.sleep(WINDOW)
        assert _most_asked(proxy, since) <= _allowed(time.monotonic() - since)
        await meanwhile.nothing_is_done_yet(scene)
        proxy.clear()
        await meanwhile.all_is_right(scene, RECOVERED)
        await asyncio.sleep(QUIET)
        assert await scene.find_secret("doomed-login") is None
        assert operator.running
        assert max(_relists(proxy, since).values(), default=0) <= 1


@asynccontextmanager
async def _behind_proxy(scene: Scene) -> AsyncIterator[tuple[FaultProxy, OperatorProcess, float]]:
    """Run an operator behind a proxy until all is done and watched; yield both and the time."""
    await meanwhile.create_before(scene)
    async with FaultProxy(scene.kubeconfig) as proxy:
        scene.kubeconfig = proxy.kubeconfig
        async with scene.operator() as operator:
            await scene.ready(*meanwhile.NAMES)
            await wait_for(lambda: proxy.open_watches == COLLECTIONS, what="the watches")
            yield proxy, operator, time.monotonic()


def _allowed(seconds: float) -> int:
    """By the backoff: at once, then after 0.2, 0.6, 1.4 s and so on at the earliest, and a list with each."""
    return 2 * (1 + int(math.log2(1 + seconds / 0.2)))


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
