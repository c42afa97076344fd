"""The command line of the commands."""

from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.settings import SettingsError
from ecr_operator.settings.commands import Check, Pull, Refresh, Render, Status, parse_command
from ecr_operator.settings.flags import COMMANDS


def parsed(line: str, **environment: str) -> Any:
    return parse_command(line.split(), environment)


def mistake(line: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parsed(line)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_by_the_name_of_the_program(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_command([command, "--help"], {}, "kubectl ecr")
    assert (caught.value.code, capsys.readouterr().out.split()[:4]) == (
        0,
        ["usage:", "kubectl", "ecr", command],
    )


@pytest.mark.parametrize(
    ("line", "namespace", "output", "watch"),
    [
        ("status", None, "table", False),
        ("status -n a", "a", "table", False),
        ("status -na -owide", "a", "wide", False),
        ("status --namespace=a --output=json", "a", "json", False),
        ("status -A -o yaml -w", "", "yaml", True),
        ("status --all-namespaces --watch -n a", "", "table", True),
    ],
)
def test_status(line: str, namespace: str | None, output: str, *, watch: bool) -> None:
    command = parsed(line)
    assert isinstance(command, Status)
    assert (command.place.namespace, command.output, command.watch) == (namespace, output, watch)


@pytest.mark.parametrize(
    ("line", "environment", "files", "context"),
    [
        ("status", {}, ("~/.kube/config",), ""),
        ("status", {"KUBECONFIG": "/a"}, ("/a",), ""),
        ("status --kubeconfig /b --context c", {"KUBECONFIG": "/a"}, ("/b",), "c"),
    ],
)
def test_cluster_of_a_command(
    line: str, environment: dict[str, str], files: tuple[str, ...], context: str
) -> None:
    place = parsed(line, **environment).place
    assert (place.settings.kubeconfig, place.context) == (files, context)


BOTH = ("aws", "cluster")
AWS_REGION = {"AWS_REGION": "us-east-1"}
WATCHED = {"WATCH_NAMESPACE": "a,b"}


@pytest.mark.parametrize(
    ("line", "environment", "expected"),
    [
        ("check", {}, (BOTH, "", ("",), False)),
        ("check cluster", WATCHED, (("cluster",), "", ("a", "b"), False)),
        ("check aws --region eu-west-1", AWS_REGION, (("aws",), "eu-west-1", ("",), False)),
        ("check cluster aws -n a", WATCHED, (BOTH, "", ("a",), False)),
        ("check -A --leader-elect", WATCHED, (BOTH, "", ("",), True)),
        ("check", AWS_REGION, (BOTH, "us-east-1", ("",), False)),
        ("check", {"AWS_REGION": "no region"}, (BOTH, "", ("",), False)),
    ],
)
def test_check(line: str, environment: dict[str, str], expected: tuple[object, ...]) -> None:
    command = parsed(line, **environment)
    assert isinstance(command, Check)
    settings = command.place.settings
    assert (command.parts, command.region, settings.namespaces, settings.leader_elect) == expected


def test_render() -> None:
    command = parsed("render -f a -f - -n b -o json --show-token")
    assert isinstance(command, Render)
    assert (command.files, command.place.namespace) == (("a", "-"), "b")
    assert (command.output, command.show_token) == ("json", True)
    plain = parsed("render -f a")
    assert (plain.output, plain.show_token, plain.place.namespace) == ("yaml", False, None)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("refresh a", ((None, "a"),)),
        ("refresh a b a", ((None, "a"), (None, "b"))),
        ("refresh ecrsecret/a argohelmrepo/a", (("Secret", "a"), ("ArgoHelmRepoSecret", "a"))),
        ("refresh secret/a secrets/b", (("Secret", "a"), ("Secret", "b"))),
        ("refresh secrets.ecr.mobb.redhat.com/a", (("Secret", "a"),)),
        ("refresh ArgoHelmRepoSecret/a", (("ArgoHelmRepoSecret", "a"),)),
        ("refresh -k argohelmrepo a secret/b", (("ArgoHelmRepoSecret", "a"), ("Secret", "b"))),
        ("refresh --kind=Secret a", (("Secret", "a"),)),
        ("refresh ecrclustersecret/a clustersecrets/b", (("ClusterSecret", "a"), ("ClusterSecret", "b"))),
    ],
)
def test_refresh(line: str, names: tuple[tuple[str | None, str], ...]) -> None:
    command = parsed(line)
    assert isinstance(command, Refresh)
    assert command.names == names
    assert command.timeout is None


