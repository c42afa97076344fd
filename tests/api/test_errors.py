"""What an error carries, and which retries may end it."""

import pytest

from ecr_operator.api.errors import (
    ForeignSecretError,
    ImmutableSecretError,
    OperatorError,
    PermanentError,
    StaleObjectError,
    TransientError,
)
from ecr_operator.api.outcome import Reason


@pytest.mark.parametrize("kind", [TransientError, PermanentError, StaleObjectError])
def test_every_error_has_a_reason_and_one_printable_line(kind: type[OperatorError]) -> None:
    error = kind(Reason.THROTTLED, "Too\nmany.", retry_after=2.5)
    assert (error.reason, error.retry_after) == ("Throttled", 2.5)
    assert error.message == str(error) == "Too many."


def test_the_hierarchy_tells_what_a_retry_may_end() -> None:
    assert issubclass(StaleObjectError, TransientError)
    assert issubclass(ImmutableSecretError, TransientError)
    assert not issubclass(PermanentError, TransientError)
    error: PermanentError = ForeignSecretError("Theirs.")
    assert error.reason is Reason.SECRET_CONFLICT
