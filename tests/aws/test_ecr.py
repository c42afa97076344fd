"""EcrTokenIssuer over real HTTP: good tokens, every kind of failure, and nothing secret in its messages."""

import asyncio
import base64
import gc
import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog.testing
from structlog.typing import EventDict

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer, RegionMismatches
from lab.aws import LocalAws, decode_token
from lab.aws_faults import RAW_BODIES
from lab.waiting import wait_for
from tests.aws.asking import IRELAND, OHIO, PUBLIC, refusal
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY, Environ
from tests.fakes import FakeClock

pytestmark = pytest.mark.usefixtures("user")


@pytest.mark.parametrize("source", [IRELAND, PUBLIC], ids=["ecr", "ecr-public, whose answer has no list"])
async def test_a_token_carries_what_aws_put_in_it(aws: LocalAws, source: TokenSource) -> None:
    clock = FakeClock(datetime.now(UTC) - timedelta(hours=1))
    async with EcrTokenIssuer(clock) as issuer:
        token = await issuer.issue(source)
    inside = decode_token(token.password)
    found = (inside.serial, inside.region, inside.access_key, inside.service)
    assert found == (1, source.region, ACCESS_KEY, source.service)
    assert token.issued_at == clock.now()
    assert token.expires_at.timestamp() == pytest.approx(inside.expires_at)
    assert aws.calls[0].service == source.service


def mismatches(logs: list[EventDict]) -> list[tuple[str, str]]:
    """The region asked and the one answered, of each line that names both."""
    return [(line["region"], line["answered_region"]) for line in logs if "answered_region" in line]


