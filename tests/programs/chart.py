"""The chart in the hands of Helm: rendered without a cluster, and as a release in one."""

import asyncio
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from lab.api import Json
from lab.control_plane import ControlPlane
from tests.manifests.installation import NAMESPACE, ROOT
from tests.programs.client import run_program

CHART: Final = ROOT / "charts" / "ecr-secret-operator"
RELEASE: Final = "ecr-secret-operator"
Key = tuple[str, str, str]


def render(helm: Path, values: Json | None = None, *, chart: Path = CHART, tests: bool = False) -> list[Json]:
    """Return the objects that the chart renders; those of `helm test` only if asked. Raises ProgramFailed."""
    options = [] if tests else ["--skip-tests"]
    printed = _run(helm, "template", RELEASE, chart, *options, values=values)
    return [each for each in yaml.safe_load_all(printed) if each]


def lint(helm: Path, values: Json | None = None) -> str:
    """Return what Helm reports about the chart. Raises ProgramFailed for an error and for a warning."""
    return _run(helm, "lint", "--strict", CHART, values=values)


def indexed(objects: Iterable[Json]) -> dict[Key, Json]:
    """Return objects by kind, namespace and name, with variables in one order."""
    found: dict[Key, Json] = {}
    for each in objects:
        key = (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
        assert key not in found, f"twice: {key}"
        found[key] = each
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                container.get("env", []).sort(key=lambda variable: str(variable["name"]))
    return found


def _run(helm: Path, *arguments: str | Path, values: Json | None = None, env: Json | None = None) -> str:
    with tempfile.TemporaryDirectory() as home:
        command = [*arguments, "--namespace", NAMESPACE]
        if values is not None:
            file = Path(home) / "values.json"
            file.write_text(json.dumps(values))
            command += ["--values", file]
        return run_program(helm, command, cwd=ROOT, env={"HOME": home, **(env or {})})


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of the chart in a cluster.

    Attributes:
        helm: the program.
        plane: the cluster.
        taking_over: the flags with which this Helm takes over an installation that is not its own.
    """

    helm: Path
    plane: ControlPlane
    taking_over: tuple[str, ...] = field(default=("--take-ownership",))

    async def install(self, *flags: str, chart: Path = CHART, **values: object) -> str:
        """Install the chart, into a new namespace if need be."""
        return await self._do("install", RELEASE, chart, "--create-namespace", *flags, values=values)

    async def upgrade(self, *flags: str, chart: Path = CHART, **values: object) -> str:
        """Upgrade to a chart, with these values alone."""
        return await self._do("upgrade", RELEASE, chart, *flags, values=values)

    async def take_over(self) -> str:
        """Install the chart over what is there."""
        return await self.upgrade("--install", *self.taking_over)

    async def rollback(self, revision: int) -> str:
        """Return to an earlier revision."""
        return await self._do("rollback", RELEASE, str(revision))

    async def uninstall(self) -> str:
        """Uninstall it."""
        return await self._do("uninstall", RELEASE)

    async def test(self) -> str:
        """Run `helm test`. Raises ProgramFailed if the pod fails."""
        return await self._do("test", RELEASE)

    async def _do(self, *arguments: str | Path, values: Json | None = None) -> str:
        env = {"KUBECONFIG": str(self.plane.kubeconfig)}
        return await asyncio.to_thread(_run, self.helm, *arguments, values=values, env=env)
