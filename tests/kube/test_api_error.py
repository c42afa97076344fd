"""What is said when Kubernetes refuses or fails: short, with the right reason, and without secrets."""

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube.api_error import ApiError, sanitize, translate
from ecr_operator.kube.client import KubeClient
from tests.kube.conftest import failure
from tests.kube.server import ScriptedServer, refuse, reply

SECRET = "QVdTOmV5SndZWGxzYjJGa0lqb2lUT0tFTiJ9" * 4
RBAC = 'secrets "x" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "secrets"'
OWNER = 'secrets "x" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to it'
QUOTA = 'secrets "x" is forbidden: exceeded quota: q, requested: secrets=1'
TERMINATING = (
    'secrets "x" is forbidden: unable to create new content in namespace team because it is being terminated'
)


async def test_status_object_is_reported_in_its_own_words(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(403, "Forbidden", "secrets is forbidden: User x cannot patch")]
    assert str(await failure(client)) == "403 Forbidden: secrets is forbidden: User x cannot patch"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("0", 0.0, id="none"),
        pytest.param("9" * 400, 300.0, id="five minutes at most"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a date is ignored"),
        pytest.param("-1", None, id="less than none"),
        pytest.param("soon", None, id="a word"),
    ],
)
async def test_retry_after(
    server: ScriptedServer, client: KubeClient, header: str, seconds: float | None
) -> None:
    server.others = [refuse(429, "TooManyRequests", Retry_After=header)]
    assert (await failure(client)).retry_after == seconds


@pytest.mark.parametrize("place", ["reason", "message"])
async def test_error_holds_no_secret(server: ScriptedServer, client: KubeClient, place: str) -> None:
    status = {"reason": "BadRequest", "message": "denied", place: f"the webhook\n said: {SECRET}"}
    server.others = [reply(status, 400)]
    error = await failure(client)
    assert getattr(error, place) == "the webhook said: …"
    assert SECRET[:40] not in str(error)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("a\n b\t c", "a b c", id="one line"),
        pytest.param(f'"password":"{SECRET}"', '"password":"…"', id="no token"),
        pytest.param("x" * 59, "x" * 59, id="no token is so short"),
        pytest.param("proxy http://me:hunter2@p:1", "proxy http://p:1", id="no login of a proxy"),
        pytest.param("plain words " * 100, ("plain words " * 100)[:399] + "…", id="short"),
        pytest.param("a\x1b[31mb\ud800", "a?[31mb?", id="printable"),
        pytest.param("x" * 3950 + " " + SECRET * 10_000, "… …", id="no token that was cut"),
    ],
)
def test_sanitize(message: str, expected: str) -> None:
    assert sanitize(message) == expected


REFUSED, FORBIDDEN = Reason.KUBERNETES_REFUSED, Reason.KUBERNETES_FORBIDDEN
UNAVAILABLE = Reason.KUBERNETES_UNAVAILABLE
MEANINGS = {
    "a conflict": (ApiError(409, "Conflict", "x"), StaleObjectError, UNAVAILABLE, "retrying"),
    "a missing right": (ApiError(403, "Forbidden", RBAC), PermanentError, FORBIDDEN, "Apply the Role."),
    "no right to set owners": (ApiError(403, "Forbidden", OWNER), PermanentError, FORBIDDEN, "lacks"),
    "a quota": (ApiError(403, "Forbidden", QUOTA), PermanentError, REFUSED, "exceeded quota"),
    "a namespace in deletion": (
        ApiError(403, "Forbidden", TERMINATING),
        TransientError,
        REFUSED,
        "terminated",
    ),
    "a proxy's 403": (ApiError(403, "Blocked", "x"), TransientError, REFUSED, "refused"),
    "unknown credentials": (ApiError(401, "Unauthorized", "x"), TransientError, FORBIDDEN, "credentials"),
    "a deleted namespace": (ApiError(404, "NotFound", "x"), TransientError, REFUSED, "no such namespace"),
    "an unknown method": (ApiError(405, "NotAllowed", "x"), TransientError, REFUSED, "no such namespace"),
    "an invalid object": (ApiError(422, "Invalid", "x"), PermanentError, REFUSED, "refused"),
    "a webhook": (ApiError(400, "BadRequest", "denied by webhook"), PermanentError, REFUSED, "by webhook"),
    "a request timeout": (ApiError(408, "Timeout", "x"), TransientError, UNAVAILABLE, "retrying"),
    "throttling": (ApiError(429, "TooManyRequests", "x"), TransientError, UNAVAILABLE, "throttles"),
    "500": (ApiError(500, "InternalError", "x"), TransientError, UNAVAILABLE, "retrying"),
    "503": (ApiError(503, "ServiceUnavailable", "x"), TransientError, UNAVAILABLE, "retrying"),
    "a redirect": (ApiError(302, "Found", "x"), TransientError, UNAVAILABLE, "retrying"),
    "no answer": (ApiError(0, "Timeout", "no answer"), TransientError, UNAVAILABLE, "no answer"),
}


@pytest.mark.parametrize(("error", "kind", "reason", "words"), MEANINGS.values(), ids=MEANINGS)
def test_error_is_translated(error: ApiError, kind: type[OperatorError], reason: Reason, words: str) -> None:
    translated = translate(error, "write Secret x", "Apply the Role")
    assert type(translated) is kind
    assert translated.reason is reason
    assert words in translated.message
    assert "to write Secret x" in translated.message


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_kept(code: int) -> None:
    assert translate(ApiError(code, "x", "y", retry_after=7.0), "write").retry_after == 7
