"""Secrets whose label an admission webhook or policy overwrites, so that no watch shows them.

Guarantees: the token in one is renewed like any other; it is looked at at the interval of a conflict; and
whether the label stays is tried at a bounded rate.
"""

from dataclasses import replace
from typing import Final

from ecr_operator.api.desired import Desired
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.outcomes import label_contested
from ecr_operator.core.ports import Clock
from ecr_operator.core.repair_limit import RepairLimit
from ecr_operator.core.result import Result
from ecr_operator.core.secret_view import SecretView

_TRY_INTERVAL: Final = 600.0
_LOOK_INTERVAL: Final = 30.0


class OverwrittenLabels:
    """Decides when to write such a Secret once more, and what to report.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._tries = RepairLimit(clock, window=_TRY_INTERVAL, at_once=1)

    def is_due(self, key: ResourceKey, fitting: SecretView | None, *, met: bool) -> bool:
        """Whether to find out now if the label still does not stay.

        Args:
            key: of the resource.
            fitting: its Secret, if all that it lacks is the label.
            met: the resource was looked at before; a restart costs no write.
        """
        if fitting is None or fitting.labelled or self._tries.wait(key):
            return False
        self._tries.repaired(key)
        return met

    def report(self, key: ResourceKey, desired: Desired, view: SecretView | None, result: Result) -> Result:
        """The same, unless the Secret has lost the label; then it is looked at soon."""
        if view is None or view.labelled or result.outcome is None or result.pending:
            return result
        if result.applied:
            self._tries.repaired(key)
        if not result.outcome.succeeded:
            again = (
                _LOOK_INTERVAL if result.requeue_after is None else min(result.requeue_after, _LOOK_INTERVAL)
            )
            return replace(result, requeue_after=again)
        return replace(result, outcome=label_contested(desired, view.times), requeue_after=_LOOK_INTERVAL)
