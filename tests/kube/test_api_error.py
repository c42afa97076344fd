"""What the user reads when Kubernetes refuses."""

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube.api_error import ApiError, translate

RBAC = 'secrets "x" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "secrets"'
QUOTA = 'secrets "x" is forbidden: exceeded quota: q, requested: secrets=1'
TERMINATING = (
    'secrets "x" is forbidden: unable to create new content in namespace team because it is being terminated'
)


@pytest.mark.parametrize(
    ("code", "reason", "said", "kind", "expected", "words"),
    [
        pytest.param(
            409,
            "Conflict",
            "changed",
            StaleObjectError,
            Reason.KUBERNETES_UNAVAILABLE,
            "retrying",
            id="a conflict",
        ),
        pytest.param(
            403,
            "Forbidden",
            RBAC,
            PermanentError,
            Reason.KUBERNETES_FORBIDDEN,
            "Add the missing rule to its role",
            id="a missing right",
        ),
        pytest.param(
            403, "Forbidden", QUOTA, PermanentError, Reason.KUBERNETES_REFUSED, "exceeded quota", id="a quota"
        ),
        pytest.param(
            403,
            "Forbidden",
            TERMINATING,
            TransientError,
            Reason.KUBERNETES_REFUSED,
            "terminated",
            id="a namespace on its way out",
        ),
        pytest.param(
            403, "Blocked", "x", TransientError, Reason.KUBERNETES_REFUSED, "refused", id="a proxy's 403"
        ),
        pytest.param(
            401,
            "Unauthorized",
            "x",
            TransientError,
            Reason.KUBERNETES_FORBIDDEN,
            "credentials",
            id="credentials that are not accepted",
        ),
        pytest.param(
            404,
            "NotFound",
            "x",
            TransientError,
            Reason.KUBERNETES_REFUSED,
            "no such namespace or resource",
            id="a namespace that is gone",
        ),
        pytest.param(
            405,
            "MethodNotAllowed",
            "x",
            TransientError,
            Reason.KUBERNETES_REFUSED,
            "no such namespace or resource",
            id="a method that is not known",
        ),
        pytest.param(
            422,
            "Invalid",
            "x",
            PermanentError,
            Reason.KUBERNETES_REFUSED,
            "refused",
            id="an object that is not valid",
        ),
        pytest.param(
            400,
            "BadRequest",
            "denied by webhook",
            PermanentError,
            Reason.KUBERNETES_REFUSED,
            "webhook",
            id="a webhook's refusal",
        ),
        pytest.param(
            408,
            "Timeout",
            "x",
            TransientError,
            Reason.KUBERNETES_UNAVAILABLE,
            "retrying",
            id="a request that took too long",
        ),
        pytest.param(
            429,
            "TooManyRequests",
            "x",
            TransientError,
            Reason.KUBERNETES_UNAVAILABLE,
            "throttles",
            id="throttling",
        ),
        pytest.param(
            500, "InternalError", "x", TransientError, Reason.KUBERNETES_UNAVAILABLE, "retrying", id="500"
        ),
        pytest.param(
            503,
            "ServiceUnavailable",
            "x",
            TransientError,
            Reason.KUBERNETES_UNAVAILABLE,
            "retrying",
            id="503",
        ),
        pytest.param(
            302, "Found", "x", TransientError, Reason.KUBERNETES_UNAVAILABLE, "retrying", id="a redirect"
        ),
        pytest.param(
            0,
            "Timeout",
            "no answer in time",
            TransientError,
            Reason.KUBERNETES_UNAVAILABLE,
            "no answer in time",
            id="no answer",
        ),
    ],
)
def test_an_error_is_told_with_its_reason(  # noqa: PLR0913, PLR0917 - a table
    code: int, reason: str, said: str, kind: type[OperatorError], expected: Reason, words: str
) -> None:
    error = translate(ApiError(code, reason, said), "write Secret x")
    assert type(error) is kind
    assert error.reason is expected
    assert words in error.message
    assert "write Secret x" in error.message


@pytest.mark.parametrize("code", [429, 503])
def test_what_the_server_asks_us_to_wait_is_kept(code: int) -> None:
    assert translate(ApiError(code, "x", "y", retry_after=7.0), "write").retry_after == 7
