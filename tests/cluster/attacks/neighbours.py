"""Two namespaces under one operator: an editor of one attacks while the other makes new resources."""

import asyncio
import functools
import itertools
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import yaml

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, SERVICE_ACCOUNTS, Api, ApiError, Json, Resource
from lab.audit import position
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.attacks.figures import Figures, Scale
from tests.cluster.builders import ecr_secret
from tests.cluster.linked import account
from tests.cluster.pages import page
from tests.cluster.scene import Scene

RBAC: Final = "rbac.authorization.k8s.io"
HOME: Final = "us-east-1"
LONGEST_PROBE: Final = 10.0
_PAUSE: Final = 0.1
_AT_A_TIME: Final = 16
# What every cluster has for editors, without the controller that collects it in the role `edit`.
_BUILT_IN: Final = ("system:aggregate-to-edit", "system:aggregate-to-view")


@dataclass(slots=True, kw_only=True)
class Neighbours:
    """The scene of an attack.

    Attributes:
        victim: the other namespace, with a client of all rights, the AWS and the operators.
        attacker: name of the attacker's namespace.
        editor: a client with an editor's rights in that namespace, and none elsewhere.
        scale: how large the attack is to be.
    """

    victim: Scene
    attacker: str
    editor: Api
    scale: Scale
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @asynccontextmanager
    async def operator(
        self, *arguments: str, env: Mapping[str, str | None] | None = None, ready: bool = True
    ) -> AsyncIterator[OperatorProcess]:
        """Run an operator for all namespaces with the log level of an installation, warmed up if `ready`."""
        async with self.victim.operator("--zap-log-level=info", *arguments, watch="", env=env) as process:
            if ready:
                await self.victim.api.apply(ecr_secret("standing", region=HOME), self.victim.namespace)
                await self.victim.ready("standing")
            else:
                # A start is compared with a start, from when the process is there.
                await process.port("/healthz")
            yield process

    async def attack(self, *manifests: Json) -> int:
        """Create objects as the attacker; return how many the API server accepted.

        A refusal by the API server's own limits ends an attack as well as any other defence.
        """
        turn = asyncio.Semaphore(_AT_A_TIME)

        async def create(manifest: Json) -> bool:
            async with turn:
                return await accepted(self.editor.create(manifest, self.attacker))

        return sum(await asyncio.gather(*(create(manifest) for manifest in manifests)))

    async def get(self, name: str, kind: Resource = ECR_SECRETS) -> Json:
        """Return one of the attacker's objects."""
        return await self.editor.get(kind, name, self.attacker)

    async def change(self, name: str, patch: Json, kind: Resource = ECR_SECRETS) -> None:
        """Change one of the attacker's objects by a merge patch."""
        await self.editor.merge_patch(kind, name, patch, self.attacker)

    async def settled(self, count: int, kind: Resource = ECR_SECRETS) -> None:
        """Wait until so many of the attacker's resources have an outcome."""

        async def look() -> bool:
            found = await self.editor.list(kind, self.attacker)
            return (
                sum(reading.verdict(each, "Refreshed")[1] not in {None, "Pending"} for each in found) >= count
            )

        await wait_for(look, 120, f"outcomes of {count} resources")

    async def observe(
        self, operator: OperatorProcess, seconds: float, *, regions: Iterable[str] = (HOME,)
    ) -> Figures:
        """Make new resources in the other namespace one after another, and watch the operator meanwhile.

        Args:
            operator: is watched.
            seconds: how long.
            regions: of the new resources, in turn; a region that had none yet needs a call to AWS.
        """
        figures = Figures()
        began, log = time.monotonic(), position(operator.log)
        calls, processor = len(self.victim.aws.calls), _processor(operator)
        until = began + seconds
        async with _readiness(self.victim) as is_ready:
            watching = asyncio.create_task(_watch_health(operator, figures, until))
            try:
                await self._make_new_ones(figures, until, is_ready, itertools.cycle(regions))
                await watching
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        figures.seconds = time.monotonic() - began
        figures.peak = _peak(operator)
        figures.processor = _processor(operator) - processor
        figures.calls = len(self.victim.aws.calls) - calls
        lines = lines_since(operator.log, log)
        figures.lines = len(lines)
        figures.longest_line = max(map(len, lines), default=0)
        return figures

    async def control(
        self, operator: OperatorProcess, seconds: float, *, regions: Iterable[str] = (HOME,)
    ) -> Figures:
        """Observe without an attack, as long as the attack will last; shorter in a small one.

        There it only shows what is beyond `figures.QUICK`, on a busy machine.
        """
        return await self.observe(operator, self.scale.of(1.0, seconds), regions=regions)

    async def _make_new_ones(
        self,
        figures: Figures,
        until: float,
        is_ready: Callable[[str], asyncio.Event],
        regions: "itertools.cycle[str]",
    ) -> None:
        while (began := time.monotonic()) < until:
            name = f"new-{next(self._numbers)}"
            ready = is_ready(name)
            await self.victim.create(ecr_secret(name, region=next(regions)))
            figures.accepted.append(time.monotonic() - began)
            try:
                # The last one has as long as the phase lasted before it counts as lost.
                await asyncio.wait_for(ready.wait(), max(until - began, LONGEST_PROBE))
            except TimeoutError:
                figures.unready += 1
            figures.ready.append(time.monotonic() - began)
            await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def new_neighbours(victim: Scene) -> AsyncIterator[Neighbours]:
    """Make a namespace beside a scene's, and an editor of it."""
    attacker = await victim.api.create_namespace("attacker")
    async with await _editor_of(victim, attacker) as editor:
        await _can_write(editor, attacker)
        yield Neighbours(victim=victim, attacker=attacker, editor=editor, scale=Scale.chosen())
    await empty(victim, attacker)


