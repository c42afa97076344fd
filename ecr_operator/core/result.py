"""What one refresh came to: what refresh tells the workers."""

from dataclasses import dataclass
from datetime import datetime

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Outcome, TokenTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one refresh came to, and when to look again.

    Attributes:
        outcome: what is to be told; None where there is nothing new.
        pending: AWS is being asked; the key comes up again when the answer is there.
        deadline: when the token is due next, UTC.
        requeue_after: seconds until another try.
        error: of Kubernetes, to be tried again with backoff.
        expires_at: when the present token dies, while a refresh is still to come of it.
        applied: the Secret was brought to what it should be; False where it was so already.
        replaced: the times of the token that a fresh one took the place of.
    """

    outcome: Outcome | None
    pending: bool = False
    deadline: datetime | None = None
    requeue_after: float | None = None
    error: OperatorError | None = None
    expires_at: datetime | None = None
    applied: bool = False
    replaced: TokenTimes | None = None
