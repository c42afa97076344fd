"""The metrics of what refreshes come to: one rendering of the Outcome.

Invariant: nothing is kept of a resource that is gone.
"""

from collections import Counter

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.core.ports import Clock
from ecr_operator.core.result import Result
from ecr_operator.core.schedule import refresh_deadline
from ecr_operator.telemetry.metrics import Metrics


class RefreshMetrics:
    """Counts the ends of refreshes, and knows which resources fail at present.

    Args:
        metrics: where is counted.
        clock: tells how late a token was replaced.
    """

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._failing: dict[ResourceKey, Reason] = {}

    def count(self, resource: Resource, result: Result) -> None:
        """Take in what one refresh came to; that there was nothing to do is not counted."""
        key, outcome = resource.key, result.outcome
        if outcome is None or result.pending:
            return
        if not outcome.is_failure:
            self._failing.pop(key, None)
        else:
            self._failing[key] = outcome.reason
        if result.applied or key in self._failing:
            self._metrics.refreshed(key.kind, outcome.reason)
        if result.replaced and resource.desired:
            due = refresh_deadline(result.replaced, resource.desired.frequency, resource.uid)
            # One that was asked for comes before its time.
            if (late := (self._clock.now() - due).total_seconds()) >= 0:
                self._metrics.late(late)

    def forget(self, key: ResourceKey) -> None:
        """Drop what is kept of a resource that is gone."""
        self._failing.pop(key, None)

    def failing(self) -> Counter[tuple[str, Reason]]:
        """How many resources fail, by kind and reason."""
        return Counter((key.kind, reason) for key, reason in self._failing.items())
