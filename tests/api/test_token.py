"""Which answers of ECR hold a token, and which are refused."""

# ruff: noqa: S105 - names of Secrets and made-up tokens

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest

from ecr_operator.api.errors import TransientError
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import RegistryToken, TokenSource, decode_answer
from tests.builders import NOW, TWELVE_HOURS, times, token

PASSWORD: Final = "eyJwYXlsb2FkIjoiVE9LRU4ifQ"
LATER: Final = NOW + TWELVE_HOURS
ENDPOINT: Final = "https://123456789012.dkr.ecr.us-east-2.amazonaws.com"


def encoded(text: str = f"AWS:{PASSWORD}") -> str:
    return base64.b64encode(text.encode("latin-1")).decode()


def datum(**changes: object) -> dict[str, Any]:
    usual = {"authorizationToken": encoded(), "expiresAt": LATER, "proxyEndpoint": ENDPOINT}
    return {key: value for key, value in (usual | changes).items() if value is not None}


def answer(**changes: object) -> dict[str, Any]:
    return {"authorizationData": [datum(**changes)]}


def refusal(of: object) -> TransientError:
    with pytest.raises(TransientError) as caught:
        decode_answer(of, NOW)
    return caught.value


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(answer(), id="ECR: a list of one"),
        pytest.param({"authorizationData": datum()}, id="ECR Public: no list"),
        pytest.param({"authorizationData": [datum(), datum(authorizationToken="?")]}, id="the first counts"),
        pytest.param(answer() | {"ResponseMetadata": {}}, id="other fields are ignored"),
    ],
)
def test_a_valid_answer_gives_the_token(good: object) -> None:
    expected = RegistryToken(password=PASSWORD, issued_at=NOW, expires_at=LATER, proxy_endpoint=ENDPOINT)
    assert decode_answer(good, NOW) == expected


NAIVE: Final = datetime(2026, 3, 2, 12)  # noqa: DTZ001 - the point
EXPIRIES: Final = {
    "another zone": (LATER.astimezone(timezone(timedelta(hours=5))), LATER),
    "just ahead": (NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=1)),
    "naive, so local time": (NAIVE, NAIVE.astimezone(UTC)),
    "far ahead": (datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
}


@pytest.mark.parametrize(("expires_at", "expected"), EXPIRIES.values(), ids=EXPIRIES)
def test_the_expiry_is_in_utc(expires_at: datetime, expected: datetime) -> None:
    found = decode_answer(answer(expiresAt=expires_at), NOW).expires_at
    assert (found, found.tzinfo) == (expected, UTC)


@pytest.mark.parametrize("endpoint", [None, 7, ["x"]])
def test_the_endpoint_may_be_missing(endpoint: object) -> None:
    assert decode_answer(answer(proxyEndpoint=endpoint), NOW).proxy_endpoint == ""


def bad_tokens(*texts: object) -> list[dict[str, Any]]:
    return [answer(authorizationToken=text) for text in texts]


BAD: Final[dict[str, list[object]]] = {
    "has no authorizationData": [
        *(None, [], f"AWS:{PASSWORD}", {}, {"authorizationData": None}, {"authorizationData": []}),
        *({"authorizationData": [PASSWORD]}, {"authorizationData": PASSWORD}),
    ],
    "has no expiresAt": [answer(expiresAt=time) for time in (None, "2026-03-02T00:00:00Z", 1.8e9)],
    "has already expired: check the clock": [answer(expiresAt=time) for time in (NOW, NOW - TWELVE_HOURS)],
    "not a login of the user AWS in base64": [
        *bad_tokens("<html>", encoded()[:-3], f" {encoded()}", "QVdTOü==", None, "", b"QVdTOng=", 7),
        *bad_tokens(encoded("AWS:\xff"), encoded("AWS:\xc3\xa4")),
        *bad_tokens(encoded(PASSWORD), encoded(f"aws:{PASSWORD}"), encoded("AWS:")),
    ],
}


@pytest.mark.parametrize(
    ("bad", "words"),
    [(bad, words) for words, answers in BAD.items() for bad in answers],
    ids=lambda value: ascii(value)[:60],
)
def test_a_bad_answer_is_refused_and_the_message_contains_nothing_of_it(bad: object, words: str) -> None:
    error = refusal(bad)
    assert error.reason is Reason.INVALID_TOKEN_RESPONSE
    assert words in error.message
    assert "The current token stays in use" in error.message
    assert not any(part in error.message for part in (PASSWORD, encoded(), encoded(PASSWORD), "html", "QVdT"))


def test_the_message_does_not_change_with_time() -> None:
    assert len({refusal(answer(expiresAt=NOW - TWELVE_HOURS * factor)).message for factor in (1, 2)}) == 1


def test_the_password_is_in_no_rendering_of_the_token() -> None:
    shown = token(PASSWORD)
    assert PASSWORD not in f"{shown!r}{shown!s}{shown.times}"
    assert shown.times == times()


def test_a_source_reads_as_words() -> None:
    identity = Identity(source="iam_secret", namespace="team", name="keys")
    source = TokenSource(identity=identity, region="fips-us-east-1", service="ecr-public")
    assert str(source) == "ecr-public in fips-us-east-1 as Secret team/keys"
    assert source.plain_region == "us-east-1"
