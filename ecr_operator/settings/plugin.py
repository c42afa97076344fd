"""The command line of kubectl's plug-in, `kubectl ecr`: the same commands, and flags before them too.

kubectl passes on all that follows the plug-in's name. Leaves out: the commands' own flags (commands).
"""

from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Final

from ecr_operator import __version__
from ecr_operator.settings.flags import COMMANDS, COMMANDS_IN_HELP, Parser
from ecr_operator.settings.values import SettingsError

PLUGIN: Final = "kubectl ecr"
_VALUED: Final = ("-n", "--namespace", "--context", "--kubeconfig")


def plugin_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments with the command first.

    Raises:
        SettingsError: there is no such command.
        SystemExit: after `--help` and `--version`.
    """
    place = command_place(arguments)
    if place is None:
        _help(arguments)
        raise SettingsError("expected a command. See --help.")
    return [arguments[place], *arguments[:place], *arguments[place + 1 :]]


def command_place(arguments: Sequence[str]) -> int | None:
    """Where the command is; None where there is none."""
    place = first_word(arguments)
    return place if place is not None and arguments[place] in COMMANDS else None


def first_word(arguments: Sequence[str]) -> int | None:
    """Where the first argument is that is neither a flag nor the value of one."""
    for place, word in enumerate(arguments):
        if not word.startswith("-") and (place == 0 or arguments[place - 1] not in _VALUED):
            return place
    return None


def _help(arguments: Sequence[str]) -> None:
    parser = Parser(
        prog=PLUGIN,
        usage="%(prog)s COMMAND [FLAGS]",
        description="Show, check and refresh the logins of the ECR Secret Operator.",
        epilog=f"commands; each has --help:\n{COMMANDS_IN_HELP}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.words = tuple(COMMANDS)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.parse_known_args(arguments or ["--help"])
    word = first_word(arguments)
    if word is not None:
        parser.parse_args([arguments[word]])
