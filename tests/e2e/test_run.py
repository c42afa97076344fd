"""The script for a real cluster and a real AWS account, run on a real API server and a local AWS."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import botocore.session
import pytest

from lab.api import CRDS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Api, ApiError, Json, Resource
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.kubectl import find_kubectl, kubectl
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster import reading
from tests.manifests.installation import NAMESPACE, token_of
from tools import ROOT

DEPLOYMENTS = Resource("apps/v1", "deployments")
PODS = Resource("v1", "pods")
REGION = "us-east-2"
HOST = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
IMAGE = "registry.example.com:5000/team/ecr-secret-operator:test"
KEYS = "[default]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=lab-secret-key\n"
AWS_COMMAND = f"""#!{sys.executable}
import json, os, sys

with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
options = dict(zip(sys.argv, sys.argv[1:]))
uri = "{HOST}/" + options.get("--repository-name", "")
arn = "arn:aws:iam::123456789012:user/lab"
answers = {{"Account": "123456789012", "Arn": arn, "repository.repositoryUri": uri}}
print(answers.get(options.get("--query"), ""))
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A cluster in which the operator is not installed; the controllers start when it is."""
    with ControlPlane() as started:
        yield started


@dataclass(slots=True, kw_only=True)
class StandIns:
    """What nodes would do: run the operator once it is deployed, and pods that have their login.

    Attributes:
        images: those of the Deployment, in order.
        pulled: the registries for which a pod had a live token, by the pod's name.
    """

    plane: ControlPlane
    aws: LocalAws
    images: list[str] = field(default_factory=list)
    pulled: dict[str, list[str]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Work until the context is left, also after a failure of the script."""
        async with self.plane.api() as api, asyncio.TaskGroup() as group:
            work = group.create_task(self._work(api))
            try:
                yield
            finally:
                work.cancel()

    async def _work(self, api: Api) -> None:
        async with contextlib.AsyncExitStack() as stack:
            operator: OperatorProcess | None = None
            while True:
                await asyncio.sleep(0.05)
                # What the script deletes meanwhile is looked at again.
                with contextlib.suppress(ApiError):
                    await self._accounts(api)
                    if operator is None and await api.list(DEPLOYMENTS, NAMESPACE):
                        operator = await self._run_operator(api, stack)
                    await self._roll_out(api)
                    await self._run_pods(api)

    async def _accounts(self, api: Api) -> None:
        """Give the namespaces of the script the account that pods run under."""
        for each in await api.list(NAMESPACES):
            name, account = each["metadata"]["name"], {"name": "default"}
            if name.startswith("ecr-e2e-") and not await api.find(SERVICE_ACCOUNTS, "default", name):
                await api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, name)

    async def _run_operator(self, api: Api, stack: contextlib.AsyncExitStack) -> OperatorProcess:
        await api.crds_served(each["metadata"]["name"] for each in await api.list(CRDS))
        # The garbage collector looks for new kinds at its start, and then seldom.
        await asyncio.to_thread(self.plane.start_controller_manager)
        kubeconfig = self.plane.write_kubeconfig("installed", token=await token_of(api))
        process = OperatorProcess(kubeconfig=kubeconfig, aws_endpoint=self.aws.url)
        return await stack.enter_async_context(process)

    async def _roll_out(self, api: Api) -> None:
        for each in await api.list(DEPLOYMENTS, NAMESPACE):
            images = [one["image"] for one in each["spec"]["template"]["spec"]["containers"]]
            self.images += [image for image in images if image not in self.images]
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
            status = {"observedGeneration": each["metadata"]["generation"], **counts}
            if (each.get("status") or {}).get("observedGeneration") != status["observedGeneration"]:
                await api.patch_status(DEPLOYMENTS, each["metadata"]["name"], status, NAMESPACE)

    async def _run_pods(self, api: Api) -> None:
        for pod in await api.list(PODS):
            metadata = pod["metadata"]
            if (pod.get("status") or {}).get("phase") == "Pending" and "deletionTimestamp" not in metadata:
                status = await self._fate(api, pod)
                await api.patch_status(PODS, metadata["name"], status, metadata["namespace"])

    async def _fate(self, api: Api, pod: Json) -> Json:
        """Return the status of a pod: it succeeds if a Secret that it names holds a token of AWS."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        for secret in _named(pod):
            held = await api.get(SECRETS, secret, namespace)
            if reading.password(held) in self.aws.services.passwords:
                self.pulled[name] = list(json.loads(reading.decoded(held)[".dockerconfigjson"])["auths"])
        if name in self.pulled:
            return {"phase": "Succeeded"}
        waiting = {"waiting": {"reason": "ErrImagePull"}}
        container = pod["spec"]["containers"][0]
        shown = {"name": container["name"], "image": container["image"], "imageID": "", "state": waiting}
        return {"containerStatuses": [{**shown, "ready": False, "restartCount": 0}]}


def _named(pod: Json) -> list[str]:
    """Name the Secrets that a pod pulls with, or mounts."""
    spec = pod["spec"]
    mounted = [each["secret"]["secretName"] for each in spec.get("volumes", ()) if "secret" in each]
    return [*(each["name"] for each in spec.get("imagePullSecrets", ())), *mounted]


@dataclass(slots=True, kw_only=True)
class Script:
    """The script, with kubectl and a stand-in for `aws` on its PATH."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "kubectl").symlink_to(find_kubectl())
        (programs / "aws").write_text(AWS_COMMAND)
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
        """Run it in a session of its own; its output is in `said`."""
        with (self.folder / "said").open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                ROOT / "tests/e2e/run.sh",
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
        """The operations of AWS that it called; they and their options exist."""
        file = self.folder / "calls"
        calls = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        for service, operation, *options in calls:
            model = botocore.session.get_session().get_service_model(service)
            shape = model.operation_model(operation.title().replace("-", "")).input_shape
            names = {each.replace("-", "").lower() for each in options if each.startswith("--")}
            assert names <= {"query", "output", *map(str.lower, shape.members)}
        return [operation for _, operation, *_ in calls]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """The script, without a cluster."""
    return Script(folder=tmp_path)


