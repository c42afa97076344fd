"""STS: where the operator's own role is assumed, and how many sessions of other roles are kept."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.identity import Identity, IdentityPolicy
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.aws.sts import MAX_SESSIONS, RoleSessions
from lab.aws import LocalAws
from lab.connect_proxy import ConnectProxy
from tests.aws.asking import ROLE, refusal
from tests.aws.conftest import KEYS, Environ
from tests.aws.tenants import Tenants
from tests.fakes import FakeClock

CHINESE = "arn:aws-cn:iam::123456789012:role/puller"
STS, ECR = "AssumeRole", "GetAuthorizationToken"
ANY_ROLE = IdentityPolicy(permitted_roles=("*",))
# Each listed by the SDK.
MANY = [f"{place}-{number}" for place in ("us-east", "us-west", "eu-west", "eu-central") for number in (1, 2)]


@pytest.fixture
def role(config: Path) -> Path:
    """The operator's role by a profile; STS is signed for, so that the local AWS sees the region."""
    of_role = f"role_arn={ROLE}\nsource_profile=base\n"
    northern = f"[profile northern]\nregion=eu-north-1\n{of_role}"
    config.write_text(f"[default]\n{of_role}{northern}[profile base]\n{KEYS}")
    return config


def operator(*regions: str, policy: IdentityPolicy | None = None, seconds: float = 15.0) -> EcrTokenIssuer:
    """Make an issuer that serves resources of these regions, oldest first."""
    return EcrTokenIssuer(None, Tenants(), policy, call_seconds=seconds, regions=lambda: list(regions))


def asked(aws: LocalAws, operation: str = STS) -> list[str]:
    """The regions whose STS was asked, in order."""
    return [call.region for call in aws.select(operation)]


ORDER: dict[str, tuple[dict[str, str], list[str], str]] = {
    "AWS_REGION": ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, MANY, "eu-west-1"),
    "AWS_DEFAULT_REGION": ({"AWS_DEFAULT_REGION": "eu-west-2"}, MANY, "eu-west-2"),
    "one of the admin's own": ({"AWS_REGION": "lab-one"}, MANY, "lab-one"),
    "the oldest resource's": ({}, ["eu-west-3", "eu-west-1"], "eu-west-3"),
    "not a made-up one": ({}, ["made-up-1", "eu-north-9", "eu-west-1"], "eu-west-1"),
    "not one of another partition": ({}, ["cn-north-1", "us-gov-west-1", "eu-west-1"], "eu-west-1"),
    "the plain one of FIPS": ({}, ["fips-us-west-2", "eu-west-1"], "us-west-2"),
    "the partition's default": ({}, [], "us-east-1"),
    "that of the profile": ({"AWS_PROFILE": "northern"}, MANY, "eu-north-1"),
    "not a setting of another partition": ({"AWS_REGION": "cn-north-1"}, ["eu-west-1"], "eu-west-1"),
}


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize(("variables", "regions", "expected"), ORDER.values(), ids=ORDER)
async def test_the_first_hop_goes_to_one_region_whichever_is_asked_for(
    aws: LocalAws, environ: Environ, variables: dict[str, str], regions: list[str], expected: str
) -> None:
    environ(**variables)
    wanted = ["ap-south-1", "made-up-1", "eu-west-1"]
    async with operator(*regions) as issuer:
        for region in wanted:
            await issuer.issue(TokenSource(region=region))
    assert (asked(aws), asked(aws, ECR)) == ([expected], wanted)


TROUBLE: dict[str, Callable[[LocalAws], object]] = {
    "refuses": lambda aws: aws.fail("RegionDisabledException", 403, operation=STS, region="eu-west-1"),
    "is silent": lambda aws: aws.hang(operation=STS, region="eu-west-1"),
}


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("cause", TROUBLE.values(), ids=TROUBLE)
async def test_where_sts_fails_the_next_region_is_asked_from_then_on(
    aws: LocalAws, cause: Callable[[LocalAws], object]
) -> None:
    cause(aws)
    async with operator("eu-west-1", "eu-west-2", seconds=6.0) as issuer:
        assert await issuer.issue(TokenSource(region="eu-west-1"))
        assert asked(aws) == ["eu-west-1", "eu-west-2"]
        aws.keys.revoke_temporary()
        await refusal(issuer, TokenSource(region="eu-west-1"))
        assert await issuer.issue(TokenSource(region="eu-west-1"))
    assert asked(aws) == ["eu-west-1", "eu-west-2", "eu-west-2"]
    aws.release()


