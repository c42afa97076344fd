"""EcrTokenIssuer over real HTTP: good tokens, every way of failing, and nothing secret in what it says."""

import asyncio
import base64
import gc
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import structlog.testing
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError
from structlog.typing import EventDict

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.client import AwsClients, Target
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.ecr import EcrTokenIssuer, RegionMismatches
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.core.ports import SystemClock, TokenIssuer
from ecr_operator.telemetry.metrics import Metrics
from lab.aws import LocalAws, decode_token
from lab.aws_faults import GARBAGE
from lab.waiting import wait_for
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY
from tests.telemetry.reading import scrape

IRELAND = TokenSource(region="eu-west-1")
OHIO = TokenSource(region="us-east-2")
PUBLIC = TokenSource(region="us-east-1", service="ecr-public")

pytestmark = pytest.mark.usefixtures("user")


@dataclass
class StoppedClock(SystemClock):
    """A wall clock that stands still."""

    at: datetime

    def now(self) -> datetime:
        """The time at which it stands."""
        return self.at


async def failure(issuer: TokenIssuer, source: TokenSource = IRELAND) -> OperatorError:
    """Ask for a token and return the error that comes in its place."""
    with pytest.raises(OperatorError) as caught:
        await issuer.issue(source)
    return caught.value


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


def told_elsewhere(logs: list[EventDict]) -> list[tuple[str, str]]:
    """The region asked and the one answered, of each line that tells of two."""
    return [(line["region"], line["answered_region"]) for line in logs if "answered_region" in line]


