"""What many identities cost: calls, clients, memory; and what a flood of regions can't do to the others."""

import asyncio
import gc
import time
from datetime import UTC, datetime

import psutil
import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.identity import Identity, IdentityPolicy
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.aws.sts import MAX_SESSIONS, RoleSessions
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws, decode_token
from tests.aws.tenants import Tenants

REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "us-east-2")
ROLES = 200
# Of an identity that is kept, with its four regions; the contract's bound.
MOST_BYTES = 200 * 1024
ANY_ROLE = IdentityPolicy(permitted_roles=("*",))

pytestmark = pytest.mark.usefixtures("user")


def role(number: int) -> Identity:
    """An identity of a namespace and role of its own."""
    return Identity(namespace=f"team-{number}", role_arn=f"arn:aws:iam::123456789012:role/puller-{number}")


def settled() -> int:
    """Resident memory once garbage is gone."""
    gc.collect()
    return psutil.Process().memory_info().rss


async def test_two_hundred_roles_in_four_regions_cost_one_call_each_and_little_memory(
    aws: LocalAws,
) -> None:
    async with EcrTokenIssuer(None, Tenants(), ANY_ROLE) as issuer:
        # What the first call of each service and region costs is paid by whoever is first.
        await asyncio.gather(*(issuer.issue(TokenSource(region=r, identity=role(ROLES))) for r in REGIONS))
        before, first = settled(), aws.count("AssumeRole")
        sources = [
            TokenSource(region=region, identity=role(number)) for number in range(ROLES) for region in REGIONS
        ]
        started = time.monotonic()
        tokens = await asyncio.gather(*(issuer.issue(source) for source in sources))
        took = time.monotonic() - started
        grown = (settled() - before) / ROLES
    assert first == len(REGIONS)
    assert aws.count("AssumeRole") == aws.count("GetAuthorizationToken") == len(sources) + first
    for source, token in zip(sources, tokens, strict=True):
        inside = decode_token(token.password)
        assert (aws.role_of(inside), inside.region) == (source.identity.role_arn, source.region)
    # The local AWS, which keeps each call and session, lives in this process too.
    print(f"{grown / 1024:.0f} KiB for each identity of four regions, {took:.1f} s for all")
    assert grown < MOST_BYTES


async def test_no_more_sessions_are_kept_than_the_bound_and_stale_ones_go_first() -> None:
    sessions = RoleSessions(SystemClock(), max_sessions=3)

    async def assume() -> dict[str, object]:
        return {
            "Credentials": {
                "AccessKeyId": "ASIA",
                "SecretAccessKey": "x",
                "SessionToken": "x",
                "Expiration": datetime(2999, 1, 1, tzinfo=UTC),
            }
        }

    for number in range(10):
        assert isinstance(await sessions.keys(role(number), "eu-west-1", None, assume), AwsKeys)
    assert len(sessions) == 3
    assert MAX_SESSIONS == 1024


async def test_a_thousand_made_up_regions_keep_neither_clients_nor_the_others_from_work(
    aws: LocalAws,
) -> None:
    async with EcrTokenIssuer(None, Tenants(), ANY_ROLE) as issuer:
        honest = TokenSource(region="eu-west-1")
        await issuer.issue(honest)
        at_first = settled()
        aws.fail("UnrecognizedClientException", region="eu-lab-1")
        # As many as the token cache ever has under way.
        under_way = asyncio.Semaphore(100)

        async def attack(number: int) -> None:
            source = TokenSource(region=f"eu-lab-{number}", identity=Identity(namespace="attacker"))
            async with under_way:
                try:
                    await issuer.issue(source)
                except OperatorError:
                    assert number == 1

        flood = [asyncio.create_task(attack(number)) for number in range(1000)]
        await asyncio.sleep(0)
        started = time.monotonic()
        assert await issuer.issue(honest)
        waited = time.monotonic() - started
        await asyncio.gather(*flood)
        grown = settled() - at_first
        assert await issuer.issue(honest)
        print(f"the honest call waited {waited:.1f} s; {grown >> 20} MiB more are resident after the flood")
        assert grown < 100 << 20
        assert len(issuer._clients) == 1  # noqa: SLF001 -- the bound is what it is about
