"""What `check` finds, in words."""

import pytest

from ecr_operator.cli.findings import Finding, conclusion, of_right
from ecr_operator.cli.terminal import Marks
from ecr_operator.kube.access_review import Need, Right

MARKS = Marks(good="ok", bad="NO", optional="--", next="->", full="#", empty=".")
NEED = Need(group="", resource="secrets", verbs=("get", "list"), purpose="the generated Secrets")
EXTRA = Need(
    group="events.k8s.io",
    resource="events",
    verbs=("create",),
    purpose="Events",
    granted_by="x",
    required=False,
)


def lacks(need: Need, verb: str, namespace: str = "") -> Right:
    return Right(group=need.group, resource=need.resource, verb=verb, namespace=namespace)


def text(finding: Finding) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in finding.lines(MARKS)]


@pytest.mark.parametrize(
    ("need", "missing", "verdict", "said"),
    [
        pytest.param(NEED, [], "good", ["  ok rights        secrets: get, list"], id="all of it"),
        pytest.param(
            NEED,
            [lacks(NEED, "list")],
            "bad",
            [
                "  NO rights        secrets: no list in all namespaces; needed for the generated Secrets",
                "                   -> grant what config/rbac/role.yaml grants",
            ],
            id="one verb everywhere",
        ),
        pytest.param(
            NEED,
            [lacks(NEED, "get", "a"), lacks(NEED, "list", "a"), lacks(NEED, "get", "b")],
            "bad",
            [
                "  NO rights        secrets: no get, list in a, b; needed for the generated Secrets",
                "                   -> grant what config/rbac/role.yaml grants",
            ],
            id="in some namespaces",
        ),
        pytest.param(
            EXTRA,
            [],
            "good",
            ["  ok rights        events.events.k8s.io: create, for Events"],
            id="one that not everybody needs, and is there",
        ),
        pytest.param(
            EXTRA,
            [lacks(EXTRA, "create")],
            "optional",
            [
                "  -- rights        events.events.k8s.io: no create in all namespaces; needed for Events",
                "                   -> grant what x grants, if you use it",
            ],
            id="what not everybody needs",
        ),
    ],
)
def test_a_right_that_is_missing_says_what_for_and_what_to_do(
    need: Need, missing: list[Right], verdict: str, said: list[str]
) -> None:
    finding = of_right(need, missing)
    assert finding.verdict == verdict
    assert text(finding) == said


@pytest.mark.parametrize(
    ("bad", "words"), [(0, "All is well."), (1, "1 thing is missing"), (2, "2 things are missing")]
)
def test_the_last_line_counts_what_is_missing(bad: int, words: str) -> None:
    good = [Finding(verdict="good", topic="x", text=""), Finding(verdict="optional", topic="x", text="")]
    assert conclusion([*good, *[Finding(verdict="bad", topic="x", text="")] * bad]).startswith(words)
