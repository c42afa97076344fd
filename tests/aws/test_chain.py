"""The members of the SDK's chain beside keys in a file: agents, processes, profiles, SSO, the instance."""

import asyncio
import hashlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import LocalAws
from lab.key_endpoints import KeyEndpoints
from lab.waiting import wait_for
from tests.aws.asking import IRELAND, OHIO, ROLE, JumpingClock, key_id, refusal
from tests.aws.conftest import ACCESS_KEY, KEYS, OTHER_KEY, OTHER_SECRET, SECRET_KEY
from tests.aws.tenants import Tenants

# EKS Pod Identity: an agent on the node, and a token that the kubelet renews.


@pytest.fixture
def pod_token(agent: KeyEndpoints, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The pod's token for the agent, and the variables that EKS sets."""
    path = tmp_path / "pod-token"
    path.write_text("first")
    agent.agent_token = "first"  # noqa: S105 -- made up
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(path))
    return path


async def test_a_renewed_pod_token_is_read_when_the_keys_are_due(
    metadata: KeyEndpoints, pod_token: Path, issuer: EcrTokenIssuer
) -> None:
    metadata.key_life = 300
    await issuer.issue(IRELAND)
    metadata.agent_token = "second"  # noqa: S105 -- made up
    pod_token.write_text("second")
    fetched = len(metadata.handed_out)
    assert await key_id(issuer) in metadata.handed_out[fetched:]


AGENTS = {
    "refuses the token": {"agent_token": "another"},
    "answers garbage": {"garbage": "<html>"},
    "answers a time that is none": {
        "garbage": '{"AccessKeyId": "x", "SecretAccessKey": "y", "Token": "z", "Expiration": "soon"}'
    },
}


@pytest.mark.usefixtures("pod_token")
@pytest.mark.parametrize("trouble", AGENTS.values(), ids=AGENTS)
async def test_an_agent_in_trouble_is_reported_and_asked_again(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer, trouble: dict[str, str]
) -> None:
    for name, value in trouble.items():
        setattr(metadata, name, value)
    error = await refusal(issuer)
    assert isinstance(error, TransientError)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert "container's credentials endpoint" in error.message
    assert "own words" not in error.message
    metadata.agent_token, metadata.garbage = "first", None
    assert await key_id(issuer)


async def test_an_absent_pod_token_is_named(pod_token: Path, issuer: EcrTokenIssuer) -> None:
    pod_token.unlink()
    error = await refusal(issuer)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert f"{pod_token} is absent" in error.message
    pod_token.write_text("first")
    assert await key_id(issuer)


async def test_an_untrusted_agent_address_is_named(
    metadata: KeyEndpoints, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://agent.example.com/v1/credentials")
    error = await refusal(issuer)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in error.message
    assert metadata.asked == []


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
# The role of each call, and how its key begins.
CALLS = {
    "base": [("", "AKIA")],
    "role": [(ROLE, "AKIA"), ("", "ASIA")],
    "role-of-role": [(ROLE, "AKIA"), (f"{ROLE}-2", "ASIA"), ("", "ASIA")],
    "role-of-pod": [(ROLE, "ASIA"), ("", "ASIA")],
}


@pytest.mark.usefixtures("pod_token")
@pytest.mark.parametrize("profile", CALLS)
async def test_a_named_profile_is_used_with_its_sources(
    aws: LocalAws, config: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    config.write_text(PROFILES)
    monkeypatch.setenv("AWS_PROFILE", profile)
    async with EcrTokenIssuer() as issuer:
        await issuer.issue(IRELAND)
    assert [(call.role, call.access_key[:4]) for call in aws.calls] == CALLS[profile]
    assert OTHER_KEY not in [call.access_key for call in aws.calls]


# A process that prints keys.


def printed(**more: str) -> str:
    return json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY} | more)


def running(command: str) -> str:
    return f"[default]\ncredential_process = {command}\n"


async def test_a_process_is_run_again_when_its_keys_are_due(config: Path, issuer: EcrTokenIssuer) -> None:
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 300))
    script, runs = config.with_name("script"), config.with_name("runs")
    script.write_text(f"echo run >> {runs}\necho '{printed(Expiration=soon)}'\n")
    config.write_text(running(f"/bin/sh {script}"))
    await issuer.issue(IRELAND)
    first = len(runs.read_text().splitlines())
    await issuer.issue(IRELAND)
    assert len(runs.read_text().splitlines()) > first


PROCESSES = {
    "is absent": "/nowhere/aws-keys --now",
    "may not be run": "/etc/hostname",
    "prints no JSON": f"echo {SECRET_KEY}",
    "prints half": 'echo \'{"Version": 1, "AccessKeyId": "x"}\'',
    "fails": f"/bin/sh -c 'echo {SECRET_KEY} >&2; exit 3'",
    "prints binary": "printf '\\377\\376'",
}