@pytest.fixture
def on_cluster(script: Script, plane: ControlPlane) -> Script:
    """The script, with the cluster."""
    script.env["KUBECONFIG"] = str(plane.kubeconfig)
    return script


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """The operator's AWS; its tokens expire soon, so that a fresh one is permitted soon."""
    async with LocalAws(token_life=40) as running:
        yield running


async def left_in(plane: ControlPlane) -> list[str]:
    """Name what there is in the cluster of the operator and the script."""
    async with plane.api() as api:
        found = [each["metadata"]["name"] for each in [*await api.list(NAMESPACES), *await api.list(CRDS)]]
    return [name for name in found if "ecr" in name]


@pytest.mark.timeout(300)
async def test_it_installs_pulls_an_image_and_removes_everything(
    on_cluster: Script, plane: ControlPlane, aws: LocalAws
) -> None:
    keys = on_cluster.folder / "credentials"
    keys.write_text(KEYS)
    stand_ins = StandIns(plane=plane, aws=aws)
    async with stand_ins.at_work():
        env = {"E2E_YES": "1", "IMG": IMAGE, "E2E_CREDENTIALS": str(keys)}
        code = await on_cluster.run(env=env)
    assert (code, on_cluster.said.splitlines()[-1]) == (0, "All went well.")
    assert stand_ins.pulled == {"push": [HOST], "with": [HOST]}
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
    assert await left_in(plane) == []
    left = {file.name for file in on_cluster.folder.iterdir()}
    assert left <= {"bin", "calls", "credentials", "said", ".kube"}


@pytest.mark.timeout(300)
async def test_interrupted_it_reports_the_state_and_removes_what_it_created(
    on_cluster: Script, plane: ControlPlane, aws: LocalAws
) -> None:
    aws.fail("AccessDeniedException")
    await _kubectl(plane, "apply", "-k", "config/default")
    before = await left_in(plane)
    async with (
        StandIns(plane=plane, aws=aws).at_work(),
        on_cluster.running(env={"E2E_YES": "1", "E2E_INSTALLED": "1"}) as process,
    ):
        await wait_for(lambda: "--for=condition=Ready" in on_cluster.said, 60, "the wait for Ready")
        await wait_for(aws.count, 60, "a call of the operator")
        os.killpg(process.pid, signal.SIGINT)
        assert await process.wait() == 130
    assert "denies GetAuthorizationToken" in on_cluster.said
    assert on_cluster.calls[-1] == "delete-repository"
    assert await left_in(plane) == before
    await _kubectl(plane, "delete", "-k", "config/default")


async def _kubectl(plane: ControlPlane, *arguments: str) -> None:
    await kubectl(*arguments, kubeconfig=plane.kubeconfig, home=plane.folder)


async def test_a_cluster_in_use_is_not_changed(on_cluster: Script, plane: ControlPlane) -> None:
    assert await on_cluster.run() == 2
    assert "does not look like a throw-away cluster" in on_cluster.said
    assert await left_in(plane) == []
    await asyncio.to_thread(plane.start_controller_manager)
    async with plane.api() as api:
        await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        assert await on_cluster.run(env={"E2E_YES": "1"}) == 2
        assert "in this cluster already" in on_cluster.said
        assert await left_in(plane) == [NAMESPACE]
        await api.delete(NAMESPACES, NAMESPACE)
    assert set(on_cluster.calls) == {"get-caller-identity"}

    async def is_empty() -> bool:
        return await left_in(plane) == []

    await wait_for(is_empty, 20, "the namespace gone")


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


MISTAKES: dict[str, tuple[list[str], dict[str, str], str]] = {
    "an unknown option": (["--fast"], {}, "usage: "),
    "no region": ([], {"AWS_REGION": ""}, "AWS_REGION is needed"),
    "a no that could be read as a yes": ([], {"E2E_YES": "0"}, "1 or not set"),
    "no such file": ([], {"E2E_CREDENTIALS": "/nowhere"}, "no file /nowhere"),
    "two identities": ([], {"E2E_CREDENTIALS": "a", "E2E_ROLE_ARN": "b"}, "not both"),
    "another image for it": ([], {"E2E_INSTALLED": "1", "IMG": "a"}, "changes nothing"),
}


@pytest.mark.parametrize(("arguments", "env", "said"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_is_one_line_and_exit_code_2(
    script: Script, arguments: list[str], env: Mapping[str, str], said: str
) -> None:
    assert await script.run(*arguments, env=env) == 2
    (line,) = script.said.splitlines()
    assert said in line
    assert script.calls == []


async def test_a_missing_program_is_named(script: Script) -> None:
    programs = script.folder / "bin"
    (programs / "aws").unlink()
    (programs / "date").symlink_to("/bin/date")
    assert await script.run(env={"PATH": str(programs)}) == 2
    assert script.said == "aws is needed, and not on PATH.\n"
