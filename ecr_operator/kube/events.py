"""Events: what happened to a resource, for `kubectl describe`.

Emitting never waits and never fails: Events go out one after another in the background, and what
does not fit into the queue is dropped, since the status tells the same.
"""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from ecr_operator.control.ports import Clock
from ecr_operator.kube import paths
from ecr_operator.kube.client import ApiError, KubeClient
from ecr_operator.model.manifests import MANAGER
from ecr_operator.model.outcome import Outcome
from ecr_operator.model.resources import API_VERSION, Resource

_MOST_WAITING: Final = 1000
_LONGEST_NOTE: Final = 1000

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
        self._waiting: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(_MOST_WAITING)
        self._numbers = itertools.count(1)
        self._told = False

    def emit(self, resource: Resource, outcome: Outcome) -> None:
        """Queue an Event about an outcome."""
        event = event_of(resource, outcome, self._clock.now(), self._instance, next(self._numbers))
        try:
            self._waiting.put_nowait((resource.key.namespace, event))
        except asyncio.QueueFull:
            log.debug("event dropped", reason=outcome.reason)

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            namespace, event = await self._waiting.get()
            try:
                await self._client.request("POST", paths.events(namespace), body=event)
            except ApiError as failure:
                self._tell_once(failure)

    def _tell_once(self, failure: ApiError) -> None:
        level = log.debug if self._told else log.warning
        self._told = True
        level("Events can't be written; the status tells the same", error=failure.message)


def event_of(
    resource: Resource, outcome: Outcome, now: datetime, instance: str, number: int
) -> dict[str, Any]:
    """The Event for an outcome, in the form of events.k8s.io/v1."""
    key = resource.key
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{key.name[:200]}.{int(now.timestamp() * 1e6):x}.{number:x}",
            "namespace": key.namespace,
        },
        "eventTime": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "reportingController": MANAGER,
        "reportingInstance": instance,
        "action": "Refresh",
        "reason": str(outcome.reason),
        "type": "Normal" if outcome.succeeded else "Warning",
        "note": outcome.message[:_LONGEST_NOTE],
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "uid": resource.uid,
        },
    }
