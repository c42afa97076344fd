"""List-watch of one collection.

Guarantees:
- a list first, then a watch from its version; another list only when the server has dropped that version
  (410), when versions can't be trusted (after a lost connection, or a watch that soon ended in silence), or
  after an event that is too large, and never in a hot loop;
- a dead connection is noticed within `_SILENCE` seconds, since each watch ends sooner;
- pages of a list and events are of bounded size, and other tasks run between objects;
- every failure is survived: retried with backoff, logged once, and logged again when it is over.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar

import structlog

from ecr_operator.api.text import mapping_in
from ecr_operator.core.ports import Clock
from ecr_operator.kube.api_error import TOO_LARGE, ApiError
from ecr_operator.kube.client import JSON, METADATA, METADATA_LIST, KubeClient
from ecr_operator.kube.response import LARGEST_OBJECT
from ecr_operator.telemetry.probes import Heartbeat

# Bookmarks come before a watch's end at the latest; so silence beyond the end is a dead connection.
_MIN_WATCH: Final = 40
_MAX_WATCH: Final = 55
_SILENCE: Final = 60.0
_LIST_TIMEOUT: Final = 60.0
# How long objects are processed before other tasks run.
_TIME_SLICE: Final = 0.005
# A server or proxy that ends each watch at once is not asked more often.
_MIN_ROUND: Final = 1.0
_BACKOFF_BASE: Final = 0.2
_BACKOFF_CAP: Final = 5.0
_MAX_RETRY_AFTER: Final = 60.0
_WHEN_FORBIDDEN: Final = "grant it; the command `check` lists all missing rights"

_FIRST_PAGE: Final = 20
_MAX_PAGE: Final = 500
_PAGE_GROWTH: Final = 5
_PAGE_SHRINKING: Final = 4
_TARGET_BYTES: Final = 2**20
_MAX_BYTES: Final = 4 * _TARGET_BYTES

log = structlog.get_logger(__name__)

Kept = TypeVar("Kept")


class Store(Protocol[Kept]):
    """Receives what the informer sees."""

    def read(self, raw: Mapping[str, Any]) -> Kept:
        """Make of an object in a list what is kept of it."""
        ...

    def replaced(self, listed: Sequence[Kept]) -> None:
        """Everything there is, as `read`; what is not in it was deleted."""
        ...

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object was added or modified."""
        ...

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object was deleted."""
        ...


class PageSize:
    """The number of objects on the next page of a list.

    The API server bounds a page by its number of objects alone, and one object may have some MiB.

    Attributes:
        objects: at most so many, for the query's `limit`.
    """

    def __init__(self) -> None:
        self.objects = _FIRST_PAGE

    @property
    def max_bytes(self) -> int:
        """Bytes after which the next page is not read on."""
        return LARGEST_OBJECT if self.objects == 1 else _MAX_BYTES

    def adapt(self, size: int) -> None:
        """Note that a page had that many bytes; the next is to have about 1 MiB."""
        fitting = self.objects * _TARGET_BYTES // max(size, 1)
        self.objects = max(1, min(fitting, self.objects * _PAGE_GROWTH, _MAX_PAGE))

    def shrink(self) -> bool:
        """Ask for the same page again with fewer objects; False if it had no more than one."""
        if self.objects == 1:
            return False
        self.objects = max(self.objects // _PAGE_SHRINKING, 1)
        return True


class Informer:
    """Keeps a store up to date with a collection.

    Args:
        metadata_only: ask for metadata, so that the rest never enters memory.
        when_missing: what a user does if the server knows no such collection.
        heartbeat: where the informer shows that it goes on.

    Attributes:
        synced: set when the store has seen everything once.
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
        self._hints: dict[int, str] = {404: when_missing, 403: _WHEN_FORBIDDEN}
        self._heartbeat = heartbeat or Heartbeat()
        self._version: str | None = None
        self._failures = 0
        self._reported: tuple[int, str] | None = None
        self._slice_began = 0.0
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
            except ApiError as error:
                await self._back_off(error)
            except Exception as error:  # noqa: BLE001 - no answer whatever may end the operator
                message = f"the server sent something that is not an object ({error!r:.60})"
                await self._back_off(ApiError(0, "NotAnObject", message))

    async def _list(self) -> None:
        found: list[Any] = []
        token, size = "", PageSize()
        while True:
            page = await self._page(token, size)
            # Read page by page: of a long list, one page at most is in memory as it came.
            for raw in page.get("items") or ():
                found.append(self._store.read(raw))
                await self._yield()
            token = page["metadata"].get("continue") or ""
            if not token:
                break
        version = page["metadata"]["resourceVersion"]
        self._replace(found)
        self._version = version

    async def _page(self, token: str, size: PageSize) -> Mapping[str, Any]:
        """One page, asked for again with fewer objects while it is too large."""
        proceed = [("continue", token)] if token else []
        while True:
            self._heartbeat.beat(_LIST_TIMEOUT)
            try:
                page, read = await self._client.page(
                    self._path,
                    query=[*self._selector, ("limit", str(size.objects)), *proceed],
                    accept=self._accepts[0],
                    seconds=_LIST_TIMEOUT,
                    max_bytes=size.max_bytes,
                )
            except ApiError as error:
                if error.reason != TOO_LARGE or not size.shrink():
                    raise
            else:
                size.adapt(read)
                return page

    async def _yield(self) -> None:
        """Let all other tasks run, once objects have been processed for some milliseconds."""
        if self._clock.monotonic() - self._slice_began >= _TIME_SLICE:
            await asyncio.sleep(0)
            self._slice_began = self._clock.monotonic()

    def _replace(self, found: Sequence[Any]) -> None:
        self._store.replaced(found)
        self.synced.set()
        self._heartbeat.synced = True

    async def _watch(self) -> None:
        """One watch, to its end."""
        self._heartbeat.beat(_SILENCE)
        heard, begun = False, self._clock.monotonic()
        watch = self._client.stream(
            self._path, query=self._watch_query(), accept=self._accepts[1], silence=_SILENCE
        )
        async with watch as events, aclosing(events), self._recovering():
            async for event in events:
                self._process(event)
                self._heartbeat.beat(_SILENCE)
                heard = True
                # Only now: a list that works before a watch that fails must not reset the backoff.
                self._failures = 0
                self._report_recovery()
                await self._yield()
        lasted = self._clock.monotonic() - begun
        if not heard and lasted < _MIN_WATCH / 2:
            # No server ends a watch so soon in silence, but a proxy may, or a server whose etcd is older than
            # our version: nothing that we know can be trusted, and asking at once would be a hot loop. A
            # watch that was quiet to its end differs: bookmarks are no promise.
            self._version = None
            raise ApiError(0, "SilentWatch", "the watch ended in silence")
        self._failures = 0
        await self._clock.sleep(max(_MIN_ROUND - lasted, 0.0))

    @asynccontextmanager
    async def _recovering(self) -> AsyncIterator[None]:
        """Report that a failure is over once a watch does not end too soon, though nothing happens."""

        async def report() -> None:
            await self._clock.sleep(_MIN_WATCH / 2)
            self._report_recovery()

        reporting = asyncio.create_task(report()) if self._reported else None
        try:
            yield
        finally:
            if reporting:
                reporting.cancel()

    def _watch_query(self) -> list[tuple[str, str]]:
        seconds = _MIN_WATCH + secrets.randbelow(_MAX_WATCH - _MIN_WATCH)
        return [
            *self._selector,
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version or ""),
            ("timeoutSeconds", str(seconds)),
        ]

    def _process(self, event: Mapping[str, Any]) -> None:
        kind, raw = event.get("type"), event.get("object")
        if not isinstance(raw, Mapping):
            raise ApiError(0, "NotAnEvent", "the watch sent something that is not an event")
        if kind == "ERROR":
            raise _error_of(raw)
        version = raw["metadata"]["resourceVersion"]
        if self._version and int(version) < int(self._version):
            raise ApiError(HTTPStatus.GONE, "Backwards", "versions went back: an older etcd was restored")
        self._version = version
        if kind in ("ADDED", "MODIFIED"):
            self._store.changed(raw)
        elif kind == "DELETED":
            self._store.deleted(raw)

    async def _back_off(self, error: ApiError) -> None:
        if error.code == HTTPStatus.GONE or error.reason in ("Refused", "Cut", TOO_LARGE):
            # A server that was away may come back with an older etcd, and with versions that have passed ours
            # when we ask: nothing would show what was undone. So one list after each interruption.
            self._version = None
        if error.is_not_found:
            # The collection itself is gone, and everything in it.
            self._version = None
            self._replace(())
        self._report(error)
        self._failures += 1
        ceiling = min(_BACKOFF_CAP, _BACKOFF_BASE * 2.0 ** min(self._failures, 20))
        delay = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
        delay = max(delay, min(error.retry_after or 0.0, _MAX_RETRY_AFTER))
        self._heartbeat.restarts(delay)
        await self._clock.sleep(delay)

    def _report(self, error: ApiError) -> None:
        kind = (error.code, error.reason)
        if kind == self._reported or (error.reason == "SilentWatch" and self._failures == 0):
            return
        self._reported = kind
        hint = self._hints.get(error.code)
        log.warning("can't watch", path=self._path, error=error.message, **({"next": hint} if hint else {}))

    def _report_recovery(self) -> None:
        if self._reported:
            log.info("watching again", path=self._path)
        self._reported = None


def _error_of(status: Mapping[str, Any]) -> ApiError:
    code, seconds = status.get("code"), mapping_in(status, "details").get("retryAfterSeconds")
    return ApiError(
        code if isinstance(code, int) else 0,
        str(status.get("reason") or "WatchError"),
        "the watch ended with an error",
        float(seconds) if isinstance(seconds, int) else None,
    )
