"""The members of the SDK's chain beside keys in a file: agents, processes, profiles, SSO; over real HTTP."""

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import LocalAws, decode_token
from lab.key_endpoints import KeyEndpoints
from lab.waiting import wait_for
from tests.aws.conftest import ACCESS_KEY, OTHER_KEY, OTHER_SECRET, SECRET_KEY

IRELAND = TokenSource(region="eu-west-1")
ROLE = "arn:aws:iam::123456789012:role/puller"
WEB = "AssumeRoleWithWebIdentity"


@pytest.fixture
async def endpoints(aws: LocalAws) -> AsyncIterator[KeyEndpoints]:
    """A container's agent and an SSO portal."""
    async with KeyEndpoints(aws.keys) as running:
        yield running


@pytest.fixture
def config(aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The operator's file, which is absent at first."""
    assert aws.url
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path / "config"


async def key_id(issuer: EcrTokenIssuer) -> str:
    """Ask for a token and tell whose keys got it."""
    return decode_token((await issuer.issue(IRELAND)).password).access_key


async def refusal(issuer: EcrTokenIssuer) -> OperatorError:
    """Ask for a token and return the error that comes in its place."""
    with pytest.raises(OperatorError) as caught:
        await issuer.issue(IRELAND)
    return caught.value


# EKS Pod Identity: an agent on the node, and a token that the kubelet renews.


@pytest.fixture
def pod_token(endpoints: KeyEndpoints, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The pod's token for the agent, and the variables that EKS sets."""
    path = tmp_path / "pod-token"
    path.write_text("first")
    endpoints.agent_token = "first"  # noqa: S105 -- made up
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoints.agent)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(path))
    return path


@pytest.mark.usefixtures("pod_token")
async def test_an_agent_s_keys_are_used(endpoints: KeyEndpoints, issuer: EcrTokenIssuer) -> None:
    assert await key_id(issuer) == endpoints.handed_out[0]
    await issuer.issue(IRELAND)
    assert len(endpoints.handed_out) == 1


async def test_a_renewed_pod_token_is_read_when_the_keys_are_due(
    endpoints: KeyEndpoints, pod_token: Path, issuer: EcrTokenIssuer
) -> None:
    endpoints.key_life = 300
    await issuer.issue(IRELAND)
    endpoints.agent_token = "second"  # noqa: S105 -- made up
    pod_token.write_text("second")
    fetched = len(endpoints.handed_out)
    assert await key_id(issuer) in endpoints.handed_out[fetched:]


