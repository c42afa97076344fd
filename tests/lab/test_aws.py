"""The local AWS: whom it lets in, what ends what hangs, its real names, and that moto agrees with it.

Its faults and the rest are held by the tests of `tests/aws`, which go by them.
"""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError
from moto.server import ThreadedMotoServer

from lab.aws import LocalAws, decode_token
from lab.names import ASKED, aws_by_name
from lab.waiting import wait_for

USER = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "secret"}
ROLE = {"RoleArn": "arn:aws:iam::123456789012:role/puller", "RoleSessionName": "lab"}
STS = "sts.eu-west-1.amazonaws.com"
RESOLVE = f"""
import http.client, ssl, socket
connection = http.client.HTTPSConnection("{STS}", context=ssl.create_default_context(cafile="{{ca}}"))
form = {{{{"Content-Type": "application/x-www-form-urlencoded"}}}}
connection.request("POST", "/", "Action=GetCallerIdentity", form)
print(connection.getresponse().status)
try:
    socket.getaddrinfo("sts.made-up-1.amazonaws.com", 443)
except socket.gaierror:
    print("unknown")
print(socket.getaddrinfo("127.0.0.1", 99)[0][4])
"""


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS."""
    async with LocalAws() as local:
        yield local


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
    for other in ("", "AWS", "e30=", base64.b64encode(b'{"payload":"e30="}').decode()):
        with pytest.raises(ValueError, match="not a token of the local AWS"):
            decode_token(other)


async def test_unknown_keys_and_wrong_signatures_are_refused_in_each_protocols_words(aws: LocalAws) -> None:
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


async def test_keys_of_an_assumed_role_are_accepted_until_they_expire(aws: LocalAws) -> None:
    async with client(aws.url, "sts") as sts:
        issued = (await sts.assume_role(**ROLE))["Credentials"]
    role = {
        "aws_access_key_id": issued["AccessKeyId"],
        "aws_secret_access_key": issued["SecretAccessKey"],
        "aws_session_token": issued["SessionToken"],
    }
    async with client(aws.url, "sts", **role) as sts, client(aws.url, **role) as ecr:
        assert (await sts.get_caller_identity())["Arn"].endswith(":assumed-role/puller/lab")
        assert await ecr.get_authorization_token()
        aws.keys.revoke_temporary()
        assert await code_of(ecr.get_authorization_token()) == "ExpiredTokenException"
        assert await code_of(sts.get_caller_identity()) == "ExpiredToken"


async def test_what_hangs_is_answered_on_release_and_reset_at_the_end() -> None:
    async with LocalAws() as aws, client(aws.url) as ecr:
        for ended in (False, True):
            aws.hang()
            asked = asyncio.create_task(ecr.get_authorization_token())
            await wait_for(lambda: aws.count(outcome="pending"))
            if not ended:
                aws.clear()
                assert decode_token(password_of(await asked))
                continue
            async with asyncio.timeout(5):
                await aws.__aexit__(None, None, None)
            with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
                await asked


async def test_a_child_finds_it_by_awss_names_and_waits_for_slow_ones(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with aws_by_name(tmp_path, STS, slow=("*.made-up-1.*",), seconds=0.2) as (aws, env):
        given = {"PATH": os.environ["PATH"], **{name: value for name, value in env.items() if value}}
        script = RESOLVE.format(ca=env["AWS_CA_BUNDLE"])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, env=given, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await child.communicate()
    assert output.decode().splitlines() == ["403", "unknown", "('127.0.0.1', 99)"]
    assert [call.host for call in aws.calls] == [STS]
    assert (tmp_path / ASKED).read_text().split() == [STS, "sts.made-up-1.amazonaws.com"]
    assert loop.time() - began >= 0.2


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of moto's server, which nobody here wrote."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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
