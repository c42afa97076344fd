"""A registry that clients find under ECR's names: the real program, its door, and the way there."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import yaml

from lab.aws import LocalAws
from lab.certificates import Authority
from lab.connect_proxy import ConnectProxy
from lab.processes import Process, temporary_folder
from lab.waiting import wait_for
from tests.programs.door import Door, Verdict

_START_LIMIT = 20.0


class EcrRegistry:
    """One registry with some hosts' names; use it as an async context manager.

    Attributes:
        certificates: a folder with the authority that the hosts' certificate is signed with.
    """

    def __init__(self, program: Path, aws: LocalAws, *hosts: str) -> None:
        """Prepare it; `program` is Distribution's registry."""
        self._program = program
        self._aws = aws
        self._hosts = hosts
        self._authority = Authority()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the program and open the way to it. Raises LabError if it ends."""
        async with AsyncExitStack() as stack:
            # A socket's path may have about 100 characters, so the folder is not one of pytest's.
            folder = stack.enter_context(temporary_folder("ecr-registry-"))
            socket = folder / "registry.sock"
            await self._start(stack, folder, socket)
            context = self._serving_context(folder)
            self._door = await stack.enter_async_context(Door(self._aws, behind=socket, context=context))
            self._proxy = await stack.enter_async_context(ConnectProxy(self._door.port))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def proxy(self) -> str:
        """The HTTPS_PROXY by which clients get to the hosts."""
        return self._proxy.url()

    @property
    def authority(self) -> Path:
        """The certificate (PEM) that the hosts' own is signed with."""
        return self.certificates / "ca.crt"

    @property
    def verdicts(self) -> list[Verdict]:
        """What became of every request, in order."""
        return self._door.verdicts

    def deny(self, repository: str) -> None:
        """Deny everybody what is in a repository, as its policy does."""
        self._door.denied.add(repository)

    async def _start(self, stack: AsyncExitStack, folder: Path, socket: Path) -> None:
        settings = folder / "registry.yaml"
        settings.write_text(yaml.safe_dump(_settings(folder / "images", socket)))
        # The registry would report its traces to whoever listens on this machine.
        env = {"OTEL_TRACES_EXPORTER": "none", "HOME": str(folder)}
        process = Process(
            "the registry",
            [self._program, "serve", settings],
            log=folder / "registry.log",
            env=env,
            cwd=folder,
        )
        stack.callback(process.kill)
        process.start()

        async def serves() -> bool:
            if not process.running:
                raise process.error(f"ended with exit code {process.returncode}")
            try:
                _, writer = await asyncio.open_unix_connection(socket)
            except OSError:
                return False
            writer.close()
            return True

        await wait_for(serves, _START_LIMIT, "the registry listens")

    def _serving_context(self, folder: Path) -> ssl.SSLContext:
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        self.authority.write_bytes(self._authority.certificate)
        return self._authority.server_context(*self._hosts)


def _settings(images: Path, socket: Path) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(images)}},
        "http": {"net": "unix", "addr": str(socket), "relativeurls": True, "secret": "of-the-lab"},
    }
