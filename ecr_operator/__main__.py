"""The scripts: parse, run, exit code.

`ecr-secret-operator` and `python -m ecr_operator` run the operator or a command; `kubectl-ecr`, which kubectl
runs as `kubectl ecr`, runs commands only; `kubectl_complete-ecr` completes them for kubectl.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence

from ecr_operator.settings import Settings, SettingsError, parse_settings
from ecr_operator.settings.flags import COMMANDS, PLUGIN, PROGRAM, plugin_arguments
from ecr_operator.settings.proxies import check_proxies


def main() -> int:
    """Run the operator, or one of the user's commands.

    Returns:
        0 after SIGTERM or SIGINT, 1 when it can't start, 2 for a mistake in a flag or variable; or the exit
        code of the command.
    """
    arguments = sys.argv[1:]
    try:
        if arguments and arguments[0] in COMMANDS:
            return _run_command(arguments)
        settings = parse_settings(arguments)
        check_proxies()
        return _run_operator(settings)
    except SettingsError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2


def plugin() -> int:
    """Run one of the user's commands as a plug-in of kubectl.

    Returns:
        The exit code of the command; 2 for a mistake on the command line or in a variable.
    """
    try:
        return _run_command(plugin_arguments(sys.argv[1:]), PLUGIN)
    except SettingsError as error:
        print(f"{PLUGIN}: {error}", file=sys.stderr)
        return 2


def complete() -> int:
    """Print what can follow on the command line of the plug-in. Returns 0 in any case."""
    from ecr_operator.cli.completion import run  # noqa: PLC0415

    return run(sys.argv[1:])


def _run_command(arguments: Sequence[str], program: str = PROGRAM) -> int:
    # Imported here: the operator needs no commands, and a mistake no libraries.
    from ecr_operator.settings.commands import parse_command  # noqa: PLC0415

    command = parse_command(arguments, program=program)
    from ecr_operator.cli import main as commands  # noqa: PLC0415

    return commands.run(command, program)


def _run_operator(settings: Settings) -> int:
    # Until the event loop handles signals, the process ends at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Imported here: the libraries take a quarter of a second, which --help and a mistake need not wait for.
    # Their definitions stay for good, so collecting garbage meanwhile, or scanning them later, wastes time.
    gc.disable()
    # structlog would import it, 5 MiB and 0.1 s, for tracebacks that are never printed.
    sys.modules["rich"] = None  # type: ignore[assignment] # Python's way to say that there is no such module
    from ecr_operator import app  # noqa: PLC0415
    from ecr_operator.kube.connection import ConnectionSetupError  # noqa: PLC0415
    from ecr_operator.telemetry import logs  # noqa: PLC0415
    from ecr_operator.telemetry.server import BindError  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    logs.configure(settings.logs)
    try:
        asyncio.run(app.run(settings))
    except (ConnectionSetupError, BindError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
