"""The local AWS: what the SDK sees of it, how it is steered, that it ends cleanly, and that moto agrees."""

import asyncio
import base64
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError
from moto.server import ThreadedMotoServer

from ecr_operator.api.errors import TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import decode_answer
from lab.aws import LocalAws, decode_token
from lab.waiting import wait_for

USER = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "secret"}
ROLE = {"RoleArn": "arn:aws:iam::123456789012:role/puller", "RoleSessionName": "lab"}


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS."""
    async with LocalAws() as local:
        yield local


@asynccontextmanager
async def client(
    url: str, service: str = "ecr", region: str = "eu-west-1", **options: Any
) -> AsyncIterator[Any]:
    """The SDK's own client for a service behind this URL; it doesn't retry."""
    config = AioConfig(retries={"total_max_attempts": 1}).merge(options.pop("config", AioConfig()))
    settings = {
        "endpoint_url": url,
        "region_name": region,
        "config": config,
        "verify": False,
        **USER,
        **options,
    }
    async with AioSession().create_client(service, **settings) as made:
        yield made


async def code_of(call: Any) -> str:
    """Await a call that is refused, and return AWS's error code."""
    with pytest.raises(ClientError) as caught:
        await call
    return str(caught.value.response["Error"]["Code"])


def password_of(answer: dict[str, Any]) -> str:
    """Take the password out of an answer of either ECR."""
    data = answer["authorizationData"]
    datum = data[0] if isinstance(data, list) else data
    return base64.b64decode(datum["authorizationToken"]).decode().removeprefix("AWS:")


async def test_a_token_tells_who_asked_where_and_until_when(aws: LocalAws) -> None:
    aws.token_life = 30
    async with client(aws.url, region="ap-south-1") as ecr:
        first, second = [await ecr.get_authorization_token() for _ in range(2)]
    token = decode_token(password_of(first))
    assert (token.serial, token.region, token.service) == (1, "ap-south-1", "ecr")
    assert token.access_key == USER["aws_access_key_id"]
    assert token.expires_at - token.issued_at == pytest.approx(30)
    assert decode_token(password_of(second)).serial == 2
    assert first["authorizationData"][0]["expiresAt"].timestamp() == pytest.approx(token.expires_at)


async def test_a_password_is_as_long_and_plain_as_ecr_s(aws: LocalAws) -> None:
    async with client(aws.url) as ecr:
        password = password_of(await ecr.get_authorization_token())
    assert 1500 <= len(password) <= 2048
    assert password.isascii()
    envelope = json.loads(base64.b64decode(password))
    assert set(envelope) == {"payload", "datakey", "version", "type", "expiration"}


@pytest.mark.parametrize("password", ["", "AWS", "e30=", base64.b64encode(b'{"payload":"e30="}').decode()])
def test_a_password_of_somebody_else_is_no_token(password: str) -> None:
    with pytest.raises(ValueError, match="not a token of the local AWS"):
        decode_token(password)


async def test_every_call_is_recorded_and_counted(aws: LocalAws) -> None:
    aws.fail("ServerException", 500, region="us-east-1")
    for region in ("eu-west-1", "us-east-1"):
        async with client(aws.url, region=region) as ecr:
            await asyncio.gather(ecr.get_authorization_token(), return_exceptions=True)
    async with client(aws.url, "sts") as sts:
        await sts.get_caller_identity()
    assert aws.count() == 3
    assert aws.count("GetAuthorizationToken") == 2
    assert aws.count("GetAuthorizationToken", region="us-east-1") == 1
    assert [call.outcome for call in aws.calls] == ["answered", "ServerException", "answered"]


async def test_keys_of_an_assumed_role_are_accepted_until_they_expire(aws: LocalAws) -> None:
    aws.keys.known = {USER["aws_access_key_id"]: USER["aws_secret_access_key"]}
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
        aws.keys.clock_offset = 3601
        aws.keys.check_clock = False
        assert await code_of(ecr.get_authorization_token()) == "ExpiredTokenException"
        assert await code_of(sts.get_caller_identity()) == "ExpiredToken"


