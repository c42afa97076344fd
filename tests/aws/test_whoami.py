"""`check`'s look at the operator's own identity."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.whoami import WhoAmI
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY, Environ

REGION = "us-east-1"


@pytest.fixture
async def me() -> AsyncIterator[WhoAmI]:
    """Depend on it last, for it looks at the environment when it is made."""
    async with WhoAmI(SystemClock()) as made:
        yield made


@pytest.mark.usefixtures("user")
async def test_it_reports_where_the_keys_come_from_and_whose_they_are(aws: LocalAws, me: WhoAmI) -> None:
    assert (await me.origin(REGION)).startswith("the environment variables")
    assert await me.arn(REGION) == "arn:aws:iam::123456789012:user/lab"
    assert [(call.operation, call.region) for call in aws.calls] == [("GetCallerIdentity", REGION)]


async def test_without_keys_it_reports_where_it_looked(aws: LocalAws, me: WhoAmI) -> None:
    with pytest.raises(OperatorError, match="No usable AWS credentials") as caught:
        await me.origin(REGION)
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert aws.calls == []


@pytest.mark.usefixtures("user")
async def test_keys_that_aws_refuses_are_reported_without_being_shown(aws: LocalAws, me: WhoAmI) -> None:
    aws.keys.known = {}
    with pytest.raises(OperatorError, match="does not accept the keys") as caught:
        await me.arn(REGION)
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert [key for key in (ACCESS_KEY, SECRET_KEY) if key in shown] == []


@pytest.mark.usefixtures("user")
async def test_an_unreadable_answer_is_an_operator_error(aws: LocalAws, me: WhoAmI) -> None:
    for body in ("html", "empty"):
        aws.garble(body, times=1)
        with pytest.raises(OperatorError):
            await me.arn(REGION)


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
    async with WhoAmI(SystemClock()) as me:
        assert me.region == region
