"""Secrets whose label an admission webhook or policy overwrites, so that no watch shows them.

Guarantees: the token in one is renewed like any other; it is looked at at the interval of a conflict; and
whether the label stays is tried at a bounded rate.
"""

from dataclasses import replace
from typing import Final

from ecr_operator.control.contests import Contests
from ecr_operator.control.ports import Clock
from ecr_operator.control.step import Step
from ecr_operator.model.desired import Wanted
from ecr_operator.model.outcome import ResourceKey
from ecr_operator.model.outcomes import label_contested
from ecr_operator.model.ownership import SecretView

_TRY_INTERVAL: Final = 600.0
_LOOK_INTERVAL: Final = 30.0


class OverwrittenLabels:
    """Decides when to write such a Secret once more, and what to report.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._tries = Contests(clock, window=_TRY_INTERVAL, at_once=1)

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

    def report(self, key: ResourceKey, wanted: Wanted, view: SecretView | None, step: Step) -> Step:
        """The same, unless the Secret has lost the label; then it is looked at soon."""
        if view is None or view.labelled or step.outcome is None or step.pending:
            return step
        if step.applied:
            self._tries.repaired(key)
        if not step.outcome.succeeded:
            again = _LOOK_INTERVAL if step.retry_in is None else min(step.retry_in, _LOOK_INTERVAL)
            return replace(step, retry_in=again)
        return replace(step, outcome=label_contested(wanted, view.times), retry_in=_LOOK_INTERVAL)
