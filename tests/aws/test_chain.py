"""The members of the SDK's chain beside keys in a file: agents, processes, profiles, the instance."""

import asyncio
import json
import socket
import time
from datetime import UTC, datetime
from functools import partial
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
from tests.aws.asking import IRELAND, LAB, OHIO, ROLE, key_id, refusal
from tests.aws.conftest import ACCESS_KEY, KEYS, OTHER_KEY, OTHER_SECRET, SECRET_KEY, Environ
from tests.aws.tenants import Tenants
from tests.fakes import FakeClock

MISSING = Reason.CREDENTIALS_MISSING

# EKS Pod Identity: an agent on the node, and a token that the kubelet renews.


@pytest.fixture
def pod_token(agent: KeyEndpoints, environ: Environ, tmp_path: Path) -> Path:
    """The pod's token for the agent, and the variables that EKS sets."""
    path = tmp_path / "pod-token"
    path.write_text("first")
    agent.agent_token = "first"  # noqa: S105 -- made up
    environ(AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path))
    return path


async def test_a_renewed_pod_token_is_read(
    metadata: KeyEndpoints, pod_token: Path, issuer: EcrTokenIssuer
) -> None:
    metadata.key_life = 300
    await issuer.issue(IRELAND)
    metadata.agent_token = "second"  # noqa: S105 -- made up
    pod_token.write_text("second")
    fetched = len(metadata.handed_out)
    assert await key_id(issuer) in metadata.handed_out[fetched:]


ODD_TIME = '{"AccessKeyId": "x", "SecretAccessKey": "y", "Token": "z", "Expiration": "soon"}'
AGENTS = {"refuses the token": {"agent_token": "another"}, "answers an invalid time": {"garbage": ODD_TIME}}


@pytest.mark.usefixtures("pod_token")
@pytest.mark.parametrize("trouble", AGENTS.values(), ids=AGENTS)
async def test_an_agent_in_trouble_is_asked_once_for_all_who_wait_and_again_later(
    metadata: KeyEndpoints, issuer: EcrTokenIssuer, trouble: dict[str, str]
) -> None:
    vars(metadata).update(trouble)
    for error in await asyncio.gather(*(refusal(issuer, source) for source in LAB)):
        assert (type(error), error.reason) == (TransientError, MISSING)
        assert "container's credentials endpoint" in error.message
    assert len(metadata.asked) <= 3, "more than the SDK's own attempts"
    metadata.agent_token, metadata.garbage = "first", None
    assert await key_id(issuer)


async def test_an_absent_pod_token_is_named(pod_token: Path, issuer: EcrTokenIssuer) -> None:
    pod_token.unlink()
    error = await refusal(issuer)
    assert error.reason is MISSING
    assert f"{pod_token} is absent" in error.message
    pod_token.write_text("first")
    assert await key_id(issuer)