@pytest.mark.usefixtures("pod_token")
async def test_an_agent_s_keys_that_aws_finds_expired_are_fetched_afresh(
    aws: LocalAws, endpoints: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    await issuer.issue(IRELAND)
    aws.keys.revoke_temporary()
    assert (await refusal(issuer)).reason is Reason.CREDENTIALS_EXPIRED
    assert await key_id(issuer) == endpoints.handed_out[1]


AGENTS = {
    "refuses the token": {"agent_token": "another"},
    "answers garbage": {"garbage": "<html>"},
    "answers half": {"garbage": '{"AccessKeyId": "x"}'},
    "answers a list": {"garbage": "[]"},
    "answers a time that is none": {
        "garbage": '{"AccessKeyId": "x", "SecretAccessKey": "y", "Token": "z", "Expiration": "soon"}'
    },
}


@pytest.mark.usefixtures("pod_token")
@pytest.mark.parametrize("trouble", AGENTS.values(), ids=AGENTS)
async def test_an_agent_in_trouble_is_told_as_such_and_tried_again(
    endpoints: KeyEndpoints, issuer: EcrTokenIssuer, trouble: dict[str, str]
) -> None:
    for name, value in trouble.items():
        setattr(endpoints, name, value)
    error = await refusal(issuer)
    assert isinstance(error, TransientError)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert "container's credentials endpoint" in error.message
    assert "own words" not in error.message
    endpoints.agent_token, endpoints.garbage = "first", None
    assert await key_id(issuer)


async def test_a_pod_token_that_is_absent_is_named(pod_token: Path, issuer: EcrTokenIssuer) -> None:
    pod_token.unlink()
    error = await refusal(issuer)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert f"{pod_token} is absent" in error.message
    pod_token.write_text("first")
    assert await key_id(issuer)


async def test_an_address_that_the_sdk_does_not_trust_is_named(
    endpoints: KeyEndpoints, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://agent.example.com/v1/credentials")
    error = await refusal(issuer)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in error.message
    assert endpoints.asked == []


# IRSA: a role and a token that the kubelet renews, by variables.


async def test_a_renewed_web_identity_token_is_read_when_the_session_is_due(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, issuer: EcrTokenIssuer
) -> None:
    token = tmp_path / "token"
    token.write_text("header.first.signature")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    aws.services.credential_life = 300
    await issuer.issue(IRELAND)
    token.write_text("header.second.signature")
    await issuer.issue(IRELAND)
    assert [call.token for call in aws.select(WEB)] == ["header.first.signature", "header.second.signature"]


# Profiles.

PROFILES = f"""\
[default]
aws_access_key_id = {OTHER_KEY}
aws_secret_access_key = {OTHER_SECRET}
[profile base]
aws_access_key_id = {ACCESS_KEY}
aws_secret_access_key = {SECRET_KEY}
[profile role]
role_arn = {ROLE}
source_profile = base
[profile role-of-role]
role_arn = {ROLE}-2
source_profile = role
[profile role-of-environment]
role_arn = {ROLE}
credential_source = Environment
[profile role-of-pod]
role_arn = {ROLE}
credential_source = EcsContainer
"""
CALLS = {
    "base": [],
    "role": [(ROLE, ACCESS_KEY)],
    "role-of-role": [(ROLE, ACCESS_KEY), (f"{ROLE}-2", "ASIA")],
    "role-of-pod": [(ROLE, "ASIA")],
}


@pytest.mark.usefixtures("pod_token")
@pytest.mark.parametrize("profile", CALLS)
async def test_the_profile_that_is_named_is_used_with_what_it_names(
    aws: LocalAws, config: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    config.write_text(PROFILES)
    monkeypatch.setenv("AWS_PROFILE", profile)
    async with EcrTokenIssuer() as issuer:
        await issuer.issue(IRELAND)
    made = [(call.role, call.access_key) for call in aws.select("AssumeRole")]
    assert [
        (role, key.startswith(start)) for (role, key), (_, start) in zip(made, CALLS[profile], strict=True)
    ] == [(role, True) for role, _ in CALLS[profile]]
    assert aws.calls[-1].access_key.startswith("ASIA" if CALLS[profile] else ACCESS_KEY)


async def test_a_change_of_another_profile_s_keys_is_followed(
    aws: LocalAws, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(PROFILES)
    monkeypatch.setenv("AWS_PROFILE", "role")
    async with EcrTokenIssuer() as issuer:
        await issuer.issue(IRELAND)
        config.write_text(PROFILES.replace(ACCESS_KEY, OTHER_KEY).replace(SECRET_KEY, OTHER_SECRET))
        await issuer.issue(IRELAND)
    assert [call.access_key for call in aws.select("AssumeRole")] == [ACCESS_KEY, OTHER_KEY]


# A process that prints keys.


def printing(**keys: Any) -> str:
    """A process that prints these keys."""
    printed = json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY} | keys)
    return f"[default]\ncredential_process = echo '{printed}'\n"


async def test_a_process_s_keys_are_used(config: Path, issuer: EcrTokenIssuer) -> None:
    config.write_text(printing())
    assert await key_id(issuer) == ACCESS_KEY


async def test_a_process_is_run_again_when_its_keys_are_due(config: Path, issuer: EcrTokenIssuer) -> None:
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 300))
    script, runs = config.with_name("script"), config.with_name("runs")
    printed = json.dumps(
        {"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Expiration": soon}
    )
    script.write_text(f"echo run >> {runs}\necho '{printed}'\n")
    config.write_text(f"[default]\ncredential_process = /bin/sh {script}\n")
    await issuer.issue(IRELAND)
    first = len(runs.read_text().splitlines())
    await issuer.issue(IRELAND)
    assert len(runs.read_text().splitlines()) > first


PROCESSES = {
    "is absent": "/nowhere/aws-keys --now",
    "may not be run": "/etc/hostname",
    "prints no JSON": f"echo {SECRET_KEY}",
    "prints a list": "echo []",
    "prints nothing": "true",
    "prints another version": "echo '{\"Version\": 2}'",
    "prints half": 'echo \'{"Version": 1, "AccessKeyId": "x"}\'',
    "fails": f"/bin/sh -c 'echo {SECRET_KEY} >&2; exit 3'",
    "prints binary": "printf '\\377\\376'",
}


