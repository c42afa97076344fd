"""Calls to AWS: clients kept and closed, keys per call, metrics, and what many identities cost."""

import asyncio
import base64
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import psutil
import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from ecr_operator.api.identity import Identity, IdentityPolicy
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.client import AwsClients, Target
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.core.ports import SystemClock
from ecr_operator.telemetry.metrics import Metrics
from lab.aws import LocalAws, decode_token
from lab.waiting import wait_for
from tests.aws.asking import IRELAND, OHIO, refusal
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY
from tests.aws.tenants import Tenants
from tests.telemetry.reading import scrape

KEYS = AwsKeys(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
OPERATION = "get_authorization_token"
# Each listed by the SDK.
LISTED = ("eu-west-1", "eu-west-2", "us-east-1", "us-east-2")

pytestmark = pytest.mark.usefixtures("user")


def ecr(region: str) -> Target:
    """The private ECR of a region."""
    return Target("ecr", region)


def new_session() -> AioSession:
    """A session of the SDK."""
    return OperatorCredentials(None, SystemClock(), seconds=1).session


@pytest.fixture
def session(aws: LocalAws) -> AioSession:
    """A session that talks to the local AWS."""
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


async def test_a_client_of_a_listed_region_is_kept_for_the_next_call(
    session: AioSession, clients: AwsClients
) -> None:
    for region in LISTED:
        assert await lent(clients, session, region) is await lent(clients, session, region)
    assert len(clients) == len(LISTED)


@pytest.mark.parametrize("region", ["eu-lab-1", "fips-eu-lab-1"])
async def test_a_client_of_any_other_region_is_closed_with_its_call(
    session: AioSession, clients: AwsClients, region: str
) -> None:
    assert await lent(clients, session, region) is not await lent(clients, session, region)
    assert len(clients) == 0


async def test_a_region_that_refuses_keeps_its_client(
    aws: LocalAws, session: AioSession, clients: AwsClients
) -> None:
    aws.fail("AccessDeniedException", 403)
    with pytest.raises(ClientError):
        await clients.call(session, ecr("eu-west-1"), KEYS, OPERATION)
    assert len(clients) == 1


async def test_another_session_closes_the_clients_of_the_last_one_after_their_calls(
    aws: LocalAws, session: AioSession, clients: AwsClients
) -> None:
    for region in LISTED:
        await clients.call(session, ecr(region), KEYS, OPERATION)
    aws.hang(region="eu-west-1")
    under_way = asyncio.create_task(clients.call(session, ecr("eu-west-1"), KEYS, OPERATION))
    await wait_for(lambda: aws.count() == len(LISTED) + 1)
    await clients.call(new_session(), ecr("us-east-2"), KEYS, OPERATION)
    assert len(clients) == 1
    aws.release()
    assert await under_way


class SlowSession:
    """Stands for a session of the SDK whose clients take their time to close."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.may_close = asyncio.Event()

    def register_component(self, name: str, component: object) -> None:
        """As of the SDK."""

    @asynccontextmanager
    async def create_client(self, service: str, *, region_name: str, config: object) -> AsyncIterator[object]:
        """As of the SDK."""
        self.open.add(region_name)
        try:
            yield (service, config)
        finally:
            await self.may_close.wait()
            self.open.discard(region_name)


async def test_a_change_of_session_that_is_cancelled_leaves_no_client_of_the_last_one(
    clients: AwsClients,
) -> None:
    last, present = cast("AioSession", SlowSession()), cast("AioSession", SlowSession())
    slow = cast("SlowSession", last)
    cast("SlowSession", present).may_close.set()

    async def lend(session: AioSession, region: str) -> None:
        async with clients.lend(session, ecr(region)):
            pass

    for region in LISTED:
        await lend(last, region)
    change = asyncio.create_task(lend(present, LISTED[0]))
    await asyncio.sleep(0)
    change.cancel()
    await asyncio.wait((change,))
    slow.may_close.set()
    await lend(present, LISTED[0])
    assert len(slow.open) <= 1, "more than the one whose close was cancelled"
    assert len(clients) == 1


async def test_calls_with_different_keys_share_a_client_and_never_their_keys(
    aws: LocalAws, session: AioSession, clients: AwsClients
) -> None:
    aws.keys.known = None
    names = [f"AKIA{number:04}" for number in range(60)]

    async def signer(name: str) -> str:
        keys = AwsKeys(access_key=name, secret_key=SECRET_KEY)
        answer = await clients.call(session, ecr("eu-west-1"), keys, OPERATION)
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        return decode_token(token.removeprefix("AWS:")).access_key

    assert await asyncio.gather(*map(signer, names)) == names
    assert len(clients) == 1


async def test_a_call_without_keys_is_never_signed(
    aws: LocalAws, session: AioSession, clients: AwsClients
) -> None:
    with pytest.raises(LookupError):
        await clients.call(session, ecr("eu-west-1"), None, OPERATION)
    assert not aws.calls


# Metrics.


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
    await noted.issuer.issue(TokenSource(region="us-east-1", service="ecr-public"))
    aws.fail("ThrottlingException", region="eu-west-1")
    await refusal(noted.issuer)
    aws.clear()
    aws.hang()
    await refusal(noted.issuer, OHIO)
    aws.clear()
    assert noted.calls() == {
        ("ecr:GetAuthorizationToken", "eu-west-1", "Success"): 1,
        ("ecr-public:GetAuthorizationToken", "us-east-1", "Success"): 1,
        ("ecr:GetAuthorizationToken", "eu-west-1", "Throttled"): 1,
        ("ecr:GetAuthorizationToken", "us-east-2", "AWSUnavailable"): 1,
    }
    assert scrape(noted.metrics.registry).value("aws_call_duration_seconds_sum", region="us-east-2") >= 1


async def test_listed_regions_of_every_partition_have_a_series_and_all_others_share_one(noted: Noted) -> None:
    listed = ["us-east-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1"]
    for region in [*listed, "fips-us-east-1", "xx-made-up-1", "xx-made-up-2"]:
        await noted.issuer.issue(TokenSource(region=region))
    counts = {region: count for (_, region, _), count in noted.calls().items()}
    assert counts == {**dict.fromkeys(listed, 1), "us-east-1": 2, "other": 2}


# What many identities cost.

ROLES = 100
# Of an identity that is kept, with its four regions; the contract's bound.
MAX_BYTES = 200 * 1024


def role(number: int) -> Identity:
    """An identity with a namespace and role of its own."""
    return Identity(namespace=f"team-{number}", role_arn=f"arn:aws:iam::123456789012:role/puller-{number}")


def resident() -> int:
    """Resident memory once garbage is gone."""
    gc.collect()
    return psutil.Process().memory_info().rss


async def test_a_hundred_roles_in_four_regions_cost_one_call_each_and_little_memory(aws: LocalAws) -> None:
    async with EcrTokenIssuer(None, Tenants(), IdentityPolicy(permitted_roles=("*",))) as issuer:
        # The first call of each service and region pays for its client.
        await asyncio.gather(*(issuer.issue(TokenSource(region=r, identity=role(ROLES))) for r in LISTED))
        before, first = resident(), aws.count("AssumeRole")
        sources = [TokenSource(region=r, identity=role(number)) for number in range(ROLES) for r in LISTED]
        tokens = []
        for at in range(0, len(sources), 50):
            tokens += await asyncio.gather(*(issuer.issue(source) for source in sources[at : at + 50]))
        grown = (resident() - before) / ROLES
    assert first == len(LISTED)
    assert aws.count("AssumeRole") == aws.count("GetAuthorizationToken") == len(sources) + first
    for source, token in zip(sources, tokens, strict=True):
        inside = decode_token(token.password)
        assert (aws.role_of(inside), inside.region) == (source.identity.role_arn, source.region)
    # The local AWS, which keeps each call and session, runs in this process too.
    assert grown < MAX_BYTES, f"{grown / 1024:.0f} KiB for each identity of four regions"
