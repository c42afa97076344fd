"""Commands in this process, as `cli.main` runs them, for tests to which nothing of a process matters."""

import textwrap
from io import StringIO
from pathlib import Path

from ecr_operator.cli.main import run_on
from ecr_operator.cli.output import Terminal
from ecr_operator.core.ports import Clock, SystemClock
from ecr_operator.settings.commands import parse_command
from lab.commands import Ended
from tests.kube.test_connection import KUBECONFIG


async def run(
    *arguments: str, kubeconfig: Path | None = None, clock: Clock | None = None, **environment: str
) -> Ended:
    """Run a command to its end, on a pipe that knows ASCII only."""
    variables = {"KUBECONFIG": str(kubeconfig or "/nonexistent"), **environment}
    out, errors = StringIO(), StringIO()
    command = parse_command(arguments, variables)
    code = await run_on(Terminal(out, errors), command, clock or SystemClock())
    return Ended(code=code, out=out.getvalue(), err=errors.getvalue())


def write_kubeconfig(folder: Path, url: str) -> Path:
    """Write a kubeconfig that leads to an API server."""
    file = folder / "config"
    file.write_text(textwrap.dedent(KUBECONFIG.format(url=url)), encoding="utf-8")
    return file
