"""List-watch of one collection.

Guarantees:
- a list first, then a watch from its version; another list only when the server has forgotten that
  version (410), when the versions can't be trusted (a watch that ended in silence), never in a hot loop;
- a dead connection is noticed within `_SILENCE` seconds, since each watch ends and says so sooner;
- pages of a list and events are of bounded size, and others have their turn between objects;
- every failure is survived: waited out with backoff, told once, and told again when it is over.
"""

import asyncio
import random
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar

import structlog

from ecr_operator.core.ports import Clock
from ecr_operator.kube.client import JSON, METADATA, METADATA_LIST, KubeClient
from ecr_operator.kube.failures import TOO_LARGE, ApiError
from ecr_operator.kube.pages import PageSize
from ecr_operator.telemetry.probes import Heartbeat

# Bookmarks come before a watch's end at the latest; so silence beyond the end is a dead connection.
_SHORTEST_WATCH: Final = 40
_LONGEST_WATCH: Final = 55
_SILENCE: Final = 60.0
_LIST_LIMIT: Final = 60.0
# How long objects are taken in at a stretch.
_STRETCH: Final = 0.005
# A server or proxy that ends each watch at once is not asked more often.
_SHORTEST_ROUND: Final = 1.0
_BACKOFF_BASE: Final = 0.2
_BACKOFF_CAP: Final = 5.0
_WHEN_FORBIDDEN: Final = "grant it; the command `check` tells of all rights that are missing"

log = structlog.get_logger(__name__)


Kept = TypeVar("Kept")


