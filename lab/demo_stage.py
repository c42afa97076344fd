"""What the demo plays on: a control plane, a local AWS, the CRDs, the samples, and the operator."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from lab.api import ARGO_SECRETS, ECR_SECRETS, Api, ApiError, Resource
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.demo_rows import NAMESPACE
from lab.demo_screen import Screen
from lab.janitor import temporary_folder
from lab.kubectl import kubectl
from lab.operator import OperatorProcess
from lab.processes import LabError, tail
from lab.waiting import wait_for

TOKEN_LIFE = 30.0

_SAMPLES = Path(__file__).parents[1] / "samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All parts, at work."""

    plane: ControlPlane
    api: Api
    aws: LocalAws
    operator: OperatorProcess


async def set_stage(stack: contextlib.AsyncExitStack, screen: Screen) -> Stage:
    """Start all parts, each ended by `stack`. Raises LabError, with the end of the right log."""
    home = stack.enter_context(temporary_folder("ecr-demo-"))
    with screen.step("etcd and kube-apiserver") as note:
        plane = await _start_plane(stack)
        api = await stack.enter_async_context(plane.api())
        note.text = f"Kubernetes {(await api.request('GET', '/version'))['gitVersion']}"
    with screen.step("Local AWS") as note:
        aws = await stack.enter_async_context(LocalAws(token_life=TOKEN_LIFE))
        note.text = f"ECR with tokens that live {TOKEN_LIFE:.0f} s"
    with screen.step("kubectl apply -k config/crd") as note:
        await kubectl("apply", "-k", "config/crd", kubeconfig=plane.kubeconfig, home=home)
        for kind in (ECR_SECRETS, ARGO_SECRETS):
            await wait_for(partial(_is_served, api, kind), 20, f"{kind.plural} served")
        note.text = "the two kinds, served"
    with screen.step("kubectl apply -f samples/") as note:
        names = _fill_in(home / "samples", aws.services.account)
        folder = str(home / "samples")
        await kubectl("apply", "-n", NAMESPACE, "-f", folder, kubeconfig=plane.kubeconfig, home=home)
        note.text = f"{len(names)} resources, ACCOUNT_ID filled in"
    with screen.step("python -m ecr_operator") as note:
        operator = OperatorProcess(kubeconfig=plane.kubeconfig, aws_endpoint=aws.url)
        await stack.enter_async_context(operator)
        note.text = f"process {operator.process.pid}"
    return Stage(plane=plane, api=api, aws=aws, operator=operator)


async def _start_plane(stack: contextlib.AsyncExitStack) -> ControlPlane:
    plane = ControlPlane()
    start = asyncio.create_task(asyncio.to_thread(plane.__enter__))
    try:
        await asyncio.shield(start)
    except asyncio.CancelledError:
        await _give_up(plane, start)
        raise
    stack.push(plane.__exit__)
    stack.enter_context(_blamed(plane))
    return plane


async def _give_up(plane: ControlPlane, start: asyncio.Task[ControlPlane]) -> None:
    """End a start that is under way: it fails as soon as it finds its API server gone."""
    while not start.done():
        with contextlib.suppress(AttributeError):  # so early that there is nothing to kill
            plane.kill_api_server()
        await asyncio.wait([start], timeout=0.05)
    if start.exception() is None:
        plane.__exit__()


@contextlib.contextmanager
def _blamed(plane: ControlPlane) -> Iterator[None]:
    """Turn what a client sees of a broken API server into an error with the end of its log."""
    try:
        yield
    except (ApiError, aiohttp.ClientError, TimeoutError) as error:
        log = tail(plane.folder / "kube-apiserver.log")
        what = str(error) or type(error).__name__
        message = f"the API server did not do its part ({what}); the end of its log:\n{log}"
        raise LabError(message) from error


async def _is_served(api: Api, kind: Resource) -> bool:
    try:
        await api.list(kind)
    except ApiError:
        return False
    return True


def _fill_in(folder: Path, account: str) -> list[str]:
    """Copy the first sample of each kind with the account in place of ACCOUNT_ID; return the files' names."""
    folder.mkdir()
    files = [_SAMPLES / f"ecr_v1alpha1_{kind.lower()}.yaml" for kind in ("ArgoHelmRepoSecret", "Secret")]
    for file in files:
        (folder / file.name).write_text(file.read_text().replace("ACCOUNT_ID", account))
    return [file.name for file in files]
