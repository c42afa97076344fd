"""The local AWS: which keys it accepts, what ends a call that hangs, and that moto answers alike.

The tests of `tests/aws` and `tests/cluster/attacks` depend on its faults and its names, and so hold them.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError

from lab.aws import LocalAws, decode_token
from lab.waiting import wait_for

USER = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "secret"}
ROLE = {"RoleArn": "arn:aws:iam::123456789012:role/puller", "RoleSessionName": "lab"}


@asynccontextmanager
async def client(url: str, service: str = "ecr", **options: Any) -> AsyncIterator[Any]:
    """The SDK's own client for a service behind this URL; it doesn't retry."""
    config = AioConfig(retries={"total_max_attempts": 1}).merge(options.pop("config", AioConfig()))
    settings = {"endpoint_url": url, "region_name": "eu-west-1", "config": config, "verify": False}
    async with AioSession().create_client(service, **{**settings, **USER, **options}) as made:
        yield made


async def code_of(call: Any) -> str:
    """Await a call that is refused, and return AWS's error code."""
    with pytest.raises(ClientError) as caught:
        await call
    return str(caught.value.response["Error"]["Code"])


def password_of(answer: dict[str, Any]) -> str:
    token = answer["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().removeprefix("AWS:")


async def test_a_token_holds_its_request_and_is_as_long_as_ecrs(aws: LocalAws) -> None:
    aws.token_life = 30
    async with client(aws.url, region_name="ap-south-1") as ecr:
        password = password_of(await ecr.get_authorization_token())
    token = decode_token(password)
    assert (token.serial, token.region, token.service) == (1, "ap-south-1", "ecr")
    assert token.access_key == USER["aws_access_key_id"]
    assert token.expires_at - token.issued_at == pytest.approx(30)
    assert 1500 <= len(password) <= 2048
    for other in ("", "AWS", "e30=", base64.b64encode(b'{"filler":""}').decode()):
        with pytest.raises(ValueError, match="not a token of the local AWS"):
            decode_token(other)


async def test_unknown_keys_and_wrong_signatures_are_refused_with_the_services_own_codes(
    aws: LocalAws,
) -> None:
    async with client(aws.url) as ecr, client(aws.url, "sts") as sts:
        aws.keys.known = {}
        assert await code_of(ecr.get_authorization_token()) == "UnrecognizedClientException"
        assert await code_of(sts.get_caller_identity()) == "InvalidClientTokenId"
        aws.keys.known = {USER["aws_access_key_id"]: "another"}
        assert await code_of(ecr.get_authorization_token()) == "InvalidSignatureException"
        assert await code_of(sts.get_caller_identity()) == "SignatureDoesNotMatch"
        aws.keys.known = {USER["aws_access_key_id"]: USER["aws_secret_access_key"]}
        assert await ecr.get_authorization_token()
        for aws.keys.clock_offset in (-301.0, 301.0):
            assert await code_of(ecr.get_authorization_token()) == "InvalidSignatureException"
    async with client(aws.url, config=AioConfig(signature_version=UNSIGNED)) as ecr:
        assert await code_of(ecr.get_authorization_token()) == "MissingAuthenticationTokenException"


async def test_what_hangs_is_reset_at_the_end() -> None:
    async with LocalAws() as aws, client(aws.url) as ecr:
        aws.hang()
        asked = asyncio.create_task(ecr.get_authorization_token())
        await wait_for(lambda: aws.count(outcome="pending"))
        async with asyncio.timeout(5):
            await aws.__aexit__()
        with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
            await asked


def shape(value: Any) -> Any:
    """Reduce an answer to its keys and types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items()) if key != "ResponseMetadata"}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def content_type(answer: dict[str, Any]) -> str:
    return str(answer["ResponseMetadata"]["HTTPHeaders"]["content-type"]).partition(";")[0]


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("ecr", "get_authorization_token", {}),
        ("sts", "get_caller_identity", {}),
        ("sts", "assume_role", ROLE),
        ("sts", "assume_role_with_web_identity", {"WebIdentityToken": "header.payload.signature", **ROLE}),
    ],
)
async def test_moto_answers_in_the_same_shape(
    aws: LocalAws, moto: str, service: str, operation: str, parameters: dict[str, str]
) -> None:
    async with client(aws.url, service) as ours, client(moto, service) as theirs:
        mine, other = [await getattr(each, operation)(**parameters) for each in (ours, theirs)]
    assert (shape(mine), content_type(mine)) == (shape(other), content_type(other))