async def test_an_untrusted_agent_address_is_named(metadata: KeyEndpoints, environ: Environ) -> None:
    environ(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://agent.example.com/v1/credentials")
    error = await refusal()
    assert error.reason is MISSING
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in error.message
    assert metadata.asked == []


# Profiles.

PROFILES = f"""\
[default]
aws_access_key_id = {OTHER_KEY}
aws_secret_access_key = {OTHER_SECRET}
[profile base]
{KEYS}
[profile role]
role_arn = {ROLE}
source_profile = base
[profile role-of-role]
role_arn = {ROLE}-2
source_profile = role
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
async def test_a_profile_and_its_sources(aws: LocalAws, config: Path, environ: Environ, profile: str) -> None:
    config.write_text(PROFILES)
    environ(AWS_PROFILE=profile)
    assert await key_id()
    assert [(call.role, call.access_key[:4]) for call in aws.calls] == CALLS[profile]
    assert OTHER_KEY not in [call.access_key for call in aws.calls]


# A process that prints keys.


def printed(**more: str) -> str:
    return json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY} | more)


def running(command: str) -> str:
    return f"[default]\ncredential_process = {command}\n"


def in_seconds(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


async def test_a_process_is_run_again_when_its_keys_are_due(config: Path, issuer: EcrTokenIssuer) -> None:
    script, runs = config.with_name("script"), config.with_name("runs")
    script.write_text(f"echo run >> {runs}\necho '{printed(Expiration=in_seconds(300))}'\n")
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


async def test_a_failing_process_is_reported_by_its_file_without_its_output(
    config: Path, issuer: EcrTokenIssuer
) -> None:
    for trouble, command in PROCESSES.items():
        config.write_text(running(command))
        error = await refusal(issuer)
        assert error.reason is MISSING, trouble
        assert f"the credential_process in {config} fails or prints no keys" in error.message, trouble
        assert SECRET_KEY not in error.message
    config.write_text(running(f"echo '{printed()}'"))
    assert await key_id(issuer) == ACCESS_KEY


async def test_a_hanging_process_is_killed_with_its_children(config: Path) -> None:
    note, script = config.with_name("pids"), config.with_name("script")
    script.write_text(f"sleep 300 & echo $! $$ > {note}; wait")
    config.write_text(running(f"/bin/sh {script}"))
    async with EcrTokenIssuer(call_seconds=3.0) as issuer:
        error = await refusal(issuer)
    assert isinstance(error, TransientError)
    # Reported by the limit of the process, not by that of the whole call, which is half as long again.
    assert f"the credential_process in {config} does not end in time" in error.message
    for pid in map(int, note.read_text().split()):
        await wait_for(partial(has_ended, pid), 5, "the end of the process")


def has_ended(pid: int) -> bool:
    """Whether a process has ended, though nobody may have waited for it yet."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


# The instance's metadata service: last, shortly, not for ever, never for a resource's own identity.

SESSION_REQUEST = "PUT /latest/api/token"
ROLES = "GET /latest/meta-data/iam/security-credentials/"
# The SDK's own attempt waits 1 s for a session and 1 s for the role; that of a whole call 15 s.
SHORT = 10.0


async def test_the_instances_role_is_used_where_nothing_else_is_configured_unless_turned_off(
    metadata: KeyEndpoints, environ: Environ
) -> None:
    metadata.role = "node"
    assert await key_id() == metadata.handed_out[0]
    asked = [SESSION_REQUEST, ROLES, f"{ROLES}node"]
    assert metadata.asked == asked
    environ(AWS_EC2_METADATA_DISABLED="True")
    assert (await refusal()).reason is MISSING
    assert metadata.asked == asked


OTHERS = {
    "keys in the environment": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    "keys in the config file": {"AWS_CONFIG_FILE": "{folder}/keys"},
    "keys in the shared file": {"AWS_SHARED_CREDENTIALS_FILE": "{folder}/keys"},
    "a web identity": {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/token"},
    "a process": {"AWS_CONFIG_FILE": "{folder}/process"},
    "a container's agent": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{agent}"},
}


@pytest.mark.usefixtures("web_token")
@pytest.mark.parametrize("variables", OTHERS.values(), ids=OTHERS)
async def test_the_instance_is_not_asked_where_anything_else_is_configured(
    metadata: KeyEndpoints, environ: Environ, tmp_path: Path, variables: dict[str, str]
) -> None:
    metadata.role = "node"
    (tmp_path / "keys").write_text(f"[default]\n{KEYS}")
    (tmp_path / "process").write_text(running(f"echo '{printed()}'"))
    places = {"folder": tmp_path, "agent": metadata.agent}
    environ(**{name: value.format(**places) for name, value in variables.items()})
    assert await key_id()
    assert not [asked for asked in metadata.asked if "/latest/" in asked]


NAMED = (
    Identity(source="service_account", namespace="team", name="plain"),
    Identity(source="iam_secret", namespace="team", name="gone"),
    Identity(source="iam_secret", namespace="team", name="empty", role_arn=ROLE),
)


async def test_the_instance_is_never_asked_for_a_resource_that_names_an_identity(
    aws: LocalAws, metadata: KeyEndpoints
) -> None:
    metadata.role = "node"
    tenants = Tenants(roles={"team/plain": None}, secrets={"team/empty": {}})
    async with EcrTokenIssuer(tenants=tenants) as issuer:
        for identity in NAMED:
            error = await refusal(issuer, TokenSource(region="eu-west-1", identity=identity))
            assert error.reason is MISSING
    assert (metadata.asked, aws.calls) == ([], [])


async def test_a_failing_instance_is_left_alone_for_a_while(metadata: KeyEndpoints, config: Path) -> None:
    clock = FakeClock(datetime.now(UTC))
    async with EcrTokenIssuer(clock) as issuer:
        await asyncio.gather(refusal(issuer, IRELAND), refusal(issuer, OHIO))
        config.write_text("[other]\n")
        await refusal(issuer)
        assert metadata.asked.count(SESSION_REQUEST) == 1
        clock.skip(301)
        await refusal(issuer)
        assert metadata.asked.count(SESSION_REQUEST) == 2
        clock.skip(301)
        metadata.role = "node"
        assert await key_id(issuer) == metadata.handed_out[0]


HOP_LIMIT = ["hop limit of 1", "web identity", "EKS Pod Identity", "http-put-response-hop-limit"]
# What the metadata service does, words of the message, and what it is asked at least.
INSTANCES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "silence": ({"silent": True}, HOP_LIMIT, [SESSION_REQUEST, ROLES]),
    "a hop limit of one": ({"lost_sessions": True}, HOP_LIMIT, [SESSION_REQUEST, ROLES]),
    "401 for a session": (
        {"refused_sessions": 401, "role": None},
        ["refuses a session token (HTTP 401)"],
        [],
    ),
    "403 for a session": (
        {"refused_sessions": 403, "role": None},
        ["refuses a session token (HTTP 403)"],
        [],
    ),
    "no role": ({"role": None}, ["no role for the instance"], [SESSION_REQUEST, ROLES]),
    "garbage": ({"garbage": "<html>"}, [], [SESSION_REQUEST, ROLES]),
    "a role without trust": ({"garbage": '{"Code": "Failed", "Message": "own words"}'}, [], []),
}


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(("trouble", "words", "asked"), INSTANCES.values(), ids=INSTANCES)
async def test_an_instance_without_usable_keys_costs_one_short_attempt_and_is_named_and_remembered(
    metadata: KeyEndpoints, trouble: dict[str, Any], words: list[str], asked: list[str]
) -> None:
    metadata.role = "node"
    vars(metadata).update(trouble)
    async with EcrTokenIssuer() as issuer:
        begun = time.monotonic()
        error = await refusal(issuer)
        assert time.monotonic() - begun < SHORT
        assert error.reason is MISSING
        assert all(each in error.message for each in words)
        assert "own words" not in error.message
        assert ("hop limit" in error.message) is (words == HOP_LIMIT)
        first = list(metadata.asked)
        assert first.count(SESSION_REQUEST) == 1
        assert first[: len(asked)] == asked
        assert (await refusal(issuer)).message == error.message
    assert metadata.asked == first


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "http://", "http://metadata.invalid", "http://127.0.0.1:{closed}"]
)
async def test_an_absent_instance_service_is_named(aws: LocalAws, environ: Environ, endpoint: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = endpoint.format(closed=unused.getsockname()[1])
        environ(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=url)
        error = await refusal()
    assert (type(error), error.reason, aws.calls) == (PermanentError, MISSING, [])
    assert "metadata service" in error.message or "AWS_EC2_METADATA_SERVICE_ENDPOINT" in error.message


async def test_the_instances_expired_keys_are_renewed(
    aws: LocalAws, metadata: KeyEndpoints, issuer: EcrTokenIssuer
) -> None:
    metadata.role = "node"
    await issuer.issue(IRELAND)
    aws.keys.revoke_temporary()
    error = await refusal(issuer)
    assert isinstance(error, TransientError)
    assert "the instance's metadata service" in error.message
    assert await key_id(issuer) == metadata.handed_out[1]
