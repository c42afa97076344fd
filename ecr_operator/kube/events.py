"""Events: what happened to a resource, for `kubectl describe`.

Emitting never waits and never fails: Events go out one after another in the background, and what
does not fit into the queue is dropped, since the status tells the same; so is what has waited for so long,
while another led perhaps, that it may not be true any more.
"""

import asyncio
import itertools
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from ecr_operator.control.ports import Clock
from ecr_operator.kube import paths
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.failures import NOT_LEADING, ApiError
from ecr_operator.model.manifests import MANAGER
from ecr_operator.model.outcome import Outcome
from ecr_operator.model.parsing import Resource
from ecr_operator.model.resources import API_VERSION

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
        self._recent: dict[str, deque[tuple[float, str]]] = {}

    def emit(self, resource: Resource, outcome: Outcome) -> None:
        """Queue an Event about an outcome, unless it says again what was said lately, or is one too many."""
        if not self._is_worth(resource.uid, f"{outcome.reason} {outcome.message}"):
            return
        event = event_of(resource, outcome, self._clock.now(), self._instance, next(self._numbers))
        try:
            self._waiting.put_nowait((self._clock.monotonic(), resource.key.namespace, event))
        except asyncio.QueueFull:
            log.debug("event dropped", reason=outcome.reason)

    def _is_worth(self, uid: str, said: str) -> bool:
        now = self._clock.monotonic()
        if len(self._recent) > _MOST_REMEMBERED:
            self._recent = {key: said for key, said in self._recent.items() if said[-1][0] > now - _WINDOW}
        recent = self._recent.setdefault(uid, deque(maxlen=_MOST_IN_WINDOW))
        lately = [(at, what) for at, what in recent if at > now - _WINDOW]
        if len(lately) >= _MOST_IN_WINDOW or any(what == said for _, what in lately):
            return False
        recent.append((now, said))
        return True

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            since, namespace, event = await self._waiting.get()
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
