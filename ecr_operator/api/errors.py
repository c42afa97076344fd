"""What can go wrong, sorted by who mends it.

    OperatorError             every error of ours; has a Reason and a message for the user
      TransientError          mends itself: try again
      PermanentError          a person has to change something
        ForeignSecretError    the Secret is somebody else's
      StaleObjectError        Kubernetes: another writer was there first; look again (transient)
      ImmutableSecretError    Kubernetes: a field can't be changed; delete and make anew (transient)

Messages are shown to users as they are: no token, key or server reply goes into them.
"""

from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import one_line


class OperatorError(Exception):
    """Every error that the operator raises on purpose.

    Attributes:
        reason: the one word for conditions, Events and logs.
        message: a sentence that says what failed and what to do next; one printable line of bounded length.
        retry_after: seconds that the server asked us to wait, if it did.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        self.message = one_line(message)
        super().__init__(self.message)
        self.reason = reason
        self.retry_after = retry_after


class TransientError(OperatorError):
    """Mends itself: worth another try soon."""


class PermanentError(OperatorError):
    """A person has to change something; tried again slowly, since it is mended elsewhere."""


class StaleObjectError(TransientError):
    """The object has changed or appeared since we last saw it."""


class ImmutableSecretError(TransientError):
    """A Secret of ours can't be changed in place, by its type or because it is immutable."""


class ForeignSecretError(PermanentError):
    """The Secret is not this resource's."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.SECRET_CONFLICT, message)
