"""Which command a command line of kubectl's plug-in means."""

import pytest

from ecr_operator.settings.flags import plugin_arguments
from ecr_operator.settings.values import SettingsError


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("status", "status"),
        ("status -n a -A", "status -n a -A"),
        ("-n a status", "status -n a"),
        ("--context b -n a refresh x --all", "refresh --context b -n a x --all"),
        ("--namespace=a status", "status --namespace=a"),
        ("-A status", "status -A"),
        ("-n check status -w", "status -n check -w"),
        ("pull status", "pull status"),
    ],
)
def test_flags_may_precede_the_command(line: str, arguments: str) -> None:
    assert plugin_arguments(line.split()) == arguments.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stat", 'unknown argument "stat", did you mean status?'),
        ("-n a foo", 'unknown argument "foo".'),
        ("-n a", "expected a command"),
        ("-n status", "expected a command"),
        ("--leader-elect", "expected a command"),
    ],
)
def test_without_a_command_it_says_so_and_never_runs_the_operator(line: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        plugin_arguments(line.split())
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("line", ["", "--help", "-h", "-n a --help"])
def test_its_help_lists_the_commands_by_kubectls_name(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        plugin_arguments(line.split())
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert shown.startswith("usage: kubectl ecr COMMAND")
    assert "pull              find out why an image is not pulled" in shown