@pytest.mark.parametrize("command", PROCESSES.values(), ids=PROCESSES)
async def test_a_process_that_is_of_no_use_is_told_by_its_file_and_without_what_it_prints(
    config: Path, issuer: EcrTokenIssuer, command: str
) -> None:
    config.write_text(f"[default]\ncredential_process = {command}\n")
    error = await refusal(issuer)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert str(config) in error.message
    assert "credential_process" in error.message
    assert SECRET_KEY not in error.message
    config.write_text(printing())
    assert await key_id(issuer) == ACCESS_KEY


@pytest.mark.parametrize(
    "hang",
    [
        pytest.param("echo $$ > {note}; exec sleep 300", id="itself"),
        pytest.param("sleep 300 & echo $! > {note}; wait", id="with another that it has started"),
    ],
)
async def test_a_process_that_hangs_is_ended_when_its_time_is_up(config: Path, hang: str) -> None:
    note = config.with_name("pid")
    script = config.with_name("script")
    script.write_text(hang.format(note=note))
    config.write_text(f"[default]\ncredential_process = /bin/sh {script}\n")
    async with EcrTokenIssuer(call_seconds=1.0) as issuer:
        error = await refusal(issuer)
    assert isinstance(error, TransientError)
    # It is told by the limit of the process, not by that of the whole call.
    assert f"the credential_process in {config} does not end in time" in error.message
    pid = int(note.read_text())
    await wait_for(lambda: not psutil.pid_exists(pid), 5, "the end of the process")


# SSO, as `aws sso login` leaves it. The SDK looks for the home when it is imported: a process of its own.

START = "https://example.awsapps.com/start"
SSO = """\
[default]
sso_account_id = 123456789012
sso_role_name = puller
"""
LEGACY = f"{SSO}sso_start_url = {START}\nsso_region = eu-west-1\n"
SESSION = f"{SSO}sso_session = ours\n[sso-session ours]\nsso_start_url = {START}\nsso_region = eu-west-1\n"


async def ask(home: Path, **variables: str) -> dict[str, str]:
    """Ask for a token in a process with this home."""
    kept = {name: os.environ[name] for name in ("PATH", "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.aws.ask", "eu-west-1"),
        env={**kept, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    answer: dict[str, str] = json.loads(output)
    return answer


def login(home: Path, config: str, key: str, *, life: float) -> None:
    """Write what `aws sso login` writes; the file's name comes of the start URL or the session's name."""
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    (home / ".aws" / "config").write_text(config)
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + life))
    token = {"startUrl": START, "region": "eu-west-1", "accessToken": "sso-token", "expiresAt": expires}
    name = hashlib.sha1(key.encode()).hexdigest()  # noqa: S324 -- the SDK's way of naming it
    (cache / f"{name}.json").write_text(json.dumps(token))


@pytest.mark.parametrize(("config", "key"), [(LEGACY, START), (SESSION, "ours")], ids=["legacy", "session"])
async def test_a_cached_sso_login_is_used(
    endpoints: KeyEndpoints, tmp_path: Path, config: str, key: str
) -> None:
    endpoints.sso_token = "sso-token"  # noqa: S105 -- made up
    login(tmp_path, config, key, life=3600)
    answer = await ask(tmp_path, AWS_ENDPOINT_URL_SSO=endpoints.url)
    assert answer == {"access_key": endpoints.handed_out[0]}
    assert endpoints.asked == ["GET /federation/credentials"]


@pytest.mark.parametrize(("config", "key"), [(LEGACY, START), (SESSION, "ours")], ids=["legacy", "session"])
@pytest.mark.parametrize("trouble", ["expired", "refused", "absent"])
async def test_an_sso_login_that_is_over_is_told(
    endpoints: KeyEndpoints, tmp_path: Path, config: str, key: str, trouble: str
) -> None:
    endpoints.sso_token = "another" if trouble == "refused" else "sso-token"
    login(
        tmp_path,
        config,
        "elsewhere" if trouble == "absent" else key,
        life=-60 if trouble == "expired" else 3600,
    )
    answer = await ask(tmp_path, AWS_ENDPOINT_URL_SSO=endpoints.url)
    assert answer["reason"] == "CredentialsMissing"
    assert "sso" in answer["message"].lower()
    assert "sso-token" not in answer["message"]