async def empty(scene: Scene, namespace: str) -> None:
    """Delete a namespace and all that is in it, as the absent controllers would."""
    await scene.clear(namespace)
    await scene.api.delete_all(SERVICE_ACCOUNTS, namespace)
    await scene.api.end_namespace(namespace)


@asynccontextmanager
async def meanwhile(act: Callable[[int], Awaitable[object]], every: float) -> AsyncIterator[None]:
    """Do something again and again in the background, with a number that counts up; its errors are raised."""

    async def repeat() -> None:
        for number in itertools.count():
            began = time.monotonic()
            await act(number)
            await asyncio.sleep(max(began + every - time.monotonic(), 0))

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended


async def accepted(request: Awaitable[object]) -> bool:
    """Tell whether the API server accepts a request. Raises ApiError unless it refuses the contents."""
    try:
        await request
    except ApiError as error:
        if error.status not in {400, 403, 413, 422}:
            raise
        return False
    return True


async def _editor_of(admin: Scene, namespace: str) -> Api:
    """Make an editor of a namespace, and return an unopened client of theirs."""
    await admin.api.create(account("editor"), namespace)
    subject = {"kind": "ServiceAccount", "name": "editor", "namespace": namespace}
    for number, role in enumerate((*_BUILT_IN, *(each["metadata"]["name"] for each in _editor_roles()))):
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"editor-{number}"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        }
        await admin.api.create(binding, namespace)
    path = SERVICE_ACCOUNTS.path("editor", namespace, "token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await admin.api.request("POST", path, body=body))["status"]["token"]
    return Api(admin.plane.url, token=token, authority=admin.plane.authority)


async def install_editors(api: Api) -> None:
    """Create the roles for editors that an installation has."""
    for role in _editor_roles():
        await api.apply(role)


@functools.cache
def _editor_roles() -> list[Json]:
    return [
        yaml.safe_load(file.read_text()) for file in sorted(Path("config/rbac").glob("*_editor_role.yaml"))
    ]


async def _can_write(editor: Api, namespace: str) -> None:
    """Wait until the API server knows the editor's rights."""

    async def look() -> bool:
        try:
            for kind in (ECR_SECRETS, ARGO_SECRETS, SECRETS):
                await editor.list(kind, namespace)
        except ApiError:
            return False
        return True

    await wait_for(look, what="the editor's rights")


def lines_since(log: Path, place: int) -> list[bytes]:
    """Return the lines of a log from a place on."""
    with log.open("rb") as stream:
        stream.seek(place)
        return stream.read().splitlines()


@asynccontextmanager
async def _readiness(scene: Scene) -> AsyncIterator[Callable[[str], asyncio.Event]]:
    """Watch a namespace's resources; each name has an Event that is set once it is Ready."""
    events: dict[str, asyncio.Event] = {}

    def is_ready(name: str) -> asyncio.Event:
        return events.setdefault(name, asyncio.Event())

    async def watch() -> None:
        async for seen in scene.api.watch(ECR_SECRETS, scene.namespace):
            if reading.verdict(seen["object"], "Ready")[0] == "True":
                is_ready(seen["object"]["metadata"]["name"]).set()

    task = asyncio.create_task(watch())
    try:
        yield is_ready
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch_health(operator: OperatorProcess, figures: Figures, until: float) -> None:
    while (began := time.monotonic()) < until:
        try:
            async with asyncio.timeout(LONGEST_PROBE):
                healthy = (await page(operator, "/healthz")).status == 200
        except TimeoutError:
            healthy = False
        figures.health.append(time.monotonic() - began if healthy else LONGEST_PROBE)
        await asyncio.sleep(_PAUSE)


def _peak(operator: OperatorProcess) -> int:
    """The most resident memory that a process ever had; what it has now where the kernel doesn't say."""
    status = Path(f"/proc/{operator.process.pid}/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    return operator.rss


def _processor(operator: OperatorProcess) -> float:
    times = psutil.Process(operator.process.pid).cpu_times()
    return float(times.user + times.system)
