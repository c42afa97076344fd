"""The metrics of what refreshes come to: one rendering of the Outcome.

Invariant: nothing is kept of a resource that is gone.
"""

from collections import Counter

from ecr_operator.control.ports import Clock
from ecr_operator.control.step import Step
from ecr_operator.model.desired import Resource
from ecr_operator.model.outcome import Reason, ResourceKey
from ecr_operator.model.schedule import refresh_deadline
from ecr_operator.telemetry.metrics import Metrics


class Tally:
    """Counts the ends of refreshes, and knows which resources fail at present.

    Args:
        metrics: where is counted.
        clock: tells how late a token was replaced.
    """

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._failing: dict[ResourceKey, Reason] = {}

    def count(self, resource: Resource, step: Step) -> None:
        """Take in what one refresh came to; that there was nothing to do is not counted."""
        key, outcome = resource.key, step.outcome
        if outcome is None or step.pending:
            return
        if not outcome.is_failure:
            self._failing.pop(key, None)
        else:
            self._failing[key] = outcome.reason
        if step.applied or key in self._failing:
            self._metrics.refreshed(key.kind, outcome.reason)
        if step.replaced and resource.wanted:
            due = refresh_deadline(step.replaced, resource.wanted.frequency, resource.uid)
            # One that was asked for comes before its time.
            if (late := (self._clock.now() - due).total_seconds()) >= 0:
                self._metrics.late(late)

    def forget(self, key: ResourceKey) -> None:
        """Drop what is kept of a resource that is gone."""
        self._failing.pop(key, None)

    def failing(self) -> Counter[tuple[str, Reason]]:
        """How many resources fail, by kind and reason."""
        return Counter((key.kind, reason) for key, reason in self._failing.items())