@pytest.mark.usefixtures("role")
async def test_the_last_is_the_partitions_default_and_the_first_failure_is_reported(aws: LocalAws) -> None:
    aws.fail("AccessDenied", 403, "Not authorized to perform sts:AssumeRole", operation=STS)
    async with operator("eu-west-1", "eu-west-2") as issuer:
        for _ in range(2):
            error = await refusal(issuer, TokenSource(region="ap-south-1"))
            assert error.reason is Reason.ACCESS_DENIED
            assert "AssumeRole in eu-west-1" in error.message
    assert asked(aws) == ["eu-west-1", "eu-west-2", "us-east-1"] * 2


@pytest.mark.usefixtures("role")
async def test_of_many_regions_that_fail_each_gets_its_turn(aws: LocalAws) -> None:
    aws.fail("AccessDenied", 403, operation=STS)
    async with operator(*MANY) as issuer:
        for _ in range(5):
            await refusal(issuer, TokenSource(region="ap-south-1"))
    # Three at a time; when all have failed it begins again.
    assert asked(aws) == [*MANY, MANY[0], *MANY[:6]]


@pytest.mark.usefixtures("role")
async def test_a_resource_in_another_partition_is_denied_and_its_aws_not_asked(aws: LocalAws) -> None:
    chained = Identity(namespace="team", role_arn=CHINESE)
    async with operator("cn-north-1", "eu-west-1", policy=ANY_ROLE) as issuer:
        for source in (
            TokenSource(region="cn-north-1"),
            TokenSource(region="eu-west-1", identity=chained),
            TokenSource(region="cn-north-1", identity=chained),
        ):
            error = await refusal(issuer, source)
            assert (type(error), error.reason) == (PermanentError, Reason.ACCESS_DENIED)
    assert (asked(aws), aws.count(ECR)) == (["eu-west-1"], 0)


@pytest.mark.usefixtures("role")
async def test_a_resources_role_is_assumed_in_its_region_after_the_first_hop(aws: LocalAws) -> None:
    source = TokenSource(region="us-west-2", identity=Identity(namespace="team", role_arn=f"{ROLE}-2"))
    async with operator("eu-west-1", policy=ANY_ROLE) as issuer:
        await issuer.issue(source)
    assert (asked(aws), asked(aws, ECR)) == (["eu-west-1", "us-west-2"], ["us-west-2"])


@pytest.mark.parametrize(
    ("arn", "regions", "names"),
    [
        (ROLE, ["cn-north-1", "made-up-1", "eu-north-9", "eu-west-1"], ["eu-west-1", "us-east-1"]),
        (CHINESE, ["eu-west-1", "cn-north-1"], ["cn-north-1", "cn-northwest-1"]),
    ],
)
async def test_a_web_identity_token_is_offered_to_no_other_partition_and_no_made_up_host(
    environ: Environ, web_token: Path, arn: str, regions: list[str], names: list[str]
) -> None:
    environ(AWS_ROLE_ARN=arn, AWS_WEB_IDENTITY_TOKEN_FILE=str(web_token))
    async with ConnectProxy(1) as proxy:
        proxy.refuse = 403
        environ(HTTPS_PROXY=proxy.url())
        async with operator(*regions) as issuer:
            for region in regions:
                if region != "made-up-1":
                    await refusal(issuer, TokenSource(region=region))
    suffix = "com.cn" if arn == CHINESE else "com"
    assert set(proxy.targets) == {f"sts.{name}.amazonaws.{suffix}:443" for name in names}


# Sessions of the roles that resources name.


async def test_no_more_sessions_are_kept_than_the_bound_and_stale_ones_go_first() -> None:
    clock = FakeClock()
    sessions = RoleSessions(clock, max_sessions=3)
    made: list[int] = []

    async def keys(number: int) -> None:
        async def assume() -> dict[str, object]:
            made.append(number)
            values = {"AccessKeyId": "ASIA", "SecretAccessKey": "x", "SessionToken": "x"}
            return {"Credentials": {**values, "Expiration": clock.now() + timedelta(hours=1)}}

        identity = Identity(namespace=f"team-{number}", role_arn=ROLE)
        assert isinstance(await sessions.keys(identity, "eu-west-1", None, assume), AwsKeys)

    for number in range(10):
        await keys(number)
    assert len(sessions) == 3
    await keys(7)
    assert len(made) == 10
    clock.skip(3600)
    await keys(10)
    assert len(sessions) == 1
    assert MAX_SESSIONS == 1024