async def test_a_web_identity_needs_no_signature_but_a_token(aws: LocalAws) -> None:
    async with client(aws.url, "sts", config=AioConfig(signature_version=UNSIGNED)) as sts:
        answer = await sts.assume_role_with_web_identity(WebIdentityToken="header.payload.signature", **ROLE)
        assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
        assert await code_of(sts.assume_role(**ROLE)) == "MissingAuthenticationToken"
    assert aws.calls[0].role == ROLE["RoleArn"]


async def test_a_request_that_is_not_signed_is_refused(aws: LocalAws) -> None:
    async with client(aws.url, config=AioConfig(signature_version=UNSIGNED)) as ecr:
        assert await code_of(ecr.get_authorization_token()) == "MissingAuthenticationTokenException"


async def test_unknown_keys_and_wrong_secrets_are_refused_each_in_its_words(aws: LocalAws) -> None:
    async with client(aws.url) as ecr, client(aws.url, "sts") as sts:
        aws.keys.known = {}
        assert await code_of(ecr.get_authorization_token()) == "UnrecognizedClientException"
        assert await code_of(sts.get_caller_identity()) == "InvalidClientTokenId"
        aws.keys.known = {USER["aws_access_key_id"]: "another"}
        assert await code_of(ecr.get_authorization_token()) == "InvalidSignatureException"
        assert await code_of(sts.get_caller_identity()) == "SignatureDoesNotMatch"
        aws.keys.known = {USER["aws_access_key_id"]: None}
        assert await ecr.get_authorization_token()


@pytest.mark.parametrize("offset", [-301.0, 301.0])
async def test_a_clock_that_is_more_than_five_minutes_off_is_refused(aws: LocalAws, offset: float) -> None:
    aws.keys.clock_offset = offset
    async with client(aws.url) as ecr:
        assert await code_of(ecr.get_authorization_token()) == "InvalidSignatureException"
        aws.keys.check_clock = False
        assert await ecr.get_authorization_token()


async def test_a_fault_hits_the_calls_it_names_and_no_more_often_than_it_says(aws: LocalAws) -> None:
    aws.fail("AccessDeniedException", region="us-east-1", times=1)
    aws.fail("AccessDenied", 403, operation="GetCallerIdentity")
    async with (
        client(aws.url) as ecr,
        client(aws.url, region="us-east-1") as other,
        client(aws.url, "sts") as sts,
    ):
        assert await ecr.get_authorization_token()
        assert await code_of(other.get_authorization_token()) == "AccessDeniedException"
        assert await other.get_authorization_token()
        assert await code_of(sts.get_caller_identity()) == "AccessDenied"


async def test_an_unlikely_fault_hits_some_calls(aws: LocalAws) -> None:
    aws.throttle(probability=0.5)
    async with client(aws.url) as ecr:
        for _ in range(64):
            await asyncio.gather(ecr.get_authorization_token(), return_exceptions=True)
    assert 0 < aws.count(outcome="ThrottlingException") < 64


async def test_a_reset_breaks_the_connection(aws: LocalAws) -> None:
    aws.reset(times=1)
    async with client(aws.url) as ecr:
        with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
            await ecr.get_authorization_token()
        assert await ecr.get_authorization_token()


async def test_a_fault_hits_all_regions_of_a_glob(aws: LocalAws) -> None:
    aws.fail("AccessDeniedException", region="xx-*")
    for region, outcome in (("xx-1", "AccessDeniedException"), ("eu-west-1", "answered")):
        async with client(aws.url, region=region) as ecr:
            with contextlib.suppress(ClientError):
                await ecr.get_authorization_token()
        assert aws.count(region=region, outcome=outcome) == 1


async def test_what_hangs_is_answered_on_release(aws: LocalAws) -> None:
    aws.hang()
    async with client(aws.url) as ecr:
        asked = asyncio.create_task(ecr.get_authorization_token())
        await wait_for(lambda: aws.calls)
        assert not asked.done()
        aws.clear()
        assert decode_token(password_of(await asked))


