"""Programs as a user runs them: skopeo and Helm, each with a home of its own, and what others print."""

import asyncio
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.api import Json
from lab.processes import LabError, Process
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.scene import Scene
from tests.programs.registry import EcrRegistry

_LIMIT = 60.0


class ProgramFailed(LabError):  # noqa: N818 -- that it fails is what tests expect
    """A program ended with an exit code other than 0; the message is what it printed."""


_CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}"}}


def write_chart(folder: Path, version: str, *manifests: Json, name: str = "demo", **fields: Any) -> Path:
    """Write a chart with these manifests, or a ConfigMap named as the release, and return its folder.

    `fields` are further ones of Chart.yaml.
    """
    (folder / "templates").mkdir(parents=True)
    content = {"apiVersion": "v2", "name": name, "version": version, **fields}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(content))
    (folder / "templates" / "all.yaml").write_text(yaml.safe_dump_all(manifests or (_CONFIG_MAP,)))
    return folder


async def printed(process: Process, pattern: str) -> str:
    """Wait until a program that was started prints what matches, and return the group in it."""

    def look() -> str | None:
        if not process.running:
            raise process.error(f"ended with exit code {process.returncode}")
        found = re.search(pattern, process.tail(100))
        return found[1] if found else None

    return await wait_for(look, what=f"{process.name} prints {pattern}")


async def write_login(
    scene: Scene, file: Path, name: str = "pull-login", key: str = ".dockerconfigjson"
) -> Path:
    """Write what a Secret holds at present to a file, and return it."""
    file.write_text(reading.decoded(await scene.secret(name))[key])
    return file


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that speaks with the hosts of a registry.

    Attributes:
        program: what is run.
        registry: whose hosts it reaches, and no others.
        home: a folder of its own.
    """

    program: Path
    registry: EcrRegistry
    home: Path

    async def run(self, *arguments: str | Path, stdin: str = "") -> str:
        """Run it to its end, at most a minute, and return what it printed. Raises ProgramFailed."""
        return await asyncio.to_thread(self._run, list(arguments), stdin)

    def _run(self, arguments: list[str | Path], stdin: str) -> str:
        # No PATH: Helm would look there for a keychain of the user to put the login in.
        env = {"HOME": str(self.home), "HTTPS_PROXY": self.registry.proxy}
        return run_program(self.program, arguments, cwd=self.home, env=env, stdin=stdin)


def run_program(
    program: Path, arguments: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stdin: str = ""
) -> str:
    """Run a program to its end, at most a minute, and return what it printed. Raises ProgramFailed."""
    done = subprocess.run(
        [program, *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT,
        check=False,
        cwd=cwd,
        env=env,
    )
    print(f"$ {program.name} {arguments[0]}\n{done.stdout}")
    if done.returncode:
        raise ProgramFailed(done.stdout)
    return done.stdout


class Skopeo(Client):
    """Copies images; `login` is a dockerconfigjson in a file, None for nobody."""

    async def push(self, image: Path, reference: str, login: Path) -> None:
        """Copy an image from a folder to a registry. Raises ProgramFailed."""
        await self._copy(f"oci:{image}", f"docker://{reference}", "--dest-cert-dir", login)

    async def pull(self, reference: str, image: Path, login: Path) -> None:
        """Copy an image from a registry into a new folder. Raises ProgramFailed."""
        await self._copy(f"docker://{reference}", f"oci:{image}", "--src-cert-dir", login)

    async def _copy(self, source: str, target: str, certificates: str, login: Path) -> None:
        # Signatures are not what this is about; without the flag the system's policy decides.
        options = ("--insecure-policy", "--authfile", login, certificates, self.registry.certificates)
        await self.run("copy", *options, source, target)


class Helm(Client):
    """Pushes and pulls charts."""

    async def package(self, chart: Path) -> Path:
        """Make the archive of a chart."""
        printed = await self.run("package", chart, "--destination", self.home)
        return Path(printed.rsplit(": ", 1)[1].strip())

    async def login(self, host: str, username: str, password: str) -> None:
        """Log in, as Argo CD does with what its repository Secret holds. Raises ProgramFailed."""
        options = ("--username", username, "--password-stdin", *self._trust)
        await self.run("registry", "login", host, *options, stdin=password)

    async def push(self, archive: Path, repository: str) -> None:
        """Push a chart's archive. Raises ProgramFailed."""
        await self.run("push", archive, f"oci://{repository}", *self._trust)

    async def pull(self, chart: str, version: str, into: Path) -> None:
        """Pull a chart into a folder. Raises ProgramFailed."""
        await self.run("pull", f"oci://{chart}", "--version", version, "--destination", into, *self._trust)

    @property
    def _trust(self) -> tuple[str | Path, ...]:
        return ("--ca-file", self.registry.authority)
