"""What each way to start the program imports, and how a command ends."""

import asyncio
import os
import sys

import pytest

from lab import commands

# The operator's own run, as far as it gets without a cluster.
OPERATOR = """
import sys
from ecr_operator.__main__ import main
sys.argv = ["ecr-secret-operator", "--kubeconfig", "/nonexistent/config"]
assert main() == 1
"""


IMPORTS = {
    "the operator": (OPERATOR, "ecr_operator.app", {"rich.console", "ecr_operator.cli"}),
    "status and refresh on a pipe": (
        "import ecr_operator.cli.main, ecr_operator.cli.status, ecr_operator.cli.refresh",
        "ecr_operator.kube.client",
        {"rich", "aiobotocore", "structlog"},
    ),
    "pull": (
        "import ecr_operator.cli.main, ecr_operator.cli.pull",
        "ecr_operator.cli.manifests",
        {"rich", "aiobotocore", "structlog"},
    ),
    "completion": (
        "import ecr_operator.__main__, ecr_operator.cli.completion",
        "ecr_operator.settings.flags",
        {"rich", "aiobotocore", "structlog", "aiohttp"},
    ),
    "render without tokens": (
        "import ecr_operator.cli.main, ecr_operator.cli.render",
        "ecr_operator.core.manifest",
        {"rich", "aiobotocore", "aiohttp"},
    ),
    "a mistake in a flag": (
        "import ecr_operator.__main__",
        "ecr_operator.settings",
        {"aiohttp", "structlog", "ecr_operator.settings.commands"},
    ),
}


@pytest.mark.parametrize(("code", "needed", "unneeded"), IMPORTS.values(), ids=IMPORTS)
async def test_only_what_is_needed_is_imported(code: str, needed: str, unneeded: set[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits for the collector
    imported = set(out.decode().split())
    assert needed in imported
    assert unneeded & imported == set()


async def test_a_closed_pipe_ends_the_command_without_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = await commands.run("render", "-f", "samples/ecr_v1alpha1_secret.yaml", out=writer)
    os.close(writer)
    assert (ended.code, "Traceback" in ended.err) == (141, False)


async def test_a_kubeconfig_that_can_not_be_used_is_one_line() -> None:
    ended = await commands.run("status", "--kubeconfig", "/nonexistent/x")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "no such file: /nonexistent/x" in ended.err