async def test_leaving_ends_what_hangs() -> None:
    async with LocalAws() as aws:
        aws.hang()
        async with client(aws.url) as ecr:
            asked = asyncio.create_task(ecr.get_authorization_token())
            await wait_for(lambda: aws.calls)
            async with asyncio.timeout(5):
                await aws.__aexit__(None, None, None)
            with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
                await asked


async def test_a_delay_is_kept(aws: LocalAws) -> None:
    aws.delay = 0.05
    loop = asyncio.get_running_loop()
    async with client(aws.url) as ecr:
        before = loop.time()
        await ecr.get_authorization_token()
    assert loop.time() - before >= 0.05


async def test_it_is_steered_over_http_as_well(aws: LocalAws) -> None:
    async with aiohttp.ClientSession(aws.url) as http, client(aws.url) as ecr:
        await http.patch("/_lab", json={"token_life": 30, "delay": 0.001, "known_keys": {"AKIA": "hidden"}})
        state = await (await http.get("/_lab")).json()
        assert (state["settings"]["token_life"], state["settings"]["known_keys"]) == (30, ["AKIA"])
        assert "hidden" not in json.dumps(state)
        assert await code_of(ecr.get_authorization_token()) == "UnrecognizedClientException"

        await http.patch("/_lab", json={"known_keys": None})
        await http.post("/_lab/faults", json={"kind": "error", "code": "ThrottlingException", "status": 400})
        assert await code_of(ecr.get_authorization_token()) == "ThrottlingException"
        assert len(await (await http.get("/_lab/faults")).json()) == 1

        await http.delete("/_lab/faults")
        assert await ecr.get_authorization_token()
        calls = await (await http.get("/_lab/calls", params={"outcome": "answered"})).json()
        assert [(call["operation"], call["region"]) for call in calls] == [
            ("GetAuthorizationToken", "eu-west-1")
        ]
        counts = (await (await http.get("/_lab")).json())["counts"]
        assert sum(row["count"] for row in counts) == 3


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/_lab", '{"no_such_setting": 1}'),
        ("PATCH", "/_lab", "no JSON"),
        ("POST", "/_lab/faults", '{"kind": "flood"}'),
        ("POST", "/_lab/faults", '{"kind": "garbage", "body": "none such"}'),
        ("POST", "/_lab/faults", '{"kind": "error", "sort": 1}'),
    ],
)
async def test_what_can_t_be_steered_is_answered_400(
    aws: LocalAws, method: str, path: str, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(aws.url) as http,
        http.request(method, path, data=body, headers=headers) as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_as_a_process_it_names_its_url_and_ends_cleanly_even_while_a_call_hangs(number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "lab.aws", "--token-life", "30"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with client(url) as ecr:
        token = decode_token(password_of(await ecr.get_authorization_token()))
        assert token.expires_at - token.issued_at == pytest.approx(30)
        async with aiohttp.ClientSession(url) as http:
            await http.post("/_lab/faults", json={"kind": "hang"})
        asked = asyncio.create_task(ecr.get_authorization_token())
        await asyncio.sleep(0.1)
        process.send_signal(number)
        async with asyncio.timeout(5):
            out, err = await process.communicate()
        assert (process.returncode, out, err) == (0, b"", b"")
        with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
            await asked


# moto is somebody else's idea of AWS: where both agree, ours is not only agreeing with itself.


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of moto's server."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def shape(value: Any) -> Any:
    """Reduce an answer to its keys and types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items()) if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def content_type(answer: dict[str, Any]) -> str:
    """The media type of an answer, without its charset."""
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
        our_answer = await getattr(ours, operation)(**parameters)
        their_answer = await getattr(theirs, operation)(**parameters)
    assert shape(our_answer) == shape(their_answer)
    assert content_type(our_answer) == content_type(their_answer)


async def test_moto_s_token_that_died_in_2015_is_refused_as_past(moto: str) -> None:
    async with client(moto) as ecr:
        answer = await ecr.get_authorization_token()
    with pytest.raises(TransientError, match="in the past") as caught:
        decode_answer(answer, datetime.now(UTC))
    assert caught.value.reason is Reason.INVALID_TOKEN_RESPONSE
