"""What is offered for the command line of kubectl's plug-in, as far as no cluster is needed."""

from pathlib import Path

import pytest

from ecr_operator.cli import completion
from ecr_operator.settings.flags import COMMANDS

NO_FILES, NO_SPACE, FILES = ":4", ":6", ":0"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig of two contexts, one of which has a name of two lines, and no API server."""
    file = tmp_path / "config"
    file.write_text('{contexts: [{name: lab}, {name: "b\\nad"}, {name: other}]}')
    return file


@pytest.mark.parametrize(
    ("line", "offered", "directive"),
    [
        ("", [*COMMANDS], NO_FILES),
        ("re", ["render", "refresh"], NO_FILES),
        ("-n a sta", ["status"], NO_FILES),
        ("nonsense ", [], NO_FILES),
        ("status ", [], NO_FILES),
        ("status --", None, NO_FILES),
        ("status --w", ["--watch"], NO_FILES),
        ("pull --s", ["--service-account"], NO_FILES),
        ("status -o ", ["wide", "json", "yaml"], NO_FILES),
        ("status --output=j", ["--output=json"], NO_FILES),
        ("status --context ", ["lab", "other"], NO_FILES),
        ("status --context=l", ["--context=lab"], NO_FILES),
        ("--context o", ["other"], NO_FILES),
        ("status --kubeconfig ", [], FILES),
        ("render -f ", [], FILES),
        ("render --filename=", [], FILES),
        ("check ", ["aws", "cluster"], NO_FILES),
        ("check --region ", [], NO_FILES),
        ("refresh -k argo", ["argohelmrepo"], NO_FILES),
        ("refresh ", [], NO_FILES),
        ("status -n ", [], NO_FILES),
        ("pull ", ["pod/", "application/"], NO_SPACE),
        ("pull app", ["application/"], NO_SPACE),
        ("pull pod/", [], NO_FILES),
        ("pull x --service-account ", [], NO_FILES),
        ("status --unknown ", [], NO_FILES),
    ],
)
def test_offers_and_without_a_cluster_fewer(
    line: str,
    offered: list[str] | None,
    directive: str,
    kubeconfig: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert completion.run(line.split(" "), {"KUBECONFIG": str(kubeconfig)}) == 0
    shown = capsys.readouterr()
    *lines, last = shown.out.splitlines()
    words = [each.partition("\t")[0] for each in lines]
    if offered is None:
        offered = ["--kubeconfig", "--context", "--namespace", "--all-namespaces", "--output", "--watch"]
    assert (words, last, shown.err) == (offered, directive, "")


@pytest.mark.parametrize("content", ["", "[", "contexts: 1", "contexts: [1]", "- a"])
def test_a_kubeconfig_that_is_not_one_offers_no_context(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    for line in ("status --context ", "refresh "):
        completion.run(line.split(" "), {"KUBECONFIG": str(file)})
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == (f"{NO_FILES}\n", "")
