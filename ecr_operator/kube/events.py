"""Events: what happened to a resource, for `kubectl describe`.

Emitting never waits and never fails: Events go out one after another in the background. One is dropped if
the queue, or its namespace's share of it, is full; and if it has waited so long, perhaps while another led,
that it may no longer be true. The status has the same text.
"""

import asyncio
import itertools
from collections import Counter, OrderedDict, deque
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import API_VERSION
from ecr_operator.api.outcome import Outcome
from ecr_operator.core.manifest import MANAGER
from ecr_operator.core.ports import Clock
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import NOT_LEADING, ApiError
from ecr_operator.kube.client import KubeClient

_MAX_QUEUED: Final = 1000
_MAX_AGE: Final = 300.0  # seconds in the queue
_MAX_NOTE: Final = 1000  # bytes; the API server takes 1,024
_MAX_INSTANCE: Final = 128
# Of one resource: so many in so many seconds, and none twice.
_WINDOW: Final = 60.0
_MAX_IN_WINDOW: Final = 4
_MAX_REMEMBERED: Final = 1000

log = structlog.get_logger(__name__)


class KubeEvents:
    """Events on the API server; implements `core.ports.EventSink`.

    Args:
        instance: this process, as `reportingInstance`.
    """

    def __init__(self, client: KubeClient, clock: Clock, instance: str) -> None:
        self._client = client
        self._clock = clock
        self._instance = instance
        self._queue: asyncio.Queue[tuple[float, str, dict[str, Any]]] = asyncio.Queue(_MAX_QUEUED)
        self._queued_of: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._has_warned = False
        # By uid, when and what: a hash, as texts may be long. The latest is last.
        self._recent: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def emit(self, resource: Resource, outcome: Outcome) -> None:
        """Queue an Event about an outcome, unless it repeats a recent one, or is one too many."""
        if not self._admit(resource.uid, hash((outcome.reason, outcome.message))):
            return
        event = event_of(resource, outcome, self._clock.now(), self._instance, next(self._numbers))
        namespace = event["metadata"]["namespace"]
        # A share that leaves room for one namespace more than there are.
        share = _MAX_QUEUED // (len(self._queued_of) + 1)
        if self._queue.full() or self._queued_of[namespace] >= share:
            log.debug("event dropped", reason=outcome.reason)
            return
        self._queued_of[namespace] += 1
        self._queue.put_nowait((self._clock.monotonic(), namespace, event))

    def _admit(self, uid: str, content: int) -> bool:
        now = self._clock.monotonic()
        recent = self._recent.get(uid) or deque(maxlen=_MAX_IN_WINDOW)
        in_window = [seen for at, seen in recent if at > now - _WINDOW]
        if len(in_window) >= _MAX_IN_WINDOW or content in in_window:
            return False
        recent.append((now, content))
        self._recent[uid] = recent
        self._recent.move_to_end(uid)
        while len(self._recent) > _MAX_REMEMBERED or self._oldest() <= now - _WINDOW:
            self._recent.popitem(last=False)
        return True

    def _oldest(self) -> float:
        return next(iter(self._recent.values()))[-1][0]

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            since, namespace, event = await self._queue.get()
            self._queued_of[namespace] -= 1
            if not self._queued_of[namespace]:
                del self._queued_of[namespace]
            try:
                if self._clock.monotonic() - since < _MAX_AGE:
                    await self._client.request("POST", paths.events(namespace), body=event)
            except ApiError as error:
                if error.reason != NOT_LEADING:
                    self._warn_once(error.message)
            except Exception as error:  # noqa: BLE001 - no Event may end the operator
                self._warn_once(type(error).__name__)
            finally:
                self._queue.task_done()

    async def all_sent(self) -> None:
        """Wait until the queue is empty and its last Event sent."""
        await self._queue.join()

    def _warn_once(self, why: str) -> None:
        level = log.debug if self._has_warned else log.warning
        self._has_warned = True
        level("Events can't be written; the status has the same text", error=why)


def event_of(
    resource: Resource, outcome: Outcome, now: datetime, instance: str, number: int
) -> dict[str, Any]:
    """The Event for an outcome, in the form of events.k8s.io/v1."""
    key = resource.key
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{key.name[:200].rstrip('-.')}.{int(now.timestamp() * 1e6):x}.{number:x}",
            # The API server takes Events of objects without a namespace there only.
            "namespace": key.namespace or "default",
        },
        "eventTime": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "reportingController": MANAGER,
        "reportingInstance": instance[:_MAX_INSTANCE],
        "action": "Refresh",
        "reason": str(outcome.reason),
        "type": "Warning" if outcome.is_failure else "Normal",
        "note": outcome.message.encode()[:_MAX_NOTE].decode(errors="ignore"),
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            **({"namespace": key.namespace} if key.namespace else {}),
            "name": key.name,
            "uid": resource.uid,
        },
    }
