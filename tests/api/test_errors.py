"""What an error carries."""

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason


@pytest.mark.parametrize("kind", [TransientError, PermanentError, StaleObjectError])
def test_every_error_has_a_reason_and_words(kind: type[OperatorError]) -> None:
    error = kind(Reason.THROTTLED, "Too many.", retry_after=2.5)
    assert (error.reason, error.message, error.retry_after, str(error)) == (
        "Throttled",
        "Too many.",
        2.5,
        "Too many.",
    )


def test_a_stale_object_mends_itself() -> None:
    assert issubclass(StaleObjectError, TransientError)
    assert not issubclass(PermanentError, TransientError)