class Store(Protocol[Kept]):
    """Takes in what the informer sees."""

    def read(self, raw: Mapping[str, Any]) -> Kept:
        """Make of an object in a list what is kept of it."""
        ...

    def replaced(self, listed: Sequence[Kept]) -> None:
        """Everything there is, as `read`; what is not in it is gone."""
        ...

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        ...

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone."""
        ...


class Informer:
    """Keeps a store up to date with a collection.

    Args:
        client: the API server.
        path: of the collection.
        store: where objects go.
        clock: for waiting.
        label_selector: limits the collection.
        metadata_only: ask for metadata, so that the rest never enters memory.
        when_missing: what a user does if the server knows no such collection.
        heartbeat: where the informer shows that it goes on.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        client: KubeClient,
        path: str,
        store: Store[Any],
        clock: Clock,
        *,
        label_selector: str | None = None,
        metadata_only: bool = False,
        when_missing: str = "",
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._client = client
        self._path = path
        self._store = store
        self._clock = clock
        self._selector = [("labelSelector", label_selector)] if label_selector else []
        self._accepts = (METADATA_LIST, METADATA) if metadata_only else (JSON, JSON)
        self._when_missing = when_missing
        self._heartbeat = heartbeat or Heartbeat()
        self._version: str | None = None
        self._failures = 0
        self._told: tuple[int, str] | None = None
        self._stretch_since = 0.0
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
            except ApiError as failure:
                await self._wait_out(failure)
            except Exception as error:  # noqa: BLE001 - no answer whatever may end the operator
                await self._wait_out(
                    ApiError(0, "NotAnObject", f"the server sent what is no object ({error!r:.60})")
                )

    async def _list(self) -> None:
        found: list[Any] = []
        token, size = "", PageSize()
        while True:
            page = await self._page(token, size)
            # Read page by page: of a long list, one page at most is in memory as it came.
            for raw in page.get("items") or ():
                found.append(self._store.read(raw))
                await self._let_others()
            token = page["metadata"].get("continue") or ""
            if not token:
                break
        version = page["metadata"]["resourceVersion"]
        self._store.replaced(found)
        self._version = version
        self._synced()
        self._tell_recovery()

    async def _page(self, token: str, size: PageSize) -> Mapping[str, Any]:
        """One page, asked for again with fewer objects while it is too large."""
        while True:
            self._heartbeat.beat(_LIST_LIMIT)
            try:
                page, read = await self._client.page(
                    self._path,
                    query=self._list_query(token, size.objects),
                    accept=self._accepts[0],
                    limit=_LIST_LIMIT,
                    most_bytes=size.most_bytes,
                )
            except ApiError as failure:
                if failure.reason != TOO_LARGE or not size.shrink():
                    raise
            else:
                size.read(read)
                return page

    async def _let_others(self) -> None:
        """Give all other tasks a turn, once objects have been taken in for some milliseconds."""
        if self._clock.monotonic() - self._stretch_since >= _STRETCH:
            await asyncio.sleep(0)
            self._stretch_since = self._clock.monotonic()

    def _synced(self) -> None:
        self.synced.set()
        self._heartbeat.synced = True

    async def _watch(self) -> None:
        """One watch, to its end."""
        self._heartbeat.beat(_SILENCE)
        heard, begun = False, self._clock.monotonic()
        async with (
            self._client.stream(
                self._path, query=self._watch_query(), accept=self._accepts[1], silence=_SILENCE
            ) as events,
            aclosing(events),
        ):
            async for event in events:
                self._take_in(event)
                self._heartbeat.beat(_SILENCE)
                heard = True
                # Only now: a list that works before a watch that fails must not reset the backoff.
                self._failures = 0
                self._tell_recovery()
                await self._let_others()
        lasted = self._clock.monotonic() - begun
        if not heard and lasted < _SHORTEST_WATCH / 2:
            # No server ends a watch so soon without a word, but a proxy may, or one whose etcd is older
            # than our version: nothing that we know can be trusted, and asking at once would be a hot loop.
            # A watch that was quiet to its end is another thing: bookmarks are no promise.
            self._version = None
            raise ApiError(0, "SilentWatch", "the watch ended without a word")
        self._failures = 0
        await self._clock.sleep(max(_SHORTEST_ROUND - lasted, 0.0))

    def _take_in(self, event: Mapping[str, Any]) -> None:
        kind, raw = event.get("type"), event.get("object")
        if not isinstance(raw, Mapping):
            raise ApiError(0, "NotAnEvent", "the watch sent something that is no event")
        if kind == "ERROR":
            raise _failure_in(raw)
        version = raw["metadata"]["resourceVersion"]
        if self._version and int(version) < int(self._version):
            raise ApiError(HTTPStatus.GONE, "Backwards", "versions went back: an older etcd was restored")
        self._version = version
        if kind in ("ADDED", "MODIFIED"):
            self._store.changed(raw)
        elif kind == "DELETED":
            self._store.deleted(raw)

    def _list_query(self, token: str, objects: int) -> list[tuple[str, str]]:
        return [*self._selector, ("limit", str(objects)), *([("continue", token)] if token else [])]

    def _watch_query(self) -> list[tuple[str, str]]:
        seconds = _SHORTEST_WATCH + secrets.randbelow(_LONGEST_WATCH - _SHORTEST_WATCH)
        return [
            *self._selector,
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version or ""),
            ("timeoutSeconds", str(seconds)),
        ]

    async def _wait_out(self, failure: ApiError) -> None:
        if failure.code == HTTPStatus.GONE or failure.reason in ("Refused", "Cut", TOO_LARGE):
            # A server that was away may come back with an older etcd, and versions that have passed ours by
            # the time that we ask: nothing would tell what was undone. So one list whenever it was lost.
            self._version = None
        if failure.code == HTTPStatus.NOT_FOUND:
            # The collection itself is gone, and all that was in it.
            self._version = None
            self._store.replaced(())
            self._synced()
        self._tell(failure)
        self._failures += 1
        ceiling = min(_BACKOFF_CAP, _BACKOFF_BASE * 2.0 ** min(self._failures, 20))
        delay = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
        delay = max(delay, min(failure.retry_after or 0.0, 60.0))
        self._heartbeat.restarts(delay)
        await self._clock.sleep(delay)

    def _tell(self, failure: ApiError) -> None:
        told = (failure.code, failure.reason)
        if told == self._told or (failure.reason == "SilentWatch" and self._failures == 0):
            return
        self._told = told
        hint = {404: self._when_missing, 403: _WHEN_FORBIDDEN}.get(failure.code)
        log.warning(
            "can't watch",
            path=self._path,
            error=failure.message,
            **({"next": hint} if hint else {}),
        )

    def _tell_recovery(self) -> None:
        if self._told:
            log.info("watching again", path=self._path)
        self._told = None


def _failure_in(status: Mapping[str, Any]) -> ApiError:
    code = status.get("code")
    details = status.get("details")
    seconds = details.get("retryAfterSeconds") if isinstance(details, Mapping) else None
    return ApiError(
        code if isinstance(code, int) else 0,
        str(status.get("reason") or "WatchError"),
        "the watch ended with an error",
        float(seconds) if isinstance(seconds, int) else None,
    )