@pytest.mark.parametrize(
    ("line", "kinds", "namespace"),
    [
        ("refresh --all", ("Secret", "ArgoHelmRepoSecret"), None),
        ("refresh --all -n b", ("Secret", "ArgoHelmRepoSecret"), "b"),
        ("refresh --all -A", ("Secret", "ArgoHelmRepoSecret", "ClusterSecret"), ""),
        ("refresh -A --all -k argohelmrepo", ("ArgoHelmRepoSecret",), ""),
        ("refresh --all -k ecrclustersecret -n b", ("ClusterSecret",), "b"),
    ],
)
def test_refresh_of_all(line: str, kinds: tuple[str, ...], namespace: str | None) -> None:
    command = parsed(line)
    assert isinstance(command, Refresh)
    assert (command.names, command.kinds, command.place.namespace) == ((), kinds, namespace)


def test_timeout_is_a_go_duration() -> None:
    assert parsed("refresh a --timeout 1m30s").timeout == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("line", "subject", "name", "account"),
    [
        ("pull app", "image", "app", "default"),
        ("pull host.io/team/app:1 --service-account builder", "image", "host.io/team/app:1", "builder"),
        ("pull team/app", "image", "team/app", "default"),
        ("pull pod/web-0", "pod", "web-0", "default"),
        ("pull po/web-0", "pod", "web-0", "default"),
        ("pull application/shop -n argocd", "application", "shop", "default"),
        ("pull applications.argoproj.io/shop", "application", "shop", "default"),
    ],
)
def test_pull(line: str, subject: str, name: str, account: str) -> None:
    command = parsed(line)
    assert isinstance(command, Pull)
    assert (command.subject, command.name, command.service_account) == (subject, name, account)
    assert (command.output, parsed(f"{line} -o json").output) == ("text", "json")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("status --all-namespace", "did you mean --all-namespaces?"),
        ("status -n Upper", '"Upper" is not a valid namespace name'),
        ("status -o jsn", "'jsn'"),
        ("status more", 'unknown argument "more"'),
        ("check awz", '"awz" is not a valid PART; expected aws or cluster'),
        ("check --regiom us-east-2", "did you mean --region?"),
        ("check --region US", '"US" is not a valid AWS region'),
        ("render", "-f/--filename"),
        ("render -f a -o wide", "'wide'"),
        ("refresh", "NAME"),
        ("refresh -A", "--all"),
        ("refresh a --all", "either NAME or --all"),
        ("refresh A", '"A" is not a valid resource name'),
        ("refresh secret/", '"secret/" is not a valid resource name'),
        ("refresh ../x", "not a kind"),
        ("refresh ecrscret/x", "did you mean ecrsecret?"),
        ("refresh -k pod x", '"pod" is not a kind'),
        ("refresh x --timeout soon", "soon"),
        ("refresh x --timeout 0s", "above 0"),
        ("refresh x --timeout 48h", "within a day"),
        ("pull", "required: IMAGE"),
        ("pull a b", 'unknown argument "b"'),
        ("pull pod/A", '"A" is not a valid pod name'),
        ("pull application/", "is not a valid application name"),
        ("pull a --service-account A", '"A" is not a valid service account name'),
        ("pull pod/a --service-account b", "--service-account is for an IMAGE"),
        ("pull a -A", 'unknown flag "-A"'),
        ("refresh x -A", "-A/--all-namespaces requires --all"),
    ],
)
def test_mistake_is_one_line_that_names_it(line: str, words: str) -> None:
    assert words in mistake(line)
