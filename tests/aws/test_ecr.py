"""EcrTokenIssuer over real HTTP: good tokens, every kind of failure, and nothing secret in its messages."""

import asyncio
import base64
import gc
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import structlog.testing
from structlog.typing import EventDict

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer, RegionMismatches
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws, decode_token
from lab.aws_faults import GARBAGE
from lab.waiting import wait_for
from tests.aws.asking import IRELAND, OHIO, refusal
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY

PUBLIC = TokenSource(region="us-east-1", service="ecr-public")

pytestmark = pytest.mark.usefixtures("user")


@dataclass
class StoppedClock(SystemClock):
    """A wall clock that stands still."""

    at: datetime

    def now(self) -> datetime:
        """The time at which it stands."""
        return self.at


async def test_a_token_carries_what_aws_put_in_it(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.token_life = 40
    token = await issuer.issue(IRELAND)
    inside = decode_token(token.password)
    assert (inside.serial, inside.region, inside.access_key, inside.service) == (
        1,
        "eu-west-1",
        ACCESS_KEY,
        "ecr",
    )
    assert token.expires_at.timestamp() == pytest.approx(inside.expires_at)
    assert token.expires_at - token.issued_at == pytest.approx(
        timedelta(seconds=40), abs=timedelta(seconds=2)
    )
    assert token.proxy_endpoint == "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def mismatches(logs: list[EventDict]) -> list[tuple[str, str]]:
    """The region asked and the one answered, of each line that names both."""
    return [(line["region"], line["answered_region"]) for line in logs if "answered_region" in line]


async def test_a_registry_of_another_region_is_logged_once_per_source_and_not_refused(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    with structlog.testing.capture_logs() as logs:
        await issuer.issue(IRELAND)
        await issuer.issue(PUBLIC)
        assert mismatches(logs) == []
        aws.services.registry_region = "us-west-2"
        for source in (IRELAND, OHIO, IRELAND, PUBLIC):
            assert await issuer.issue(source)
        assert mismatches(logs) == [("eu-west-1", "us-west-2"), ("us-east-2", "us-west-2")]
        # It was right in between, so it is logged again.
        aws.services.registry_region = ""
        await issuer.issue(IRELAND)
        aws.services.registry_region = "us-west-2"
        await issuer.issue(IRELAND)
        assert mismatches(logs)[2:] == [("eu-west-1", "us-west-2")]
    assert not [line for line in logs if line["log_level"] != "warning"]


def test_logged_mismatches_are_bounded_and_name_their_namespace() -> None:
    mismatched = RegionMismatches()
    of_team = TokenSource(region="eu-west-1", identity=Identity(namespace="team", name="puller"))
    with structlog.testing.capture_logs() as logs:
        mismatched.compare(of_team, "us-west-2")
        for number in range(255):
            mismatched.compare(TokenSource(region=f"xx-{number}"), "us-west-2")
        mismatched.compare(of_team, "us-west-2")
        assert [line.get("namespace") for line in logs] == ["team"] + [None] * 255
        mismatched.compare(OHIO, "us-west-2")
        mismatched.compare(of_team, "us-west-2")
    assert [line.get("namespace") for line in logs[256:]] == [None, "team"]


@pytest.mark.parametrize("region", ["fips-us-east-2", "us-east-2-fips"])
async def test_a_fips_form_is_the_same_region(aws: LocalAws, issuer: EcrTokenIssuer, region: str) -> None:
    aws.services.registry_region = "us-east-2"
    with structlog.testing.capture_logs() as logs:
        await issuer.issue(TokenSource(region=region))
    assert mismatches(logs) == []


async def test_ecr_public_gives_a_token_though_its_answer_has_no_list(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    inside = decode_token((await issuer.issue(PUBLIC)).password)
    assert (inside.service, inside.region) == ("ecr-public", "us-east-1")
    assert aws.calls[0].service == "ecr-public"


async def test_the_time_of_issue_is_the_clocks(aws: LocalAws) -> None:
    at = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    async with EcrTokenIssuer(StoppedClock(at)) as issuer:
        assert (await issuer.issue(IRELAND)).issued_at == at
    assert aws.count() == 1


async def test_an_endpoint_of_one_service_takes_precedence(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    async with LocalAws() as other:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", other.url)
        await issuer.issue(IRELAND)
        await issuer.issue(PUBLIC)
    assert [call.service for call in other.calls] == ["ecr"]
    assert [call.service for call in aws.calls] == ["ecr-public"]


async def test_warm_changes_nothing_but_time(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    await issuer.warm()
    await issuer.warm()
    await issuer.issue(IRELAND)
    assert aws.count() == 1


async def test_calls_in_many_regions_run_side_by_side(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.hang()
    regions = ["eu-west-1", "eu-west-2", "us-east-1", "us-east-2"]
    asked = [asyncio.create_task(issuer.issue(TokenSource(region=region))) for region in regions]
    await wait_for(lambda: aws.count() == len(regions))
    aws.release()
    tokens = await asyncio.gather(*asked)
    assert [decode_token(token.password).region for token in tokens] == regions


@pytest.mark.parametrize("body", GARBAGE)
@pytest.mark.parametrize("source", [IRELAND, PUBLIC], ids=["ecr", "ecr-public"])
async def test_garbage_is_reported_and_asked_for_again(
    aws: LocalAws, issuer: EcrTokenIssuer, source: TokenSource, body: str
) -> None:
    aws.garble(body, times=1)
    error = await refusal(issuer, source)
    assert isinstance(error, TransientError)
    assert error.reason is Reason.INVALID_TOKEN_RESPONSE
    assert await issuer.issue(source)


FAILURES: dict[str, tuple[Callable[[LocalAws], object], type[OperatorError], Reason]] = {
    "throttled": (lambda aws: aws.throttle(), TransientError, Reason.THROTTLED),
    "HTTP 500": (lambda aws: aws.fail("InternalFailure", 500), TransientError, Reason.AWS_UNAVAILABLE),
    "HTTP 503 with an unknown code": (
        lambda aws: aws.fail("Strange", 503),
        TransientError,
        Reason.AWS_UNAVAILABLE,
    ),
    "connection reset": (lambda aws: aws.reset(), TransientError, Reason.AWS_UNAVAILABLE),
    "denied": (lambda aws: aws.fail("AccessDeniedException", 400), PermanentError, Reason.ACCESS_DENIED),
    "an unknown 4xx": (lambda aws: aws.fail("Strange", 418), PermanentError, Reason.ACCESS_DENIED),
    "expired keys": (
        lambda aws: aws.fail("ExpiredTokenException", 400),
        TransientError,
        Reason.CREDENTIALS_EXPIRED,
    ),
}


@pytest.mark.parametrize(("fault", "kind", "reason"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_comes_with_its_reason_after_one_call_and_ends_with_it(
    aws: LocalAws,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[LocalAws], object],
    kind: type[OperatorError],
    reason: Reason,
) -> None:
    # What the SDK would do by itself if the user asked for it.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "standard")
    async with EcrTokenIssuer() as issuer:
        fault(aws)
        error = await refusal(issuer)
        assert type(error) is kind
        assert error.reason is reason
        assert "eu-west-1" in error.message
        assert aws.count() == 1
        aws.clear()
        assert await issuer.issue(IRELAND)


async def test_throttling_reports_how_long_to_wait(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.throttle(retry_after=7)
    assert (await refusal(issuer)).retry_after == 7


async def test_a_silent_aws_is_given_up_in_bounded_time(aws: LocalAws) -> None:
    aws.hang()
    async with EcrTokenIssuer(call_seconds=0.3) as issuer:
        error = await refusal(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "in time" in error.message
    await wait_for(lambda: aws.count(outcome="gone") == 1)


async def test_a_cancelled_call_is_cancelled_and_aws_sees_it_go(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    aws.hang()
    asked = asyncio.create_task(issuer.issue(IRELAND))
    await wait_for(lambda: aws.count() == 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await wait_for(lambda: aws.calls[0].outcome == "gone")


async def test_an_invalid_endpoint_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://not a url")
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
    assert isinstance(error, PermanentError)
    assert "AWS_ENDPOINT_URL" in error.message


async def test_an_absent_ca_bundle_is_named(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url.replace("http:", "https:"))
    error = await refusal(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "AWS_CA_BUNDLE" in error.message


async def test_a_server_without_tls_is_reported_as_such(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url.replace("http:", "https:"))
    assert "TLS" in (await refusal(issuer)).message


async def test_a_wrong_clock_is_named(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    for offset in (-3600.0, 3600.0):
        aws.keys.clock_offset = offset
        error = await refusal(issuer)
        assert isinstance(error, TransientError)
        assert "clock" in error.message


async def test_a_wrong_secret_key_is_reported_unlike_unknown_keys(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    aws.keys.known = {ACCESS_KEY: "another"}
    assert "does not belong to its access key id" in (await refusal(issuer)).message
    aws.keys.known = {}
    assert "does not accept the keys from the environment variables" in (await refusal(issuer)).message


def garbles(body: str) -> Callable[[LocalAws], object]:
    """Make a fault that answers with this garbage."""
    return lambda aws: aws.garble(body)


NOISE: dict[str, Callable[[LocalAws], object]] = {
    "all is well": lambda _: None,
    **{name: fault for name, (fault, _, _) in FAILURES.items()},
    **{f"garbage: {body}": garbles(body) for body in GARBAGE},
    "AWS echoes the signed request": lambda aws: setattr(aws.keys, "known", {ACCESS_KEY: "another"}),
    "AWS names the keys in a denial": lambda aws: aws.fail(
        "AccessDeniedException",
        403,
        f"not {ACCESS_KEY} {SECRET_KEY} SESSIONx9SESSIONx9SESSIONx9SESSIONx9SESSIONx9",
    ),
    "a code that is a key": lambda aws: aws.fail(ACCESS_KEY, 400),
    "the clock is wrong": lambda aws: setattr(aws.keys, "clock_offset", 3600.0),
}


@pytest.mark.parametrize("fault", NOISE.values(), ids=NOISE)
async def test_no_log_error_or_repr_holds_a_token_or_a_key(
    aws: LocalAws,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[LocalAws], object],
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "SESSIONx9" * 9)
    caplog.set_level(logging.DEBUG)
    for pinned in ("botocore", "aiobotocore"):  # as telemetry pins them: their DEBUG prints bodies
        caplog.set_level(logging.INFO, pinned)
    seen, tokens = [], []
    fault(aws)
    async with EcrTokenIssuer() as issuer:
        for source in (IRELAND, PUBLIC):
            try:
                token = await issuer.issue(source)
                seen.append(repr(token))
                tokens.append(token.password)
            except OperatorError as error:
                seen += [str(error), repr(error), *traceback.format_exception(error)]
                # Rich tracebacks print the variables of every frame.
                seen += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        seen.append(repr(issuer))
    gc.collect()
    text = "\n".join([*seen, caplog.text])
    secrets = [ACCESS_KEY, SECRET_KEY, "SESSIONx9", "QVdTOm", *(token[:40] for token in tokens)]
    secrets += [base64.b64encode(secret.encode()).decode() for secret in (ACCESS_KEY, SECRET_KEY)]
    assert [secret for secret in secrets if secret in text] == []
