"""The instance's metadata service: last, shortly, not for ever, and never for a resource's own identity."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.identity import Identity, IdentityPolicy
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws, decode_token
from lab.key_endpoints import KeyEndpoints
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY
from tests.aws.tenants import Tenants

IRELAND = TokenSource(region="eu-west-1")
OHIO = TokenSource(region="us-east-2")
ROLE = "arn:aws:iam::123456789012:role/puller"
SESSION = "PUT /latest/api/token"
ROLES = "GET /latest/meta-data/iam/security-credentials/"
KEYS = f"[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
# The SDK's own attempt waits 1 s for a session and 1 s for the role; the rest is for a loaded machine.
SHORT = 4.0


@dataclass
class JumpingClock(SystemClock):
    """A clock that can be put forward."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        """The machine's time, put forward."""
        return super().monotonic() + self.ahead


@pytest.fixture
async def metadata(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KeyEndpoints]:
    """The metadata service of an instance that has no role at first."""
    async with KeyEndpoints(aws.keys) as endpoints:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoints.url)
        yield endpoints


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The operator's file, which is absent at first."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path / "config"


async def key_id(issuer: EcrTokenIssuer, source: TokenSource = IRELAND) -> str:
    """Ask for a token and tell whose keys got it."""
    return decode_token((await issuer.issue(source)).password).access_key


async def refusal(issuer: EcrTokenIssuer, source: TokenSource = IRELAND) -> OperatorError:
    """Ask for a token and return the error that comes in its place."""
    with pytest.raises(OperatorError) as caught:
        await issuer.issue(source)
    return caught.value