async def test_a_registry_of_another_region_is_logged_once_per_source_and_not_refused(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    with structlog.testing.capture_logs() as logs:
        await issuer.issue(IRELAND)
        await issuer.issue(PUBLIC)
        assert told_elsewhere(logs) == []
        aws.services.registry_region = "us-west-2"
        for source in (IRELAND, OHIO, IRELAND, PUBLIC):
            assert await issuer.issue(source)
        assert told_elsewhere(logs) == [("eu-west-1", "us-west-2"), ("us-east-2", "us-west-2")]
        # It was right in between: what goes wrong again is news again.
        aws.services.registry_region = ""
        await issuer.issue(IRELAND)
        aws.services.registry_region = "us-west-2"
        await issuer.issue(IRELAND)
        assert told_elsewhere(logs)[2:] == [("eu-west-1", "us-west-2")]
    assert not [line for line in logs if line["log_level"] != "warning"]


def test_what_is_known_of_other_regions_is_bounded_and_told_as_its_namespace_s() -> None:
    elsewhere = RegionMismatches()
    of_team = TokenSource(region="eu-west-1", identity=Identity(namespace="team", name="puller"))
    with structlog.testing.capture_logs() as logs:
        elsewhere.compare(of_team, "us-west-2")
        for number in range(255):
            elsewhere.compare(TokenSource(region=f"xx-{number}"), "us-west-2")
        elsewhere.compare(of_team, "us-west-2")
        assert [line.get("namespace") for line in logs] == ["team"] + [None] * 255
        elsewhere.compare(OHIO, "us-west-2")
        elsewhere.compare(of_team, "us-west-2")
    assert [line.get("namespace") for line in logs[256:]] == [None, "team"]


@pytest.mark.parametrize("region", ["fips-us-east-2", "us-east-2-fips"])
async def test_a_fips_form_is_the_same_region(aws: LocalAws, issuer: EcrTokenIssuer, region: str) -> None:
    aws.services.registry_region = "us-east-2"
    with structlog.testing.capture_logs() as logs:
        await issuer.issue(TokenSource(region=region))
    assert told_elsewhere(logs) == []


async def test_ecr_public_whose_answer_is_no_list_gives_a_token_too(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    inside = decode_token((await issuer.issue(PUBLIC)).password)
    assert (inside.service, inside.region) == ("ecr-public", "us-east-1")
    assert aws.calls[0].service == "ecr-public"


async def test_the_time_of_issue_is_the_clock_s_and_not_the_machine_s(aws: LocalAws) -> None:
    at = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    async with EcrTokenIssuer(StoppedClock(at)) as issuer:
        assert (await issuer.issue(IRELAND)).issued_at == at
    assert aws.count() == 1


async def test_an_expiry_that_our_clock_puts_in_the_past_is_refused_and_named(aws: LocalAws) -> None:
    async with EcrTokenIssuer(StoppedClock(datetime.now(UTC) + timedelta(days=1))) as issuer:
        error = await failure(issuer)
    assert error.reason is Reason.INVALID_TOKEN_RESPONSE
    assert "in the past" in error.message
    assert aws.count(outcome="answered") == 1


async def test_an_endpoint_of_one_service_beats_that_of_all(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    async with LocalAws() as other:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", other.url)
        await issuer.issue(IRELAND)
        await issuer.issue(PUBLIC)
    assert [call.service for call in other.calls] == ["ecr"]
    assert [call.service for call in aws.calls] == ["ecr-public"]


async def test_a_warm_issuer_works_as_a_cold_one(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
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
async def test_garbage_is_named_as_such_and_asked_for_again(
    aws: LocalAws, issuer: EcrTokenIssuer, source: TokenSource, body: str
) -> None:
    aws.garble(body, times=1)
    error = await failure(issuer, source)
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
async def test_a_failure_comes_with_its_reason_after_one_call_and_is_over_when_aws_is_well_again(
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
        error = await failure(issuer)
        assert type(error) is kind
        assert error.reason is reason
        assert "eu-west-1" in error.message
        assert aws.count() == 1
        aws.clear()
        assert await issuer.issue(IRELAND)


async def test_a_broken_region_leaves_the_others_alone(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.fail("InternalFailure", 500, region="eu-west-1")
    assert (await failure(issuer, IRELAND)).reason is Reason.AWS_UNAVAILABLE
    assert await issuer.issue(OHIO)


async def test_throttling_hands_on_how_long_to_wait(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    aws.throttle(retry_after=7)
    assert (await failure(issuer)).retry_after == 7


async def test_a_denial_says_what_aws_says_and_what_to_allow(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    said = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: ecr:GetAuthorizationToken"
    aws.fail("AccessDeniedException", 400, said)
    message = (await failure(issuer)).message
    assert said in message
    assert "Allow ecr:GetAuthorizationToken" in message


async def test_an_aws_that_says_nothing_is_left_in_bounded_time(aws: LocalAws) -> None:
    aws.hang()
    async with EcrTokenIssuer(call_seconds=0.3) as issuer:
        error = await failure(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "in time" in error.message
    await wait_for(lambda: aws.count(outcome="gone") == 1)


async def test_an_aws_that_nobody_runs_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalAws() as gone:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gone.url)
    async with EcrTokenIssuer() as issuer:
        error = await failure(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "can't be reached" in error.message


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


async def test_an_endpoint_that_is_no_url_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://not a url")
    async with EcrTokenIssuer() as issuer:
        error = await failure(issuer)
    assert isinstance(error, PermanentError)
    assert "AWS_ENDPOINT_URL" in error.message


async def test_a_region_that_can_be_none_blames_the_spec(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    error = await failure(issuer, TokenSource(region="eu_west_1"))
    assert isinstance(error, PermanentError)
    assert error.reason is Reason.INVALID_SPEC
    assert not aws.calls


async def test_a_ca_bundle_that_is_absent_is_named(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url.replace("http:", "https:"))
    error = await failure(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "AWS_CA_BUNDLE" in error.message


async def test_a_server_without_tls_is_told_from_one_that_is_away(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url.replace("http:", "https:"))
    assert "TLS" in (await failure(issuer)).message


async def test_a_node_whose_clock_is_wrong_is_told_so(aws: LocalAws, issuer: EcrTokenIssuer) -> None:
    for offset in (-3600.0, 3600.0):
        aws.keys.clock_offset = offset
        error = await failure(issuer)
        assert isinstance(error, TransientError)
        assert "clock" in error.message


async def test_a_secret_key_that_does_not_fit_is_told_from_an_unknown_one(
    aws: LocalAws, issuer: EcrTokenIssuer
) -> None:
    aws.keys.known = {ACCESS_KEY: "another"}
    assert "does not belong to its access key id" in (await failure(issuer)).message
    aws.keys.known = {}
    assert "does not accept the keys from the environment variables" in (await failure(issuer)).message


# The pool that keeps clients for the next call.


def ecr(region: str) -> Target:
    """The private ECR of a region."""
    return Target("ecr", region)


@pytest.fixture
def session(aws: LocalAws) -> AioSession:
    """A session of the SDK that talks to the local AWS."""
    assert not aws.calls
    return OperatorCredentials(None, SystemClock(), seconds=1).session


KEYS = AwsKeys(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
OPERATION = "get_authorization_token"


# Each listed by the SDK.
LISTED = ("eu-west-1", "eu-west-2", "eu-west-3", "us-east-1", "us-east-2")


async def lent(clients: AwsClients, session: AioSession, region: str) -> object:
    """Make a call, and return the client that would serve the next one."""
    await clients.call(session, ecr(region), KEYS, OPERATION)
    async with clients.lend(session, ecr(region)) as client:
        return client


async def test_a_region_that_refuses_keeps_its_client(aws: LocalAws, session: AioSession) -> None:
    pool = AwsClients()
    aws.fail("AccessDeniedException", 403)
    with pytest.raises(ClientError):
        await pool.call(session, ecr("eu-west-1"), KEYS, OPERATION)
    assert len(pool) == 1
    await pool.close()


async def test_another_session_closes_the_clients_of_the_last_one(session: AioSession) -> None:
    pool = AwsClients()
    for region in LISTED:
        await pool.call(session, ecr(region), KEYS, OPERATION)
    other = OperatorCredentials(None, SystemClock(), seconds=1).session
    await pool.call(other, ecr("eu-west-1"), KEYS, OPERATION)
    assert len(pool) == 1
    await pool.close()


async def test_calls_with_different_keys_share_a_client_and_never_their_keys(
    aws: LocalAws, session: AioSession
) -> None:
    pool = AwsClients()
    aws.keys.known = None
    names = [f"AKIA{number:04}" for number in range(60)]

    async def signer(name: str) -> str:
        keys = AwsKeys(access_key=name, secret_key=SECRET_KEY)
        answer = await pool.call(session, ecr("eu-west-1"), keys, OPERATION)
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        return decode_token(token.removeprefix("AWS:")).access_key

    assert await asyncio.gather(*map(signer, names)) == names
    assert len(pool) == 1
    await pool.close()


async def test_a_call_without_keys_is_never_signed(aws: LocalAws, session: AioSession) -> None:
    pool = AwsClients()
    with pytest.raises(LookupError):
        await pool.call(session, ecr("eu-west-1"), None, OPERATION)
    await pool.close()
    assert not aws.calls


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


@dataclass
class Noted:
    """An issuer whose calls are noted."""

    metrics: Metrics
    issuer: EcrTokenIssuer

    def calls(self) -> dict[tuple[str, str, str], float]:
        """Return the counts by operation, region and outcome."""
        family = next(each for each in self.metrics.registry.collect() if each.name.endswith("aws_calls"))
        return {
            (sample.labels["operation"], sample.labels["region"], sample.labels["outcome"]): sample.value
            for sample in family.samples
        }


@pytest.fixture
async def noted(aws: LocalAws) -> AsyncIterator[Noted]:
    """The operator's issuer, at the local AWS."""
    assert aws.url
    metrics = Metrics()
    async with EcrTokenIssuer(metrics=metrics, call_seconds=1) as made:
        yield Noted(metrics, made)


async def test_calls_are_counted_by_operation_region_and_outcome(aws: LocalAws, noted: Noted) -> None:
    await noted.issuer.issue(IRELAND)
    await noted.issuer.issue(PUBLIC)
    aws.fail("ThrottlingException", region="eu-west-1")
    await failure(noted.issuer)
    aws.clear()
    aws.hang()
    await failure(noted.issuer, OHIO)
    aws.clear()
    assert noted.calls() == {
        ("ecr:GetAuthorizationToken", "eu-west-1", "Success"): 1,
        ("ecr-public:GetAuthorizationToken", "us-east-1", "Success"): 1,
        ("ecr:GetAuthorizationToken", "eu-west-1", "Throttled"): 1,
        ("ecr:GetAuthorizationToken", "us-east-2", "AWSUnavailable"): 1,
    }
    assert scrape(noted.metrics.registry).value("aws_call_duration_seconds_sum", region="us-east-2") >= 1


async def test_regions_that_users_make_up_share_one_series(noted: Noted) -> None:
    for number in range(5):
        await noted.issuer.issue(TokenSource(region=f"xx-made-up-{number}"))
    assert noted.calls() == {("ecr:GetAuthorizationToken", "other", "Success"): 5}


@pytest.mark.parametrize(
    "region", ["us-east-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1"]
)
async def test_regions_of_every_partition_have_their_own(noted: Noted, region: str) -> None:
    await noted.issuer.issue(TokenSource(region=region))
    assert noted.calls() == {("ecr:GetAuthorizationToken", region, "Success"): 1}
