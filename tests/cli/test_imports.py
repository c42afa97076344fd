"""What each way of starting the program loads: memory and time of those who do not need it."""

import asyncio
import sys

import pytest

# The operator's own run, as far as it gets without a cluster.
OPERATOR = """
import sys
from ecr_operator.__main__ import main
sys.argv = ["ecr-secret-operator", "--kubeconfig", "/nonexistent/config"]
assert main() == 1
"""


@pytest.mark.parametrize(
    ("code", "wanted", "unwanted"),
    [
        pytest.param(
            OPERATOR,
            "ecr_operator.app",
            ["rich.console", "ecr_operator.cli"],
            id="the operator: no command",
        ),
        pytest.param(
            "import ecr_operator.cli.status",
            "ecr_operator.kube.client",
            ["rich", "aiobotocore"],
            id="status: neither AWS nor rich",
        ),
        pytest.param(
            "import ecr_operator.cli.refresh",
            "ecr_operator.kube.client",
            ["rich", "aiobotocore"],
            id="refresh: the same",
        ),
        pytest.param(
            "import ecr_operator.cli.main, ecr_operator.cli.render",
            "ecr_operator.core.secret",
            ["rich", "aiobotocore", "aiohttp"],
            id="render: no network at all",
        ),
        pytest.param(
            "import ecr_operator.__main__",
            "ecr_operator.settings",
            ["aiohttp", "structlog", "ecr_operator.settings.commands"],
            id="a mistake: no library",
        ),
    ],
)
async def test_only_what_is_needed_is_loaded(code: str, wanted: str, unwanted: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{code}\nimport sys\nprint(*sys.modules)",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits for the collector
    loaded = out.decode().split()
    assert wanted in loaded
    assert [name for name in unwanted if name in loaded] == []