async def test_the_instance_s_role_is_used_where_there_is_nothing_else(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.role = "node"
    assert await key_id(issuer) == metadata.handed_out[0]
    assert metadata.asked == [SESSION, ROLES, f"{ROLES}node"]


async def test_the_operator_s_plain_role_may_come_from_it_too(aws: LocalAws, metadata: KeyEndpoints) -> None:
    metadata.role = "node"
    policy = IdentityPolicy(permitted_roles=(ROLE,))
    async with EcrTokenIssuer(tenants=Tenants(), policy=policy) as issuer:
        source = TokenSource(region="eu-west-1", identity=Identity(namespace="team", role_arn=ROLE))
        assert await key_id(issuer, source)
    assert aws.calls[0].operation == "AssumeRole"
    assert aws.calls[0].access_key == metadata.handed_out[0]


OTHERS = {
    "keys in the environment": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    "keys in the config file": {"AWS_CONFIG_FILE": "{folder}/keys"},
    "keys in the shared file": {"AWS_SHARED_CREDENTIALS_FILE": "{folder}/keys"},
    "a web identity": {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/token"},
    "a process": {"AWS_CONFIG_FILE": "{folder}/process"},
    "a container's agent": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{agent}"},
}


@pytest.mark.parametrize("variables", OTHERS.values(), ids=OTHERS)
async def test_it_is_not_asked_where_there_is_anything_else(
    metadata: KeyEndpoints, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    metadata.role = "node"
    (tmp_path / "keys").write_text(KEYS)
    (tmp_path / "token").write_text("header.payload.signature")
    made = f'{{"Version": 1, "AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "{SECRET_KEY}"}}'
    (tmp_path / "process").write_text(f"[default]\ncredential_process = echo '{made}'\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(folder=tmp_path, agent=metadata.agent))
    async with EcrTokenIssuer() as issuer:
        assert await key_id(issuer)
    assert not [asked for asked in metadata.asked if "/latest/" in asked]


async def test_it_is_not_asked_for_what_only_lacks_something(
    metadata: KeyEndpoints, config: Path, issuer: EcrTokenIssuer
) -> None:
    metadata.role = "node"
    config.write_text(f"[default]\naws_access_key_id={ACCESS_KEY}\n")
    assert "lacks aws_secret_access_key" in (await refusal(issuer)).message
    assert metadata.asked == []


NAMED = {
    "a service account that is absent": Identity(source="service_account", namespace="team", name="gone"),
    "a service account without a role": Identity(source="service_account", namespace="team", name="plain"),
    "a Secret that is absent": Identity(source="iam_secret", namespace="team", name="gone"),
    "a Secret without keys": Identity(source="iam_secret", namespace="team", name="empty"),
    "a Secret's role": Identity(source="iam_secret", namespace="team", name="empty", role_arn=ROLE),
}


@pytest.mark.parametrize("identity", NAMED.values(), ids=NAMED)
async def test_it_is_never_asked_for_a_resource_that_names_an_identity(
    aws: LocalAws, metadata: KeyEndpoints, identity: Identity
) -> None:
    metadata.role = "node"
    tenants = Tenants(roles={"team/plain": None}, secrets={"team/empty": {}})
    async with EcrTokenIssuer(tenants=tenants) as issuer:
        error = await refusal(issuer, TokenSource(region="eu-west-1", identity=identity))
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert (metadata.asked, aws.calls) == ([], [])


async def test_a_service_account_s_role_is_assumed_without_it(aws: LocalAws, metadata: KeyEndpoints) -> None:
    metadata.role = "node"
    identity = Identity(source="service_account", namespace="team", name="ci")
    async with EcrTokenIssuer(tenants=Tenants(roles={"team/ci": ROLE})) as issuer:
        assert await key_id(issuer, TokenSource(region="eu-west-1", identity=identity))
    assert metadata.asked == []
    assert aws.calls[0].access_key == ""


async def test_a_failing_service_is_left_alone_for_five_minutes_whatever_changes(
    metadata: KeyEndpoints, config: Path
) -> None:
    clock = JumpingClock()
    async with EcrTokenIssuer(clock) as issuer:
        await asyncio.gather(refusal(issuer, IRELAND), refusal(issuer, OHIO))
        config.write_text("[other]\n")
        await refusal(issuer)
        assert metadata.asked.count(SESSION) == 1
        clock.ahead = 301
        await refusal(issuer)
        assert metadata.asked.count(SESSION) == 2
        clock.ahead = 602
        metadata.role = "node"
        assert await key_id(issuer) == metadata.handed_out[0]


@pytest.mark.usefixtures("config")
async def test_a_silent_service_costs_one_short_attempt(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.silent = True
    begun = time.monotonic()
    errors = await asyncio.gather(*(refusal(issuer, TokenSource(region=f"eu-west-{n}")) for n in range(1, 6)))
    assert time.monotonic() - begun < SHORT
    assert {error.reason for error in errors} == {Reason.CREDENTIALS_MISSING}
    assert metadata.asked == [SESSION, ROLES]


@pytest.mark.usefixtures("config")
async def test_a_hop_limit_that_keeps_the_pod_from_it_is_named_in_the_same_time(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.role, metadata.lost_sessions = "node", True
    begun = time.monotonic()
    error = await refusal(issuer)
    assert time.monotonic() - begun < SHORT
    assert metadata.asked == [SESSION, ROLES]
    assert error.reason is Reason.CREDENTIALS_MISSING
    for word in ("hop limit of 1", "web identity", "EKS Pod Identity", "http-put-response-hop-limit"):
        assert word in error.message
    # While the failure is remembered it reads the same; once the limit is raised nothing of it is left.
    assert (await refusal(issuer)).message == error.message
    assert metadata.asked == [SESSION, ROLES]


async def test_nothing_is_left_of_it_when_the_limit_was_raised(metadata: KeyEndpoints) -> None:
    clock = JumpingClock()
    async with EcrTokenIssuer(clock) as issuer:
        metadata.role, metadata.lost_sessions = "node", True
        assert "hop limit" in (await refusal(issuer)).message
        clock.ahead, metadata.lost_sessions = 301, False
        assert await key_id(issuer) == metadata.handed_out[0]


@pytest.mark.parametrize("status", [401, 403, 405])
async def test_a_refused_session_is_named_with_its_number(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer, status: int
) -> None:
    metadata.role, metadata.refused_sessions = "node", status
    error = await refusal(issuer)
    assert f"refuses a session token (HTTP {status})" in error.message
    assert "hop limit" not in error.message


async def test_an_instance_without_a_role_is_named_as_such(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    message = (await refusal(issuer)).message
    assert "no role for the instance" in message
    assert "hop limit" not in message
    assert metadata.asked == [SESSION, ROLES]


async def test_an_address_where_nobody_listens_costs_nothing(
    metadata: KeyEndpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        async with EcrTokenIssuer() as issuer:
            begun = time.monotonic()
            error = await refusal(issuer)
    assert time.monotonic() - begun < 1
    assert isinstance(error, PermanentError)
    assert "the instance's metadata service." in error.message
    assert metadata.asked == []


@pytest.mark.parametrize("garbage", ["", "<html>", "{}", '{"Code": "Failed", "Message": "no trust"}', "[]"])
async def test_garbage_is_no_role(metadata: KeyEndpoints, issuer: EcrTokenIssuer, garbage: str) -> None:
    metadata.role, metadata.garbage = "node", garbage
    error = await refusal(issuer)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert "no trust" not in error.message
    await refusal(issuer)
    assert metadata.asked.count(SESSION) == 1


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "http://metadata.invalid"])
async def test_an_address_that_is_none_is_told(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
    assert (error.reason, aws.calls) == (Reason.CREDENTIALS_MISSING, [])
    assert "metadata service" in error.message or "AWS_EC2_METADATA_SERVICE_ENDPOINT" in error.message


@pytest.mark.parametrize("value", ["true", "True"])
async def test_it_is_not_asked_when_turned_off(
    metadata: KeyEndpoints, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    metadata.role = "node"
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", value)
    async with EcrTokenIssuer() as issuer:
        assert (await refusal(issuer)).reason is Reason.CREDENTIALS_MISSING
    assert metadata.asked == []


async def test_keys_that_aws_finds_expired_are_fetched_afresh(
    aws: LocalAws, metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.role = "node"
    await issuer.issue(IRELAND)
    aws.keys.revoke_temporary()
    error = await refusal(issuer)
    assert isinstance(error, TransientError)
    assert "the instance's metadata service" in error.message
    assert await key_id(issuer) == metadata.handed_out[1]


async def test_a_service_that_goes_away_later_is_remembered_as_gone(
    aws: LocalAws, metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.role = "node"
    await issuer.issue(IRELAND)
    metadata.role = None
    aws.keys.revoke_temporary()
    assert (await refusal(issuer)).reason is Reason.CREDENTIALS_EXPIRED
    for _ in range(2):
        error = await refusal(issuer)
        assert error.reason is Reason.CREDENTIALS_MISSING
        assert "the instance's metadata service" in error.message
    assert metadata.asked.count(SESSION) == 2
