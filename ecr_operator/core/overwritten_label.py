"""A Secret whose label an admission webhook or policy overwrites, so that no watch shows it.

Its token is renewed like any other, it is read every 30 s, and every ten minutes the label is written again.
Leaves out: the read (ownership), and the words (outcomes).
"""

from dataclasses import replace
from typing import Final

from ecr_operator.api.desired import Desired
from ecr_operator.core import outcomes
from ecr_operator.core.schedule import RepairLimit
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import ResourceState, Result

RECHECK: Final = 30.0
LABEL_LIMIT: Final = RepairLimit(window=600.0, at_once=1)


def note_attempt(state: ResourceState, present: SecretView, now: float) -> bool:
    """Whether to write the label again, noted as an attempt; not in the first pass of a term.

    Args:
        state: of the resource.
        present: its Secret.
        now: monotonic seconds.
    """
    if present.labelled or LABEL_LIMIT.wait(state.label_repairs, now):
        return False
    state.label_repairs = LABEL_LIMIT.note(state.label_repairs, now)
    return state.reconciled is not None


def report(
    state: ResourceState, desired: Desired, view: SecretView | None, result: Result, now: float
) -> Result:
    """The result of a pass, unless the label of the Secret has been overwritten.

    Args:
        state: of the resource.
        desired: what it asks for.
        view: the Secret; None where there is none.
        result: of the pass.
        now: monotonic seconds.
    """
    if view is None or view.labelled or result.outcome is None or result.pending:
        return result
    if result.refreshed:
        state.label_repairs = LABEL_LIMIT.note(state.label_repairs, now)
    if result.outcome.succeeded:
        overwritten = outcomes.label_contested(desired, view.times)
        return replace(result, outcome=overwritten, requeue_after=RECHECK)
    again = RECHECK if result.requeue_after is None else min(result.requeue_after, RECHECK)
    return replace(result, requeue_after=again)
