"""Calls to AWS: clients kept and closed, keys per call, and metrics."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from ecr_operator.api.token import TokenSource
from ecr_operator.aws.client import AwsClients, Target
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.core.ports import SystemClock
from ecr_operator.telemetry.metrics import Metrics
from lab.aws import LocalAws, decode_token
from lab.waiting import wait_for
from tests.aws.asking import OHIO, refusal
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY
from tests.telemetry.reading import scrape

KEYS = AwsKeys(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
OPERATION = "get_authorization_token"
SECONDS = 0.5
# Each listed by the SDK.
LISTED = ("eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "fips-us-east-1")

pytestmark = pytest.mark.usefixtures("user")


def ecr(region: str) -> Target:
    return Target("ecr", region)


def new_session() -> AioSession:
    return OperatorCredentials(SystemClock(), seconds=1).session


@pytest.fixture
def session(aws: LocalAws) -> AioSession:
    assert not aws.calls
    return new_session()


@pytest.fixture
async def clients() -> AsyncIterator[AwsClients]:
    """The clients, of which none is left in the end."""
    made = AwsClients()
    yield made
    await made.close()
    assert len(made) == 0


async def lent(clients: AwsClients, session: AioSession, region: str) -> object:
    """Make a call, and return the client that would serve the next one."""
    await clients.call(session, ecr(region), KEYS, OPERATION)
    async with clients.lend(session, ecr(region)) as client:
        return client


async def test_a_client_of_a_listed_region_is_kept_whatever_aws_answers(
    aws: LocalAws, session: AioSession, clients: AwsClients
) -> None:
    for region in LISTED:
        assert await lent(clients, session, region) is await lent(clients, session, region)
    aws.fail("AccessDeniedException", 403)
    with pytest.raises(ClientError):
        await clients.call(session, ecr("eu-west-1"), KEYS, OPERATION)
    assert len(clients) == len(LISTED)


@pytest.mark.parametrize("region", ["eu-lab-1", "fips-eu-lab-1", "fips-eu-west-1"])
async def test_an_unlisted_regions_client_is_not_kept(
    session: AioSession, clients: AwsClients, region: str
) -> None:
    assert await lent(clients, session, region) is not await lent(clients, session, region)
    assert len(clients) == 0


async def test_another_session_closes_the_last_ones_clients_after_their_calls(
    aws: LocalAws, session: AioSession, clients: AwsClients
) -> None:
    for region in LISTED:
        await clients.call(session, ecr(region), KEYS, OPERATION)
    aws.hang(region="eu-west-1")
    abandoned, under_way = (
        asyncio.create_task(clients.call(session, ecr("eu-west-1"), KEYS, OPERATION)) for _ in range(2)
    )
    await wait_for(lambda: aws.count() == len(LISTED) + 2)
    await clients.call(new_session(), ecr("us-east-2"), KEYS, OPERATION)
    assert len(clients) == 1
    abandoned.cancel()
    await asyncio.wait((abandoned,))
    aws.release()
    assert await under_way


class SlowSession(AioSession):  # type: ignore[misc] # the SDK has no types
    """A session of the SDK whose clients take their time to close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[str] = set()
        self.may_close = asyncio.Event()

    @asynccontextmanager
    async def create_client(self, service: str, *, region_name: str, config: object) -> AsyncIterator[object]:
        """Note what is open."""
        self.open.add(region_name)
        try:
            yield (service, config)
        finally:
            await self.may_close.wait()
            self.open.discard(region_name)


async def test_a_cancelled_change_of_session_leaves_no_client_of_the_last_one(clients: AwsClients) -> None:
    last, present = SlowSession(), SlowSession()
    present.may_close.set()

    async def lend(session: AioSession, *regions: str) -> None:
        for region in regions:
            async with clients.lend(session, ecr(region)):
                pass

    await lend(last, *LISTED)
    change = asyncio.create_task(lend(present, LISTED[0]))
    await asyncio.sleep(0)
    change.cancel()
    await asyncio.wait((change,))
    last.may_close.set()
    await lend(present, LISTED[0])
    assert len(last.open) <= 1, "more than the one whose close was cancelled"
    assert len(clients) == 1


async def test_calls_with_different_keys_share_a_client_and_never_their_keys(
    aws: LocalAws, session: AioSession, clients: AwsClients
) -> None:
    aws.keys.known = None
    names = [f"AKIA{number:04}" for number in range(20)]

    async def signer(name: str) -> str:
        keys = AwsKeys(access_key=name, secret_key=SECRET_KEY)
        answer = await clients.call(session, ecr("eu-west-1"), keys, OPERATION)
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        return decode_token(token.removeprefix("AWS:")).access_key

    assert await asyncio.gather(*map(signer, names)) == names
    assert len(clients) == 1


async def test_a_call_without_keys_fails(aws: LocalAws, session: AioSession, clients: AwsClients) -> None:
    with pytest.raises(LookupError):
        await clients.call(session, ecr("eu-west-1"), None, OPERATION)
    assert not aws.calls


# Metrics.


@pytest.mark.usefixtures("session")
async def test_calls_are_counted_by_operation_outcome_and_listed_region(aws: LocalAws) -> None:
    metrics = Metrics()
    partitions = ["us-east-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1"]
    async with EcrTokenIssuer(metrics=metrics, call_seconds=SECONDS) as issuer:
        for region in [*partitions, "fips-us-east-1", "xx-made-up-1", "xx-made-up-2"]:
            await issuer.issue(TokenSource(region=region))
        await issuer.issue(TokenSource(region="us-east-1", service="ecr-public"))
        aws.fail("ThrottlingException", region="eu-west-1")
        await refusal(issuer)
        aws.clear()
        aws.hang()
        await refusal(issuer, OHIO)
        aws.clear()
    counted = scrape(metrics.registry)
    expected = {
        **{("ecr", region, "Success"): 1 for region in partitions},
        ("ecr", "us-east-1", "Success"): 2,
        ("ecr", "other", "Success"): 2,
        ("ecr-public", "us-east-1", "Success"): 1,
        ("ecr", "eu-west-1", "Throttled"): 1,
        ("ecr", "us-east-2", "AWSUnavailable"): 1,
    }
    for (service, region, outcome), count in expected.items():
        labels = {"operation": f"{service}:GetAuthorizationToken", "region": region, "outcome": outcome}
        assert counted.value("aws_calls_total", **labels) == count
    assert counted.value("aws_calls_total") == sum(expected.values())
    assert counted.value("aws_call_duration_seconds_sum", region="us-east-2") >= SECONDS
