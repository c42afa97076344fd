"""The hierarchy of errors, by what ends them.

    OperatorError               every error of ours; has a Reason and a message for the user
      TransientError            a retry may succeed
        StaleObjectError        Kubernetes: another writer was first; read again
        ImmutableSecretError    Kubernetes: a field can't be changed; delete and recreate
      PermanentError            someone has to change something
        ForeignSecretError      the Secret is not the resource's own

Messages are shown to users as they are: no token or key enters them, and of a server's answer no more than a
refusal in its own words, masked and cut (kube.api_error, aws.call_errors).
"""

from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import one_line


class OperatorError(Exception):
    """Every error that the operator raises on purpose.

    Attributes:
        reason: for conditions, Events, metrics and logs.
        message: a sentence that says what failed and what to do next; cut to one printable line.
        retry_after: seconds to wait, where the server says so.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        self.message = one_line(message)
        super().__init__(self.message)
        self.reason = reason
        self.retry_after = retry_after


class TransientError(OperatorError):
    """A retry may succeed soon."""


class PermanentError(OperatorError):
    """Someone has to change something; retried slowly, since that may happen elsewhere."""


class StaleObjectError(TransientError):
    """The object has changed or appeared since it was last read."""


class ImmutableSecretError(TransientError):
    """A Secret of ours can't be changed in place: it has another type, or is immutable."""


class ForeignSecretError(PermanentError):
    """The Secret is not this resource's own."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.SECRET_CONFLICT, message)
