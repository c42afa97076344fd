"""The script for a real cluster and a real AWS, tried on a real API server, moto and the local AWS."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from lab.api import CRDS, ECR_SECRETS, NAMESPACES
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.kubectl import find_kubectl
from lab.waiting import wait_for
from tests.cluster import reading
from tests.e2e.stand_ins import StandIns
from tests.manifests.installation import CONFIG, ROOT, apply

HERE = Path(__file__).parent
REGION = "us-east-2"
IMAGE = "registry.example.com:5000/team/ecr-secret-operator:test"
KEYS = "[default]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=lab-secret-key\n"


@dataclass(slots=True, kw_only=True)
class Script:
    """The script, with kubectl and a stand-in for `aws` on its PATH."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "kubectl").symlink_to(find_kubectl())
        command = shlex.join([sys.executable, str(HERE / "aws_command.py")])
        (programs / "aws").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / "aws").chmod(0o755)
        self.env = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "CALLS": str(self.folder / "calls"),
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "lab-secret-key",
            **self.env,
        }

    @contextlib.asynccontextmanager
    async def running(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run it in a session of its own; what it says is in `said`."""
        with (self.folder / "said").open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                HERE / "run.sh",
                *arguments,
                cwd=ROOT,
                env={**self.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                print(self.said)

    async def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> int:
        """Run it to its end and return the exit code."""
        async with self.running(*arguments, env=env) as process:
            return await process.wait()

    @property
    def said(self) -> str:
        """All that it said."""
        return (self.folder / "said").read_text()

    @property
    def calls(self) -> list[str]:
        """The operations that it asked of AWS."""
        file = self.folder / "calls"
        return [json.loads(line)[1] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """The script, without a cluster."""
    return Script(folder=tmp_path)


@pytest.fixture
def on_cluster(script: Script, bare_plane: ControlPlane, moto: str) -> Script:
    """The script, with the cluster and moto."""
    script.env |= {"KUBECONFIG": str(bare_plane.kubeconfig), "AWS_ENDPOINT_URL": moto}
    return script


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """The operator's AWS, whose tokens are reused for 4 s only."""
    async with LocalAws(token_life=16) as running:
        yield running


async def left_in(plane: ControlPlane) -> list[str]:
    """Name what there is in the cluster of the operator and the script."""
    async with plane.api() as api:
        found = [each["metadata"]["name"] for each in [*await api.list(NAMESPACES), *await api.list(CRDS)]]
    return [name for name in found if "ecr" in name]


@pytest.mark.timeout(300)
async def test_it_goes_from_an_installation_to_a_pulled_image_and_takes_all_away(
    on_cluster: Script, bare_plane: ControlPlane, aws: LocalAws
) -> None:
    keys = on_cluster.folder / "credentials"
    keys.write_text(KEYS)
    stand_ins = StandIns(plane=bare_plane, aws=aws)
    async with stand_ins.at_work():
        env = {"E2E_YES": "1", "IMG": IMAGE, "E2E_CREDENTIALS": str(keys)}
        code = await on_cluster.run(env=env)
    assert (code, on_cluster.said.splitlines()[-1]) == (0, "All went well.")
    host = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
    assert stand_ins.pulled == {"push": [host], "with": [host]}
    assert IMAGE in stand_ins.images
    assert "It can not." in on_cluster.said
    assert on_cluster.calls == [
        "get-caller-identity",
        "create-repository",
        "get-caller-identity",
        "set-repository-policy",
        "describe-repositories",
        "delete-repository",
    ]
    assert await left_in(bare_plane) == []
    left = {file.name for file in on_cluster.folder.iterdir()}
    assert left <= {"bin", "calls", "credentials", "said", ".kube"}


@pytest.mark.timeout(300)
async def test_an_operator_that_is_there_is_left_alone_unless_chosen_and_then_too_when_stopped(
    on_cluster: Script, bare_plane: ControlPlane, aws: LocalAws
) -> None:
    await apply(bare_plane, CONFIG / "default")
    before = await left_in(bare_plane)
    assert await on_cluster.run(env={"E2E_YES": "1"}) == 2
    assert "in this cluster already" in on_cluster.said
    assert await on_cluster.run(env={"E2E_INSTALLED": "1"}) == 2
    assert "does not look like a throw-away cluster" in on_cluster.said
    assert on_cluster.calls == ["get-caller-identity"] * 2
    aws.fail("AccessDeniedException")
    async with (
        StandIns(plane=bare_plane, aws=aws).at_work(),
        on_cluster.running(env={"E2E_YES": "1", "E2E_INSTALLED": "1"}) as process,
    ):
        await wait_for(lambda: _is_denied(bare_plane), 60, "a status that says why")
        # A signal before that program runs would be seen only after it.
        await wait_for(lambda: _runs(process.pid, "--for=condition=Ready"), 60, "the wait for Ready")
        os.killpg(process.pid, signal.SIGINT)
        assert await process.wait() == 130
    assert "denies GetAuthorizationToken" in on_cluster.said
    assert on_cluster.calls[-1] == "delete-repository"
    assert await left_in(bare_plane) == before


async def _is_denied(plane: ControlPlane) -> bool:
    async with plane.api() as api:
        resources = await api.list(ECR_SECRETS)
    return any(reading.verdict(each, "Refreshed") == ("False", "AccessDenied") for each in resources)


def _runs(shell: int, argument: str) -> bool:
    """Whether a program with this argument runs in a shell."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(argument in child.cmdline() for child in psutil.Process(shell).children())
    return False


async def test_a_dry_run_shows_each_step_and_needs_neither_cluster_nor_aws(script: Script) -> None:
    (script.folder / "bin" / "kubectl").unlink()
    assert await script.run("--dry-run", env={"E2E_ROLE_ARN": "arn:aws:iam::123456789012:role/mine"}) == 0
    shown = [line[4:] for line in script.said.splitlines() if line.startswith("  $ ")]
    assert script.calls == []
    for part in (
        "kubectl apply -f /tmp/e2e/operator.yaml",
        "eks.amazonaws.com/role-arn=arn:aws:iam::123456789012:role/mine",
        "aws ecr create-repository",
        "wait --for=condition=Ready ecrsecret/pull argohelmrepo/charts",
        "delete secret/pull-login",
        "refresh-requested-at=",
        "aws ecr delete-repository",
    ):
        assert any(part in line for line in shown), part


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        pytest.param(["--fast"], {}, "usage: ", id="an unknown option"),
        pytest.param([], {"AWS_REGION": ""}, "AWS_REGION is needed", id="no region"),
        pytest.param([], {"E2E_YES": "0"}, "1 or not set", id="a no that could be taken for a yes"),
        pytest.param([], {"E2E_CREDENTIALS": "/nowhere"}, "no file /nowhere", id="no such file"),
        pytest.param([], {"E2E_CREDENTIALS": "a", "E2E_ROLE_ARN": "b"}, "not both", id="two identities"),
        pytest.param([], {"E2E_INSTALLED": "1", "IMG": "a"}, "changes nothing", id="another image for it"),
    ],
)
async def test_a_mistake_is_one_line_and_exit_code_2(
    script: Script, arguments: list[str], env: Mapping[str, str], said: str
) -> None:
    assert await script.run(*arguments, env=env) == 2
    (line,) = script.said.splitlines()
    assert said in line
    assert script.calls == []


async def test_a_program_that_is_not_there_is_named(script: Script) -> None:
    programs = script.folder / "bin"
    (programs / "aws").unlink()
    (programs / "date").symlink_to("/bin/date")
    assert await script.run(env={"PATH": str(programs)}) == 2
    assert script.said == "aws is needed, and not on PATH.\n"
