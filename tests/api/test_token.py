"""What is taken for a token of ECR, and what is not."""

# ruff: noqa: S105 - names of Secrets and made-up tokens

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest

from ecr_operator.api.errors import TransientError
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import RegistryToken, TokenSource, decode_answer
from tests.builders import NOW, TWELVE_HOURS, token

PASSWORD: Final = "eyJwYXlsb2FkIjoiVE9LRU4ifQ"
LATER: Final = NOW + TWELVE_HOURS
ENDPOINT: Final = "https://123456789012.dkr.ecr.us-east-2.amazonaws.com"


def login(text: str = f"AWS:{PASSWORD}") -> str:
    return base64.b64encode(text.encode()).decode()


def datum(**said: object) -> dict[str, Any]:
    usual = {"authorizationToken": login(), "expiresAt": LATER, "proxyEndpoint": ENDPOINT}
    return {key: value for key, value in (usual | said).items() if value is not None}


def answer(**said: object) -> dict[str, Any]:
    return {"authorizationData": [datum(**said)]}


def refusal(of: object) -> TransientError:
    with pytest.raises(TransientError) as caught:
        decode_answer(of, NOW)
    return caught.value


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(answer(), id="ECR answers with a list of one"),
        pytest.param({"authorizationData": datum()}, id="ECR Public answers without a list"),
        pytest.param(
            {"authorizationData": [datum(), datum(authorizationToken="?")]}, id="the first one counts"
        ),
        pytest.param(answer() | {"ResponseMetadata": {}}, id="what else is in it does not matter"),
    ],
)
def test_a_good_answer_gives_the_token(good: object) -> None:
    expected = RegistryToken(password=PASSWORD, issued_at=NOW, expires_at=LATER, proxy_endpoint=ENDPOINT)
    assert decode_answer(good, NOW) == expected


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        pytest.param(
            LATER.astimezone(timezone(timedelta(hours=5))), LATER, id="of another zone it is turned into UTC"
        ),
        pytest.param(
            NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=1), id="just ahead it is alive"
        ),
        pytest.param(
            datetime(2026, 3, 2, 12),  # noqa: DTZ001 - the point
            datetime(2026, 3, 2, 12).astimezone(UTC),
            id="naive it is local time",
        ),
        pytest.param(
            datetime(9999, 12, 31, tzinfo=UTC),
            datetime(9999, 12, 31, tzinfo=UTC),
            id="in 8,000 years it is taken",
        ),
    ],
)
def test_the_expiry(expires_at: datetime, expected: datetime) -> None:
    taken = decode_answer(answer(expiresAt=expires_at), NOW).expires_at
    assert (taken, taken.tzinfo) == (expected, UTC)


@pytest.mark.parametrize("endpoint", [None, 7, ["x"]], ids=["absent", "a number", "a list"])
def test_a_token_without_a_sensible_endpoint_is_good(endpoint: object) -> None:
    assert decode_answer(answer(proxyEndpoint=endpoint), NOW).proxy_endpoint == ""


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        pytest.param(None, "has no authorizationData", id="nothing"),
        pytest.param([], "has no authorizationData", id="a list"),
        pytest.param(f"AWS:{PASSWORD}", "has no authorizationData", id="text"),
        pytest.param({}, "has no authorizationData", id="an empty object"),
        pytest.param({"authorizationData": None}, "has no authorizationData", id="no data"),
        pytest.param({"authorizationData": []}, "has no authorizationData", id="an empty list of data"),
        pytest.param({"authorizationData": [PASSWORD]}, "has no authorizationData", id="a list of text"),
        pytest.param({"authorizationData": PASSWORD}, "has no authorizationData", id="text for data"),
        pytest.param(answer(expiresAt=None), "has no expiresAt", id="no expiry"),
        pytest.param(answer(expiresAt="2026-03-02T00:00:00Z"), "has no expiresAt", id="an expiry in text"),
        pytest.param(answer(expiresAt=1.8e9), "has no expiresAt", id="an expiry in seconds"),
        pytest.param(answer(expiresAt=NOW), "in the past: check the clock", id="an expiry right now"),
        pytest.param(
            answer(expiresAt=NOW - TWELVE_HOURS), "in the past: check the clock", id="a past expiry"
        ),
        pytest.param(answer(authorizationToken=None), "not a login of the user AWS", id="no token"),
        pytest.param(answer(authorizationToken=""), "not a login of the user AWS", id="an empty token"),
        pytest.param(answer(authorizationToken=b"QVdTOng="), "not a login of the user AWS", id="bytes"),
        pytest.param(answer(authorizationToken=7), "not a login of the user AWS", id="a number for a token"),
        pytest.param(answer(authorizationToken="<html>"), "is not base64", id="HTML for a token"),
        pytest.param(answer(authorizationToken=login()[:-3]), "is not base64", id="a cut token"),
        pytest.param(answer(authorizationToken=f" {login()}"), "is not base64", id="a space in the token"),
        pytest.param(
            answer(authorizationToken="QVdTOü=="), "is not base64", id="letters that base64 has not"
        ),
        pytest.param(
            answer(authorizationToken=base64.b64encode(b"AWS:\xff").decode()), "is not base64", id="no text"
        ),
        pytest.param(answer(authorizationToken=login(PASSWORD)), "not a login of the user AWS", id="no user"),
        pytest.param(
            answer(authorizationToken=login(f"aws:{PASSWORD}")),
            "not a login of the user AWS",
            id="another user",
        ),
        pytest.param(
            answer(authorizationToken=login("AWS:")), "not a login of the user AWS", id="no password"
        ),
    ],
)
def test_a_bad_answer_is_refused_in_words_that_hold_nothing_of_it(bad: object, words: str) -> None:
    error = refusal(bad)
    assert error.reason is Reason.INVALID_TOKEN_RESPONSE
    assert words in error.message
    assert "The present token stays" in error.message
    assert not any(secret in error.message for secret in (PASSWORD, login(), login(PASSWORD), "html", "QVdT"))


def test_the_message_is_the_same_whatever_moment_has_passed() -> None:
    early, late = (refusal(answer(expiresAt=NOW - TWELVE_HOURS * factor)).message for factor in (1, 2))
    assert early == late


def test_the_password_shows_in_no_rendering_of_the_token() -> None:
    shown = token(PASSWORD)
    assert PASSWORD not in f"{shown!r}{shown!s}{shown.times}"


def test_a_source_reads_as_words() -> None:
    source = TokenSource(
        identity=Identity(source="iam_secret", namespace="team", name="keys"),
        region="us-east-1",
        service="ecr-public",
    )
    assert str(source) == "ecr-public in us-east-1 as Secret team/keys"
