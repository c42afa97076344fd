"""`python -m ecr_operator` and the script `ecr-secret-operator`: parse, run, exit code."""

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence

from ecr_operator.settings import Settings, SettingsError, check_proxies, parse_settings
from ecr_operator.settings.flags import COMMANDS


def main() -> int:
    """Run the operator, or one of the user's commands.

    Returns:
        0 after SIGTERM or SIGINT, 1 when it can't start, 2 for a mistake in a flag or variable; or what the
        command says.
    """
    arguments = sys.argv[1:]
    try:
        if arguments and arguments[0] in COMMANDS:
            return _run_command(arguments)
        settings = parse_settings(arguments)
        check_proxies()
        return _run_operator(settings)
    except SettingsError as error:
        print(f"ecr-secret-operator: {error}", file=sys.stderr)
        return 2


def _run_command(arguments: Sequence[str]) -> int:
    # The operator does without the commands, and a mistake without libraries.
    from ecr_operator.settings.commands import parse_command  # noqa: PLC0415

    command = parse_command(arguments)
    from ecr_operator.cli import main as commands  # noqa: PLC0415

    return commands.run(command)


def _run_operator(settings: Settings) -> int:
    # Until the event loop takes over, a stop is a stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Only now: the libraries take a quarter of a second, which --help and a mistake need not wait for. What
    # they define stays for ever, so collecting garbage meanwhile, and looking at it later, is time lost.
    gc.disable()
    # structlog would load rich, 5.4 MiB and 0.1 s, for tracebacks that are never printed; None hides it.
    sys.modules["rich"] = None  # type: ignore[assignment] # Python's own convention
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
        print(f"ecr-secret-operator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