@pytest.mark.parametrize("command", PROCESSES.values(), ids=PROCESSES)
async def test_a_failing_process_is_reported_by_its_file_without_its_output(
    config: Path, issuer: EcrTokenIssuer, command: str
) -> None:
    config.write_text(running(command))
    error = await refusal(issuer)
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert str(config) in error.message
    assert "credential_process" in error.message
    assert SECRET_KEY not in error.message
    config.write_text(running(f"echo '{printed()}'"))
    assert await key_id(issuer) == ACCESS_KEY


@pytest.mark.parametrize(
    "hang",
    [
        pytest.param("echo $$ > {note}; exec sleep 300", id="itself"),
        pytest.param("sleep 300 & echo $! > {note}; wait", id="with another that it has started"),
    ],
)
async def test_a_hanging_process_is_killed_with_its_children(config: Path, hang: str) -> None:
    note = config.with_name("pid")
    script = config.with_name("script")
    script.write_text(hang.format(note=note))
    config.write_text(running(f"/bin/sh {script}"))
    async with EcrTokenIssuer(call_seconds=1.0) as issuer:
        error = await refusal(issuer)
    assert isinstance(error, TransientError)
    # Reported by the limit of the process, not by that of the whole call.
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
        *(sys.executable, "-m", "tests.aws.asking", "eu-west-1"),
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
    metadata: KeyEndpoints, tmp_path: Path, config: str, key: str
) -> None:
    metadata.sso_token = "sso-token"  # noqa: S105 -- made up
    login(tmp_path, config, key, life=3600)
    answer = await ask(tmp_path, AWS_ENDPOINT_URL_SSO=metadata.url)
    assert answer == {"access_key": metadata.handed_out[0]}
    assert metadata.asked == ["GET /federation/credentials"]


@pytest.mark.parametrize("trouble", ["expired", "refused", "absent"])
async def test_an_unusable_sso_login_is_reported(
    metadata: KeyEndpoints, tmp_path: Path, trouble: str
) -> None:
    metadata.sso_token = "another" if trouble == "refused" else "sso-token"
    key = "elsewhere" if trouble == "absent" else "ours"
    login(tmp_path, SESSION, key, life=-60 if trouble == "expired" else 3600)
    answer = await ask(tmp_path, AWS_ENDPOINT_URL_SSO=metadata.url)
    assert answer["reason"] == "CredentialsMissing"
    assert "sso" in answer["message"].lower()
    assert "sso-token" not in answer["message"]


# The instance's metadata service: last, shortly, not for ever, never for a resource's own identity.

SESSION_REQUEST = "PUT /latest/api/token"
ROLES = "GET /latest/meta-data/iam/security-credentials/"
# The SDK's own attempt waits 1 s for a session and 1 s for the role; the rest is for a loaded machine.
SHORT = 4.0


