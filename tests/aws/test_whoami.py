"""Who we are to AWS, for a person who asks."""

import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.whoami import WhoAmI
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY

REGION = "us-east-1"


@pytest.fixture
async def me() -> AsyncIterator[WhoAmI]:
    """Depend on it last, for it looks at the environment when it is made."""
    async with WhoAmI(SystemClock()) as made:
        yield made


def write(folder: Path, text: str) -> str:
    path = folder / "config"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return str(path)


async def test_it_tells_where_the_keys_come_from_and_whose_they_are(
    aws: LocalAws, user: None, me: WhoAmI
) -> None:
    assert user is None
    assert (await me.origin(REGION)).startswith("the environment variables")
    assert await me.arn(REGION) == "arn:aws:iam::123456789012:user/lab"
    assert [(call.operation, call.region) for call in aws.calls] == [("GetCallerIdentity", REGION)]


async def test_without_keys_it_says_where_it_looked(aws: LocalAws, me: WhoAmI) -> None:
    with pytest.raises(OperatorError, match="No usable AWS credentials") as caught:
        await me.origin(REGION)
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert aws.calls == []


async def test_keys_that_aws_does_not_know_are_told_without_being_shown(
    aws: LocalAws, user: None, me: WhoAmI
) -> None:
    assert user is None
    aws.keys.known = {}
    with pytest.raises(OperatorError, match="does not accept the keys") as caught:
        await me.arn(REGION)
    redacted = f"{caught.value!r} {caught.value.__cause__!r}"
    assert ACCESS_KEY not in redacted
    assert SECRET_KEY not in redacted


@pytest.mark.parametrize("body", ["html", "empty"])
async def test_an_answer_that_is_none_is_an_error_of_ours(
    aws: LocalAws, user: None, me: WhoAmI, body: str
) -> None:
    assert user is None
    aws.garble(body)
    with pytest.raises(OperatorError):
        await me.arn(REGION)


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1", id="the SDK's variable"),
        pytest.param({"AWS_PROFILE": "nope"}, "", id="a profile that is not there"),
    ],
)
async def test_the_region_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with WhoAmI(SystemClock()) as me:
        assert me.region == region


async def test_the_region_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", write(tmp_path, "[default]\nregion = eu-north-1\n"))
    async with WhoAmI(SystemClock()) as me:
        assert me.region == "eu-north-1"