async def test_a_registry_of_another_region_is_logged_once(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    with structlog.testing.capture_logs() as logs:
        fips = (TokenSource(region=region) for region in ("fips-us-east-2", "us-east-2-fips"))
        for source in (IRELAND, PUBLIC, *fips):
            aws.services.registry_region = "us-east-2" if "fips" in source.region else ""
            await issuer.issue(source)
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
        for source in (of_team, *(TokenSource(region=f"xx-{number}") for number in range(255)), of_team):
            mismatched.compare(source, "us-west-2")
        assert [line.get("namespace") for line in logs] == ["team"] + [None] * 255
        for source in (OHIO, of_team):
            mismatched.compare(source, "us-west-2")
    assert [line.get("namespace") for line in logs[256:]] == [None, "team"]


async def test_a_services_own_endpoint_takes_precedence(
    aws: LocalAws, environ: Environ, issuer: EcrTokenIssuer
) -> None:
    async with LocalAws() as other:
        environ(AWS_ENDPOINT_URL_ECR=other.url)
        await issuer.issue(IRELAND)
        await issuer.issue(PUBLIC)
    assert [call.service for call in other.calls] == ["ecr"]
    assert [call.service for call in aws.calls] == ["ecr-public"]


async def test_calls_in_many_regions_run_side_by_side(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.hang()
    regions = ["eu-west-1", "eu-west-2", "us-east-1", "us-east-2"]
    asked = [asyncio.create_task(issuer.issue(TokenSource(region=region))) for region in regions]
    await wait_for(lambda: aws.count() == len(regions))
    aws.release()
    tokens = await asyncio.gather(*asked)
    assert [decode_token(token.password).region for token in tokens] == regions


Fault = Callable[[LocalAws], object]


def garbles(body: str) -> Fault:
    return lambda aws: aws.garble(body)


NAMES_KEYS = f"not {ACCESS_KEY} {SECRET_KEY} {'SESSIONx9' * 5}"
# Of those that `tests/api/test_token.py` has, one that the SDK can't read and one that it can.
ODD = ("odd-expiry", "no-prefix")
# What goes wrong, and the reason of its error.
FAULTS: dict[str, tuple[Fault, Reason]] = {
    "throttled": (lambda aws: aws.throttle(), Reason.THROTTLED),
    "HTTP 500": (lambda aws: aws.fail("InternalFailure", 500), Reason.AWS_UNAVAILABLE),
    "connection reset": (lambda aws: aws.reset(), Reason.AWS_UNAVAILABLE),
    "denied": (lambda aws: aws.fail("AccessDeniedException", 403, NAMES_KEYS), Reason.ACCESS_DENIED),
    "expired keys": (lambda aws: aws.fail("ExpiredTokenException", 400), Reason.CREDENTIALS_EXPIRED),
    "a code that is a key": (lambda aws: aws.fail(ACCESS_KEY, 400), Reason.ACCESS_DENIED),
    "the request echoed": (lambda aws: setattr(aws.keys, "known", {ACCESS_KEY: "x"}), Reason.ACCESS_DENIED),
    "a wrong clock": (lambda aws: setattr(aws.keys, "clock_offset", 3600.0), Reason.ACCESS_DENIED),
    **{f"garbage: {body}": (garbles(body), Reason.INVALID_TOKEN_RESPONSE) for body in (*RAW_BODIES, *ODD)},
}
PERMANENT = {"denied", "a code that is a key", "the request echoed"}


@pytest.fixture
def logged(environ: Environ, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of a user with a session token, where the SDK is asked to retry."""
    environ(AWS_SESSION_TOKEN="SESSIONx9" * 9, AWS_MAX_ATTEMPTS="5", AWS_RETRY_MODE="standard")
    caplog.set_level(logging.DEBUG)
    for pinned in ("botocore", "aiobotocore"):  # as telemetry pins them: their DEBUG prints bodies
        caplog.set_level(logging.INFO, pinned)
    return caplog


@pytest.mark.parametrize("name", FAULTS)
async def test_a_failure_has_its_reason_after_one_call_ends_with_its_cause_and_shows_no_token_or_key(
    aws: LocalAws, logged: pytest.LogCaptureFixture, name: str
) -> None:
    seen: list[str] = []
    tokens: list[str] = []
    fault, reason = FAULTS[name]
    async with EcrTokenIssuer() as issuer:
        for source in (IRELAND, PUBLIC):
            asked = aws.count()
            fault(aws)
            error = await refusal(issuer, source)
            assert aws.count() == asked + 1
            assert (type(error), error.reason) == (
                PermanentError if name in PERMANENT else TransientError,
                reason,
            )
            assert source.region in error.message or reason is Reason.INVALID_TOKEN_RESPONSE
            seen += [str(error), repr(error), *traceback.format_exception(error)]
            # Rich tracebacks print the variables of every frame.
            seen += traceback.TracebackException.from_exception(error, capture_locals=True).format()
            aws.clear()
            aws.keys.known, aws.keys.clock_offset = None, 0.0
            token = await issuer.issue(source)
            seen.append(repr(token))
            tokens.append(token.password[:40])
        seen.append(repr(issuer))
    gc.collect()
    text = "\n".join([*seen, logged.text])
    secrets = [ACCESS_KEY, SECRET_KEY, "SESSIONx9", "QVdTOm", *tokens]
    secrets += [base64.b64encode(secret.encode()).decode() for secret in (ACCESS_KEY, SECRET_KEY)]
    assert [secret for secret in secrets if secret in text] == []


async def test_throttling_reports_how_long_to_wait(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.throttle(retry_after=7)
    assert (await refusal(issuer)).retry_after == 7


async def test_a_silent_aws_is_given_up_in_bounded_time(aws: LocalAws) -> None:
    aws.hang()
    async with EcrTokenIssuer(call_seconds=0.1) as issuer, asyncio.timeout(8):  # the SDK's own limit is 10 s
        error = await refusal(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "in time" in error.message
    await wait_for(lambda: aws.count(outcome="gone") == 1)


async def test_a_cancelled_call_ends_and_aws_sees_it_go(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.hang()
    asked = asyncio.create_task(issuer.issue(IRELAND))
    await wait_for(lambda: aws.count() == 1)
    asked.cancel()
    await asyncio.wait((asked,))
    assert asked.cancelled()
    await wait_for(lambda: aws.calls[0].outcome == "gone")


ENDPOINTS = {
    "not a URL": ("http://not a url", "", PermanentError, "AWS_ENDPOINT_URL"),
    "a server without TLS": ("https:", "", TransientError, "TLS"),
    "an absent CA bundle": ("https:", "/nowhere/ca.pem", TransientError, "AWS_CA_BUNDLE"),
}


@pytest.mark.parametrize(("url", "bundle", "kind", "words"), ENDPOINTS.values(), ids=ENDPOINTS)
async def test_an_endpoint_that_cant_be_used_is_named(  # noqa: PLR0913, PLR0917 -- a table
    aws: LocalAws, environ: Environ, url: str, bundle: str, kind: type[OperatorError], words: str
) -> None:
    environ(AWS_ENDPOINT_URL=aws.url.replace("http:", "https:") if url == "https:" else url)
    if bundle:
        environ(AWS_CA_BUNDLE=bundle)
    error = await refusal()
    assert isinstance(error, kind)
    assert words in error.message


# Whose keys they are, for `check`.


async def test_the_origin_of_the_keys_and_their_owner_are_named(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    assert (await issuer.fetched_origin("us-east-1")).startswith("the environment variables")
    assert await issuer.caller_arn("us-east-1") == "arn:aws:iam::123456789012:user/lab"
    assert [(call.operation, call.region) for call in aws.calls] == [("GetCallerIdentity", "us-east-1")]
    aws.keys.known = {}
    with pytest.raises(OperatorError, match="does not accept the keys") as caught:
        await issuer.caller_arn("us-east-1")
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert [key for key in (ACCESS_KEY, SECRET_KEY) if key in shown] == []
    aws.keys.known, aws.services.account = None, "\u202e"
    with pytest.raises(TransientError, match="without an ARN"):
        await issuer.caller_arn("us-east-1")
    aws.garble("html")
    with pytest.raises(TransientError, match="can't be read"):
        await issuer.caller_arn("us-east-1")


REGIONS = {
    "none": ({}, ""),
    "the SDK's variable": ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
    "a profile that is absent": ({"AWS_PROFILE": "nope"}, ""),
    "the profile's": ({"AWS_CONFIG_FILE": "{folder}/config"}, "eu-north-1"),
}


@pytest.mark.parametrize(("variables", "region"), REGIONS.values(), ids=REGIONS)
async def test_the_region_is_the_sdks(
    environ: Environ, tmp_path: Path, variables: dict[str, str], region: str
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    environ(**{name: value.format(folder=tmp_path) for name, value in variables.items()})
    async with EcrTokenIssuer() as issuer:
        assert issuer.region == region
