"""Events: what happened to a resource, for `kubectl describe`.

Emitting never waits and never fails: Events go out one after another in the background, and what
does not fit into the queue, or into the share of its namespace, is dropped, since the status tells the same;
so is what has waited for so long, while another led perhaps, that it may not be true any more.
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
from ecr_operator.core.ports import Clock
from ecr_operator.core.secret import MANAGER
from ecr_operator.kube import paths
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.failures import NOT_LEADING, ApiError

_MOST_WAITING: Final = 1000
_LONGEST_NOTE: Final = 1000  # bytes; the API server takes 1,024
_LONGEST_INSTANCE: Final = 128
_WINDOW: Final = 60.0
_MOST_IN_WINDOW: Final = 4
_MOST_REMEMBERED: Final = 1000
_LONGEST_WAIT: Final = 300.0  # seconds

log = structlog.get_logger(__name__)


class KubeEvents:
    """Events on the API server; fulfils `control.ports.EventSink`.

    Args:
        client: the API server.
        clock: gives the time of an Event.
        instance: this process, as `reportingInstance`.
    """

    def __init__(self, client: KubeClient, clock: Clock, instance: str) -> None:
        self._client = client
        self._clock = clock
        self._instance = instance
        self._waiting: asyncio.Queue[tuple[float, str, dict[str, Any]]] = asyncio.Queue(_MOST_WAITING)
        self._numbers = itertools.count(1)
        self._told = False
        self._waiting_of: Counter[str] = Counter()
        # By uid, what was told when: a hash, as texts may be long. The one told last is last.
        self._recent: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def emit(self, resource: Resource, outcome: Outcome) -> None:
        """Queue an Event about an outcome, unless it says again what was said lately, or is one too many."""
        namespace = resource.key.namespace
        if not self._is_worth(resource.uid, hash((outcome.reason, outcome.message))):
            return
        event = event_of(resource, outcome, self._clock.now(), self._instance, next(self._numbers))
        # A share that leaves room for one namespace more than there are.
        share = _MOST_WAITING // (len(self._waiting_of) + 1)
        if self._waiting.full() or self._waiting_of[namespace] >= share:
            log.debug("event dropped", reason=outcome.reason)
            return
        self._waiting_of[namespace] += 1
        self._waiting.put_nowait((self._clock.monotonic(), namespace, event))

    def _is_worth(self, uid: str, said: int) -> bool:
        now = self._clock.monotonic()
        recent = self._recent.get(uid) or deque(maxlen=_MOST_IN_WINDOW)
        lately = [(at, what) for at, what in recent if at > now - _WINDOW]
        if len(lately) >= _MOST_IN_WINDOW or any(what == said for _, what in lately):
            return False
        recent.append((now, said))
        self._recent[uid] = recent
        self._recent.move_to_end(uid)
        self._forget_old(now)
        return True

    def _forget_old(self, now: float) -> None:
        while len(self._recent) > _MOST_REMEMBERED or self._oldest() <= now - _WINDOW:
            self._recent.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._recent.values()))[-1][0]

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            since, namespace, event = await self._waiting.get()
            self._waiting_of[namespace] -= 1
            if not self._waiting_of[namespace]:
                del self._waiting_of[namespace]
            try:
                if self._clock.monotonic() - since < _LONGEST_WAIT:
                    await self._client.request("POST", paths.events(namespace), body=event)
            except ApiError as failure:
                if failure.reason != NOT_LEADING:
                    self._tell_once(failure.message)
            except Exception as error:  # noqa: BLE001 - an Event is not worth the operator's life
                self._tell_once(type(error).__name__)
            finally:
                self._waiting.task_done()

    async def all_sent(self) -> None:
        """Wait until nothing is queued any more."""
        await self._waiting.join()

    def _tell_once(self, why: str) -> None:
        level = log.debug if self._told else log.warning
        self._told = True
        level("Events can't be written; the status tells the same", error=why)


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
            "namespace": key.namespace,
        },
        "eventTime": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "reportingController": MANAGER,
        "reportingInstance": instance[:_LONGEST_INSTANCE],
        "action": "Refresh",
        "reason": str(outcome.reason),
        "type": "Warning" if outcome.is_failure else "Normal",
        "note": outcome.message.encode()[:_LONGEST_NOTE].decode(errors="ignore"),
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "uid": resource.uid,
        },
    }
