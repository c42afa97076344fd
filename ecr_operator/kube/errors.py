"""From what the API server says to the operator's errors: one table."""

import re
from http import HTTPStatus
from typing import Final

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube.failures import ApiError

# OwnerReferencesPermissionEnforcement, as on OpenShift: who gives a Secret an owner must be let delete it.
_LACKS_DELETE: Final = re.compile(
    r"cannot set (an ownerRef on a resource you can't delete|blockOwnerDeletion)"
)


def translate(failure: ApiError, doing: str) -> OperatorError:
    """Make an error for the user of a failed request.

    Args:
        failure: what came back.
        doing: what was tried, as in "writing Secret x".
    """
    said = failure.message
    match failure.code:
        case HTTPStatus.CONFLICT:
            return StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, f"Conflict on {doing}; retrying.")
        case HTTPStatus.FORBIDDEN if failure.reason != "Forbidden" or "is being terminated" in said:
            return TransientError(Reason.KUBERNETES_REFUSED, f"Kubernetes refused {doing}: {said}.")
        case HTTPStatus.FORBIDDEN if "is forbidden: User" in said or _LACKS_DELETE.search(said):
            message = f"The operator lacks permission for {doing}: {said}. Add the missing rule to its role."
            return PermanentError(Reason.KUBERNETES_FORBIDDEN, message)
        case HTTPStatus.UNAUTHORIZED:
            message = f"The API server does not accept the operator's credentials on {doing}."
            return TransientError(Reason.KUBERNETES_FORBIDDEN, message)
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return TransientError(
                Reason.KUBERNETES_REFUSED,
                f"Kubernetes has no such namespace or resource for {doing}: {said}.",
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            message = f"The API server throttles {doing}; retrying."
            return TransientError(Reason.KUBERNETES_UNAVAILABLE, message, retry_after=failure.retry_after)
        case code if code != HTTPStatus.REQUEST_TIMEOUT and 400 <= code < 500:  # noqa: PLR2004 - the range of HTTP
            return PermanentError(Reason.KUBERNETES_REFUSED, f"Kubernetes refused {doing}: {said}.")
    message = f"The API server failed on {doing}: {said}; retrying."
    return TransientError(Reason.KUBERNETES_UNAVAILABLE, message, retry_after=failure.retry_after)