async def test_the_instances_role_is_used_where_nothing_else_is_configured(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.role = "node"
    assert await key_id(issuer) == metadata.handed_out[0]
    assert metadata.asked == [SESSION_REQUEST, ROLES, f"{ROLES}node"]


OTHERS = {
    "keys in the environment": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    "keys in the config file": {"AWS_CONFIG_FILE": "{folder}/keys"},
    "keys in the shared file": {"AWS_SHARED_CREDENTIALS_FILE": "{folder}/keys"},
    "a web identity": {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/token"},
    "a process": {"AWS_CONFIG_FILE": "{folder}/process"},
    "a container's agent": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{agent}"},
}


async def test_the_instance_is_not_asked_when_turned_off(
    metadata: KeyEndpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.role = "node"
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "True")
    async with EcrTokenIssuer() as issuer:
        assert (await refusal(issuer)).reason is Reason.CREDENTIALS_MISSING
    assert metadata.asked == []


@pytest.mark.parametrize("variables", OTHERS.values(), ids=OTHERS)
async def test_the_instance_is_not_asked_where_anything_else_is_configured(
    metadata: KeyEndpoints, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    metadata.role = "node"
    (tmp_path / "keys").write_text(f"[default]\n{KEYS}")
    (tmp_path / "token").write_text("header.payload.signature")
    (tmp_path / "process").write_text(running(f"echo '{printed()}'"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(folder=tmp_path, agent=metadata.agent))
    async with EcrTokenIssuer() as issuer:
        assert await key_id(issuer)
    assert not [asked for asked in metadata.asked if "/latest/" in asked]


NAMED = {
    "a service account": Identity(source="service_account", namespace="team", name="plain"),
    "a Secret": Identity(source="iam_secret", namespace="team", name="gone"),
    "a Secret's role": Identity(source="iam_secret", namespace="team", name="empty", role_arn=ROLE),
}


@pytest.mark.parametrize("identity", NAMED.values(), ids=NAMED)
async def test_the_instance_is_never_asked_for_a_resource_that_names_an_identity(
    aws: LocalAws, metadata: KeyEndpoints, identity: Identity
) -> None:
    metadata.role = "node"
    tenants = Tenants(roles={"team/plain": None}, secrets={"team/empty": {}})
    async with EcrTokenIssuer(tenants=tenants) as issuer:
        error = await refusal(issuer, TokenSource(region="eu-west-1", identity=identity))
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert (metadata.asked, aws.calls) == ([], [])


async def test_a_failing_metadata_service_is_left_alone_for_five_minutes(
    metadata: KeyEndpoints, config: Path
) -> None:
    clock = JumpingClock()
    async with EcrTokenIssuer(clock) as issuer:
        await asyncio.gather(refusal(issuer, IRELAND), refusal(issuer, OHIO))
        config.write_text("[other]\n")
        await refusal(issuer)
        assert metadata.asked.count(SESSION_REQUEST) == 1
        clock.ahead = 301
        await refusal(issuer)
        assert metadata.asked.count(SESSION_REQUEST) == 2
        clock.ahead = 602
        metadata.role = "node"
        assert await key_id(issuer) == metadata.handed_out[0]


@pytest.mark.usefixtures("config")
async def test_a_silent_metadata_service_costs_one_short_attempt(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.silent = True
    begun = time.monotonic()
    errors = await asyncio.gather(*(refusal(issuer, TokenSource(region=f"eu-west-{n}")) for n in range(1, 6)))
    assert time.monotonic() - begun < SHORT
    assert {error.reason for error in errors} == {Reason.CREDENTIALS_MISSING}
    assert metadata.asked == [SESSION_REQUEST, ROLES]


HOP_LIMIT = ["hop limit of 1", "web identity", "EKS Pod Identity", "http-put-response-hop-limit"]
# What the metadata service does, words of the message, and what it is asked.
INSTANCES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "a hop limit of one": ({"lost_sessions": True}, HOP_LIMIT, [SESSION_REQUEST, ROLES]),
    "401 for a session": (
        {"refused_sessions": 401},
        ["refuses a session token (HTTP 401)"],
        [SESSION_REQUEST],
    ),
    "403 for a session": (
        {"refused_sessions": 403},
        ["refuses a session token (HTTP 403)"],
        [SESSION_REQUEST],
    ),
    "no role": ({"role": None}, ["no role for the instance"], [SESSION_REQUEST, ROLES]),
    "garbage": ({"garbage": "<html>"}, [], [SESSION_REQUEST, ROLES]),
    "a role without trust": (
        {"garbage": '{"Code": "Failed", "Message": "own words"}'},
        [],
        [SESSION_REQUEST, ROLES],
    ),
}


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(("trouble", "words", "asked"), INSTANCES.values(), ids=INSTANCES)
async def test_an_instance_without_usable_keys_is_named_shortly_and_remembered(
    metadata: KeyEndpoints,
    issuer: EcrTokenIssuer,
    trouble: dict[str, Any],
    words: list[str],
    asked: list[str],
) -> None:
    metadata.role = "node"
    for name, value in trouble.items():
        setattr(metadata, name, value)
    begun = time.monotonic()
    error = await refusal(issuer)
    assert time.monotonic() - begun < SHORT
    assert error.reason is Reason.CREDENTIALS_MISSING
    assert all(each in error.message for each in words)
    assert "own words" not in error.message
    assert ("hop limit" in error.message) is (words == HOP_LIMIT)
    assert metadata.asked[: len(asked)] == asked
    first = list(metadata.asked)
    assert (await refusal(issuer)).message == error.message
    assert metadata.asked == first


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "http://", "http://metadata.invalid", "http://127.0.0.1:{closed}"]
)
async def test_a_metadata_service_that_is_not_there_costs_nothing_and_is_named(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = endpoint.format(closed=unused.getsockname()[1])
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        async with EcrTokenIssuer() as issuer:
            begun = time.monotonic()
            error = await refusal(issuer)
    assert time.monotonic() - begun < SHORT
    assert (type(error), error.reason, aws.calls) == (PermanentError, Reason.CREDENTIALS_MISSING, [])
    assert "metadata service" in error.message or "AWS_EC2_METADATA_SERVICE_ENDPOINT" in error.message


async def test_the_instances_expired_keys_are_fetched_afresh(
    aws: LocalAws, metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.role = "node"
    await issuer.issue(IRELAND)
    aws.keys.revoke_temporary()
    error = await refusal(issuer)
    assert isinstance(error, TransientError)
    assert "the instance's metadata service" in error.message
    assert await key_id(issuer) == metadata.handed_out[1]
