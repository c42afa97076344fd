"""What an error carries, and which retries may end it."""

import pytest

from ecr_operator.api.errors import (
    ForeignSecretError,
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
    assert ForeignSecretError("Theirs.").reason is Reason.SECRET_CONFLICT
