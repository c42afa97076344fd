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


RETRY_AFTER = {
    "7": 7.0,
    "0": 0.0,
    "9" * 400: 300.0,
    "Wed, 21 Oct 2026 07:28:00 GMT": None,
    "-1": None,
    "soon": None,
}


async def test_retry_after_is_in_seconds_and_bounded(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(429, "TooManyRequests", Retry_After=header) for header in RETRY_AFTER]
    assert [(await failure(client)).retry_after for _ in RETRY_AFTER] == [*RETRY_AFTER.values()]


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
UNAVAILABLE_CODES = {408: "retrying", 429: "throttles", 500: "retrying", 503: "retrying", 302: "retrying"}
MEANINGS = {
    "a conflict": (409, "x", StaleObjectError, UNAVAILABLE, "retrying"),
    "a missing right": (403, RBAC, PermanentError, FORBIDDEN, "Apply the Role."),
    "no right to set owners": (403, OWNER, PermanentError, FORBIDDEN, "lacks"),
    "a quota": (403, QUOTA, PermanentError, REFUSED, "exceeded quota"),
    "a namespace in deletion": (403, TERMINATING, TransientError, REFUSED, "terminated"),
    "unknown credentials": (401, "x", TransientError, FORBIDDEN, "credentials"),
    "a deleted namespace": (404, "x", TransientError, REFUSED, "no such namespace"),
    "an unknown method": (405, "x", TransientError, REFUSED, "no such namespace"),
    "an invalid object": (422, "x", PermanentError, REFUSED, "refused"),
    "a webhook": (400, "denied by webhook", PermanentError, REFUSED, "by webhook"),
    "no answer": (0, "no answer", TransientError, UNAVAILABLE, "no answer"),
    **{str(code): (code, "x", TransientError, UNAVAILABLE, each) for code, each in UNAVAILABLE_CODES.items()},
}


@pytest.mark.parametrize(("code", "message", "kind", "reason", "words"), MEANINGS.values(), ids=MEANINGS)
def test_error_is_translated(
    code: int, message: str, kind: type[OperatorError], reason: Reason, words: str
) -> None:
    error = ApiError(code, "Forbidden" if code == 403 else "Other", message)
    translated = translate(error, "write Secret x", "Apply the Role")
    assert (type(translated), translated.reason) == (kind, reason)
    assert words in translated.message
    assert "to write Secret x" in translated.message


def test_403_of_a_proxy_is_transient() -> None:
    translated = translate(ApiError(403, "Blocked", "x"), "write")
    assert (type(translated), translated.reason) == (TransientError, REFUSED)
    assert "refused" in translated.message


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_kept(code: int) -> None:
    assert translate(ApiError(code, "x", "y", retry_after=7.0), "write").retry_after == 7
