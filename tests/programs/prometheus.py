"""A Prometheus process on a free port, and queries over its HTTP API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from lab.processes import Process
from lab.waiting import wait_for
from tests.programs.client import printed


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    _session: aiohttp.ClientSession

    async def ask(self, path: str, **parameters: str | float) -> Any:
        """Return the data of an answer, for a path under `/api/v1/`; empty where it has none."""
        async with self._session.get(f"/api/v1/{path}", params=parameters) as answer:
            return (await answer.json()).get("data", {})


@asynccontextmanager
async def prometheus(program: Path, folder: Path, target: str, rules: Path) -> AsyncIterator[Prometheus]:
    """Run one in a folder that scrapes a host and port, and evaluates the rules in a file, every second."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "operator", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    process = Process(
        "Prometheus",
        [
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
        ],
        log=folder / "prometheus.log",
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        cwd=folder,
    )
    with process:
        port = await printed(process, r'Listening on"? .*?address=(?:\[::\]|[\d.]+):(\d+)')
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            # It listens before it has opened its database, and answers 503 until then.
            await wait_for(lambda: _is_ready(session), 30, "Prometheus' database")
            yield Prometheus(session)


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    async with session.get("/-/ready") as answer:
        return answer.status == HTTPStatus.OK
