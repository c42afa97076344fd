"""A picture of the Grafana dashboard, drawn from a real Prometheus' answers to its queries.

Run `python -m lab.dashboard FILE`: for five minutes a Prometheus scrapes two operators, which work for
a real API server and a local AWS whose tokens live 90 seconds; AWS fails for a while, the API server
restarts, and one resource has a wrong frequency and one is suspended. Then each panel
is drawn. It is no part of the tests, for the time it takes.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from lab import assets, dashboard_panels, programs
from lab.api import ECR_SECRETS, Api, Json
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.dashboard_charts import Span
from lab.dashboard_view import Results, draw
from lab.janitor import temporary_folder
from lab.operator import OperatorProcess
from lab.processes import LabError
from lab.prometheus import Prometheus, Target, prometheus
from tests.cluster.builders import argo_secret, ecr_secret

_TITLE = "ECR Secret Operator"
_REMARK = (
    "five minutes of two pods, with tokens that live 90 s; AWS fails in eu-west-1 from 0:45 to 2:30, "
    "the API server restarts at 3:20"
)
_TOKEN_LIFE = 90.0
_LASTS = 300.0
_SCRAPE, _STEP, _RATE = "2s", 4.0, "10s"
_OPERATORS = "ecr-secret-operator"
_TEAMS = ("shop", "builds")
_PERMITTED = "--permitted-roles=arn:aws:iam::*:role/ecr-*"
_ROLE = "arn:aws:iam::210987654321:role/ecr-pull"
_AWAY = "eu-west-1"


@dataclass(slots=True, kw_only=True)
class _Run:
    plane: ControlPlane
    api: Api
    aws: LocalAws
    prometheus: Prometheus

    def acts(self) -> list[tuple[float, str, Callable[[], Awaitable[object]]]]:
        """What happens, after how many seconds."""
        return [
            (20, "ten more resources", self._add),
            (45, f"AWS fails in {_AWAY}", self._fail),
            (150, "AWS is well again", self._mend),
            (200, "the API server restarts", self._restart),
            (240, "a resource goes", self._remove),
        ]

    async def _create(self, *manifests: Json) -> None:
        for number, manifest in enumerate(manifests):
            await self.api.create(manifest, _TEAMS[number % len(_TEAMS)])

    async def begin(self) -> None:
        """Make the first resources."""
        await self._create(
            ecr_secret("web"),
            ecr_secret("api", region=_AWAY),
            argo_secret("charts"),
            ecr_secret("partner", role_arn=_ROLE),
            ecr_secret("mistaken", frequency="ten hours"),
            ecr_secret("public", region=None, ecr_registry="public.ecr.aws"),
            ecr_secret("resting", suspend=True),
        )

    async def _add(self) -> None:
        regions = ("us-east-1", _AWAY, "us-east-1")
        await self._create(*(ecr_secret(f"job-{number}", region=regions[number % 3]) for number in range(10)))

    async def _fail(self) -> None:
        self.aws.fail("InternalFailure", status=500, region=_AWAY)

    async def _mend(self) -> None:
        self.aws.clear()

    async def _restart(self) -> None:
        await asyncio.to_thread(self.plane.stop_api_server)
        await asyncio.sleep(4)
        await asyncio.to_thread(self.plane.start_api_server)

    async def _remove(self) -> None:
        await self.api.delete(ECR_SECRETS, "job-0", _TEAMS[0])


async def _play(file: Path, program: Path) -> None:
    async with AsyncExitStack() as stack:
        run = await _set_up(stack, program)
        began = time.time()
        await run.begin()
        for at, what, act in run.acts():
            await asyncio.sleep(max(began + at - time.time(), 0))
            _say(at, what)
            await act()
        await asyncio.sleep(max(began + _LASTS - time.time(), 0))
        span = Span(begin=began, end=began + _LASTS, step=_STEP)
        panels = dashboard_panels.read()
        results = await _answers(run.prometheus, panels, span)
    file.write_text(draw(panels, results, span, title=_TITLE, remark=_REMARK), encoding="utf-8")
    _say(_LASTS, f"the picture is in {file}")


async def _set_up(stack: AsyncExitStack, program: Path) -> _Run:
    _say(0, "a control plane, AWS, two operators and Prometheus")
    folder = stack.enter_context(temporary_folder("ecr-dashboard-"))
    plane = ControlPlane()
    await asyncio.to_thread(plane.__enter__)
    stack.push(plane.__exit__)
    api = await stack.enter_async_context(plane.api())
    aws = await stack.enter_async_context(LocalAws(token_life=_TOKEN_LIFE))
    await api.install_crds()
    for name in (_OPERATORS, *_TEAMS):
        await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    targets = [await _operator(stack, plane, aws, f"pod-{number}") for number in (1, 2)]
    running = await stack.enter_async_context(prometheus(program, folder, targets, interval=_SCRAPE))
    return _Run(plane=plane, api=api, aws=aws, prometheus=running)


async def _operator(stack: AsyncExitStack, plane: ControlPlane, aws: LocalAws, name: str) -> Target:
    process = OperatorProcess(
        "--leader-elect",
        _PERMITTED,
        kubeconfig=plane.kubeconfig,
        aws_endpoint=aws.url,
        env={"POD_NAMESPACE": _OPERATORS, "POD_NAME": name},
    )
    await stack.enter_async_context(process)
    return Target(f"127.0.0.1:{await process.port('/metrics')}", {"namespace": _OPERATORS, "pod": name})


async def _answers(running: Prometheus, panels: list[dashboard_panels.Panel], span: Span) -> Results:
    found = {}
    for panel in panels:
        query = panel.asked(_RATE)
        if panel.kind == "timeseries":
            answer = await running.ask(
                "query_range", query=query, start=span.begin, end=span.end, step=span.step
            )
        else:
            answer = await running.ask("query", query=query, time=span.end)
        if "result" not in answer:
            message = f"Prometheus has no answer for the panel {panel.title}"
            raise LabError(message)
        found[panel.title] = answer["result"]
    return found


def _say(at: float, what: str) -> None:
    print(f"{int(at) // 60}:{int(at) % 60:02d}  {what}", flush=True)


def main() -> int:
    """Run it and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.dashboard",
        description="Draw config/prometheus/dashboard.json from a run of five minutes.",
    )
    parser.add_argument("file", type=Path, help="the SVG file")
    options = parser.parse_args()
    try:
        assets.ensure([assets.ETCD, assets.API_SERVER])
        program = programs.ensure([programs.PROMETHEUS])[programs.PROMETHEUS]
        asyncio.run(_play(options.file, program))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
